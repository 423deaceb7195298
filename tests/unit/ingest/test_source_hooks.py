"""Deliveries to a workflow's own URL: what proves them, what names them, and what of them is kept."""

from datetime import UTC, datetime
from typing import Any

import pytest

from services.ingest.sources import Delivery, Headers, Refused, Verified
from services.ingest.sources.hooks import HookSource
from shared.domain.hooks import HOOK_EVENT, Hook, HookPlan
from shared.domain.json_text import read_json
from shared.testing.vendor_signing import GENERIC_SIGNATURE, sign_delivery

SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
AT = 1_800_000_000
STANDARD = ("standardwebhooks", {})
HMAC = ("generic", {"signature": GENERIC_SIGNATURE})
TOKEN = ("generic", {"path_token": True})


def hook(proof: tuple[str, dict[str, Any]] = STANDARD, id_path: str | None = None) -> HookSource:
    plan = HookPlan(id="h", vendor=proof[0], settings=proof[1], id_path=id_path)
    return HookSource(Hook(plan=plan, tenant_id="acme", workflow_id="w-1", made_at=datetime.fromtimestamp(AT, UTC)))


def delivery(body: bytes = b"{}", *headers: tuple[str, str], **more: Any) -> Delivery:
    return Delivery(body=body, headers=Headers.of(headers), received_at=float(AT), source_name="n", **more)


def name(it: HookSource, sent: Delivery) -> str | None:
    return it.name(sent, read_json(it.json_text(sent)), it.settings)


def data(it: HookSource, sent: Delivery) -> Any:
    (found,) = it.translate(sent, None, it.settings)
    assert (found.type, found.subject) == (HOOK_EVENT, "w-1")
    return found.data


def test_it_is_proved_as_a_source_of_that_vendor_is() -> None:
    signed = delivery(b'{"a":1}', *sign_delivery("standardwebhooks", SECRET, b'{"a":1}', AT, "msg_1").items())
    it = hook()
    assert it.verify(signed, [SECRET], it.settings) == Verified(secret_index=0)
    assert it.verify(signed, ["whsec_b3RoZXI=", SECRET], it.settings) == Verified(secret_index=1)
    assert isinstance(it.verify(signed, ["whsec_b3RoZXI="], it.settings), Refused)
    assert isinstance(it.verify(delivery(), [SECRET], it.settings), Refused)
    assert name(it, signed) == "msg_1"


def test_a_name_in_the_payload_comes_before_that_in_a_header() -> None:
    signed = delivery(b'{"event":{"id":7}}', ("webhook-id", "msg_1"))
    assert name(hook(id_path="event.id"), signed) == "7"
    assert name(hook(id_path="event.none"), signed) == "msg_1"


def test_only_who_signs_nothing_may_name_a_delivery_by_its_idempotency_key() -> None:
    keyed = delivery(b"{}", ("Idempotency-Key", "press-1"))
    again = delivery(b"{}", ("Idempotency-Key", "press-2"))
    assert name(hook(TOKEN), keyed) is not None
    assert name(hook(TOKEN), keyed) != name(hook(TOKEN), again)
    # An id that the signature does not cover would make news of what somebody has captured.
    assert name(hook(HMAC), keyed) is None


def test_parameters_tell_deliveries_apart_where_nothing_is_signed() -> None:
    one, other = delivery(b"", query={"room": "a"}), delivery(b"", query={"room": "b"})
    assert hook(TOKEN).nameless(one) != hook(TOKEN).nameless(other)
    assert hook(HMAC).nameless(one) == hook(HMAC).nameless(other)


@pytest.mark.parametrize(
    ("body", "content_type", "raw"),
    [
        (b'{"n": 1.10}', "application/json", b'{"n": 1.10}'),
        (b"", "application/json", b"null"),
        (b"a=1&b=x+y&a=2", "application/x-www-form-urlencoded", b'{"a":"2","b":"x y"}'),
    ],
)
def test_what_a_body_may_be(body: bytes, content_type: str, raw: bytes) -> None:
    assert hook().json_text(delivery(body, ("Content-Type", content_type))) == raw


def test_what_proves_a_sender_is_never_kept() -> None:
    sent = delivery(
        b"{}",
        ("Content-Type", "application/json"),
        ("X-GitHub-Event", "push"),
        ("X-Event-Key", "repo:push"),
        ("Authorization", "Bearer abc"),
        ("Cookie", "a=b"),
        ("X-Signature-Version", "abc"),
        ("X-Api-Key-Id", "abc"),
        ("X-Session-Id", "abc"),
        ("Idempotency-Key", "abc"),
        ("webhook-signature", "v1,abc"),
        ("X-Odd-Id", "\udcff" + "y" * 2000),
        query={"room": "kitchen"},
    )
    found = data(hook(), sent)
    assert found["query"] == {"room": "kitchen"}
    assert {name: value for name, value in found["headers"].items() if name != "x-odd-id"} == {
        "content-type": "application/json",
        "x-github-event": "push",
        "x-event-key": "repo:push",
    }
    assert len(found["headers"]["x-odd-id"].encode()) <= 1000
