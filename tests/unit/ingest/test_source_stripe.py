"""Stripe: what its events mean, and the corners of its header."""

from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import pytest

from services.ingest.sources import Delivery, Headers, Refused, Verified
from services.ingest.sources.stripe import SOURCE, Settings
from services.ingest.sources.stripe.payments import translated
from shared.testing.vendor_signing import sign_delivery

NOW = 1_767_225_600
INTENT = {
    "id": "evt_1",
    "type": "payment_intent.succeeded",
    "created": NOW,
    "data": {
        "object": {
            "id": "pi_1",
            "amount": 2000,
            "amount_received": 1500,
            "currency": "eur",
            "customer": "cus_1",
            "receipt_email": "ada@example.com",
        }
    },
}


def intent(kind: object = "payment_intent.succeeded", **changes: object) -> dict[str, Any]:
    event: dict[str, Any] = deepcopy(INTENT)
    event["type"] = kind
    event["data"]["object"].update(changes)
    return event


def test_a_payment_counts_what_was_received() -> None:
    (event,) = translated(intent())
    assert event.type == "payment.succeeded"
    assert event.subject == "pi_1"
    assert event.time == datetime(2026, 1, 1, tzinfo=UTC)
    assert event.data == {
        "payment_id": "pi_1",
        "amount_minor": 1500,
        "currency": "EUR",
        "customer_id": "cus_1",
        "email": "ada@example.com",
    }


def test_a_failed_payment_counts_what_was_asked_and_says_why() -> None:
    error = {"code": "card_declined", "message": "Your card was declined.", "decline_code": "generic_decline"}
    (event,) = translated(intent("payment_intent.payment_failed", amount_received=0, last_payment_error=error))
    assert event.type == "payment.failed"
    assert event.data["amount_minor"] == 2000
    assert event.data["failure_code"] == "card_declined"
    assert event.data["failure_message"] == "Your card was declined."


def test_an_expanded_customer_is_named_by_its_id() -> None:
    (event,) = translated(intent(customer={"id": "cus_9", "email": "a@example.com"}))
    assert event.data["customer_id"] == "cus_9"


@pytest.mark.parametrize(
    ("currency", "amount", "minor"), [("jpy", 500, 500), ("kwd", 1230, 1230), ("isk", 500, 5), ("mga", 7, 700)]
)
def test_stripes_unit_becomes_isos(currency: str, amount: int, minor: int) -> None:
    (event,) = translated(intent(currency=currency, amount_received=amount))
    assert event.data["amount_minor"] == minor


@pytest.mark.parametrize(
    "changes",
    [{"amount_received": "1500"}, {"amount_received": -1}, {"currency": "usdc"}, {"currency": None}, {"id": None}],
)
def test_a_payment_that_cannot_be_read_is_kept_with_a_note(changes: dict[str, object]) -> None:
    (event,) = translated(intent(**changes))
    assert event.type == "stripe.payment_intent.succeeded"
    assert "lacks the fields" in str(event.data["note"])


@pytest.mark.parametrize("payload", [None, [], "x", {}, {"type": 7}, {"data": []}])
def test_what_is_no_event_object_is_kept_with_a_note(payload: object) -> None:
    (event,) = translated(payload)
    assert event.type == "stripe.received"
    assert event.data["note"]


def test_other_types_pass_under_their_own_name() -> None:
    (event,) = translated({"type": "invoice.paid", "data": {"object": {"id": "in_1"}}})
    assert (event.type, event.subject, event.data) == ("stripe.invoice.paid", "in_1", {})


def delivery(header: str, body: bytes = b"{}") -> Delivery:
    return Delivery(
        body=body, headers=Headers.of([("Stripe-Signature", header)]), received_at=float(NOW), source_name="stripe"
    )


SIGNED = sign_delivery("stripe", "whsec_s", b"{}", NOW, "")["Stripe-Signature"]


@pytest.mark.parametrize("header", [SIGNED, SIGNED + ",v1=bad", "v0=old," + SIGNED, SIGNED + ",t=5"])
def test_any_valid_v1_is_enough_and_the_first_timestamp_counts(header: str) -> None:
    assert SOURCE.verify(delivery(header), ["whsec_s"], Settings()) == Verified(secret_index=0)


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("", "malformed_header"),
        ("t=1", "malformed_header"),
        ("v1=ab", "malformed_header"),
        ("t=,v1=ab", "malformed_header"),
        ("t=5," + SIGNED, "signature_mismatch"),
        (SIGNED.replace("v1=", " v1="), "malformed_header"),
        (SIGNED.replace("v1=", "v0="), "malformed_header"),
        (SIGNED.upper(), "malformed_header"),
    ],
)
def test_other_headers_are_refused(header: str, reason: str) -> None:
    refused = SOURCE.verify(delivery(header), ["whsec_s"], Settings())
    assert isinstance(refused, Refused)
    assert refused.reason == reason


def test_the_name_is_the_events_id_whatever_the_bytes() -> None:
    first, again = delivery(SIGNED, b'{"id":"evt_1"}'), delivery("t=9,v1=x", b'{"id":"evt_1","pending_webhooks":2}')
    assert SOURCE.name(first, {"id": "evt_1"}, Settings()) == SOURCE.name(again, {"id": "evt_1"}, Settings()) == "evt_1"


def test_without_an_id_the_signed_moment_names_it() -> None:
    assert SOURCE.name(delivery(SIGNED), {}, Settings()) != SOURCE.name(delivery(SIGNED, b"[]"), {}, Settings())
    assert SOURCE.name(delivery(SIGNED), {}, Settings()) == SOURCE.name(delivery(SIGNED), {}, Settings())
