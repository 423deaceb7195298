"""Standard Webhooks from senders and proxies that write the headers otherwise: several signatures, several families."""

from collections.abc import Sequence

import pytest

from services.ingest.sources import Delivery, Headers, Refused, Verified
from services.ingest.sources.standardwebhooks import SOURCE, Settings
from shared.testing.vendor_signing import sign_delivery

SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
AT = 1_800_000_000
BODY = b'{"type":"a"}'


def signed(delivery_id: str) -> dict[str, str]:
    headers = sign_delivery("standardwebhooks", SECRET, BODY, AT, delivery_id)
    return {name: value for name, value in headers.items() if name.startswith("webhook-")}


SIGNED, OTHER = signed("msg_1"), signed("msg_2")
GOOD = SIGNED["webhook-signature"]
BAD = "v1,AAAA"


def delivery(*headers: tuple[str, str]) -> Delivery:
    return Delivery(body=BODY, headers=Headers.of(headers), received_at=float(AT), source_name="n")


def verdict(sent: Delivery) -> Verified | Refused:
    return SOURCE.verify(sent, [SECRET], Settings())


def svix(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("webhook", "svix"): value for name, value in headers.items()}


@pytest.mark.parametrize(
    "signatures", [[GOOD], [GOOD, BAD], [BAD, GOOD], [BAD, GOOD, BAD], [f"{GOOD},"], [f"{BAD} {GOOD}"]]
)
def test_one_good_signature_of_several_headers_is_enough(signatures: Sequence[str]) -> None:
    unsigned = {name: value for name, value in SIGNED.items() if name != "webhook-signature"}

    sent = delivery(*unsigned.items(), *(("webhook-signature", each) for each in signatures))

    assert verdict(sent) == Verified(secret_index=0)


@pytest.mark.parametrize("signatures", [[BAD], [BAD, BAD], [f"{GOOD}x,"], [f"{GOOD},,"], [","]])
def test_a_comma_makes_no_signature_good(signatures: Sequence[str]) -> None:
    unsigned = {name: value for name, value in SIGNED.items() if name != "webhook-signature"}

    refused = verdict(delivery(*unsigned.items(), *(("webhook-signature", each) for each in signatures)))

    assert isinstance(refused, Refused)
    assert refused.reason == "signature_mismatch"


@pytest.mark.parametrize("without", [*SIGNED, None])
def test_a_complete_family_serves_where_the_other_is_not(without: str | None) -> None:
    other = {name: value for name, value in OTHER.items() if name != without}

    sent = delivery(*other.items(), *svix(SIGNED).items())

    assert verdict(sent) == Verified(secret_index=0)
    assert SOURCE.name(sent, {}, Settings()) == ("msg_1" if without else "msg_2")


def test_a_delivery_is_never_named_by_an_id_that_was_not_verified() -> None:
    sent = delivery(("webhook-id", "msg_2"), *svix(SIGNED).items())

    assert verdict(sent) == Verified(secret_index=0)
    assert SOURCE.name(sent, {}, Settings()) == "msg_1"


@pytest.mark.parametrize("name", list(SIGNED))
def test_families_do_not_lend_each_other_headers(name: str) -> None:
    mixed = {**SIGNED, **svix({name: SIGNED[name]})}
    del mixed[name]

    assert verdict(delivery(*mixed.items())) == Refused(reason="missing_header", detail=f"the header {name} is missing")


def test_what_is_missing_is_told_of_the_family_that_is_there() -> None:
    partly = {name: value for name, value in svix(SIGNED).items() if name != "svix-id"}

    assert verdict(delivery(*partly.items())) == Refused(
        reason="missing_header", detail="the header svix-id is missing"
    )
    assert verdict(delivery()) == Refused(reason="missing_header", detail="the header webhook-id is missing")
