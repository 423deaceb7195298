"""Secrets of endpoints and the signatures made with them, checked by the verification of the other side."""

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ingest.sources import Delivery, Headers, Refused, Verified
from services.ingest.sources.standardwebhooks import SOURCE, Settings
from shared.domain.endpoint_secret import EndpointSecret, generate_endpoint_secret, parse_endpoint_secret
from shared.domain.errors import InvalidInput
from shared.runtime.webhook_signing import sign, signed_headers
from shared.testing.examples import examples

PAIR = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
PUBLIC = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
SHARED = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def test_the_specifications_own_vectors() -> None:
    given = ("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert sign(parse_endpoint_secret(SHARED), *given) == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert sign(parse_endpoint_secret(PAIR), *given) == (
        "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
    )


def test_a_pair_knows_its_public_key_and_no_repr_shows_a_key() -> None:
    pair = parse_endpoint_secret(PAIR)
    assert pair.public_key == PUBLIC
    assert "key=b" not in repr(pair)
    assert "public_key" in repr(pair)


@pytest.mark.parametrize("size", [24, 32, 64])
def test_a_generated_secret_is_a_secret(size: int) -> None:
    assert parse_endpoint_secret(generate_endpoint_secret(b"\xff" * size)) == EndpointSecret(
        kind="hmac", key=b"\xff" * size
    )


@pytest.mark.parametrize("size", [0, 23, 65])
def test_too_short_or_long_keys_are_refused(size: int) -> None:
    with pytest.raises(ValueError, match="24 to 64"):
        generate_endpoint_secret(b"x" * size)
    with pytest.raises(InvalidInput):
        parse_endpoint_secret("whsec_" + base64.b64encode(b"x" * size).decode())


@pytest.mark.parametrize("text", [PUBLIC, SHARED[6:], "whsec_ü", PAIR[:-4], PAIR.replace("X0dR", "aaaa"), ""])
def test_what_cannot_sign_is_refused_without_being_quoted(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_endpoint_secret(text)
    assert not text or text[6:] not in str(caught.value)


@given(st.text())
def test_any_text_is_a_secret_or_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_endpoint_secret(text)
    with pytest.raises(InvalidInput):
        parse_endpoint_secret("whsk_" + text)


@given(
    body=st.binary(max_size=200),
    timestamp=st.integers(0, 10**11),
    webhook_id=st.text(
        alphabet=st.characters(codec="ascii", categories=["L", "N"], include_characters="_-"), min_size=1
    ),
)
@settings(max_examples=examples(50), deadline=None)
def test_what_we_sign_the_receiver_believes_with_either_key(body: bytes, timestamp: int, webhook_id: str) -> None:
    # given a rotation under way
    secrets = [parse_endpoint_secret(PAIR), parse_endpoint_secret(SHARED)]
    # when
    headers = signed_headers(secrets, webhook_id, timestamp, body)
    # then
    for believed in (PUBLIC, SHARED):
        received = Delivery(
            body=body, headers=Headers.of(headers.items()), received_at=float(timestamp), source_name="upshot"
        )
        assert SOURCE.verify(received, [believed], Settings()) == Verified(secret_index=0)
        later = Delivery(
            body=body, headers=Headers.of(headers.items()), received_at=timestamp + 301.0, source_name="upshot"
        )
        assert isinstance(SOURCE.verify(later, [believed], Settings()), Refused)


@pytest.mark.parametrize("webhook_id", ["", "msg.1"])
def test_an_id_that_could_be_read_in_two_ways_is_never_signed(webhook_id: str) -> None:
    with pytest.raises(ValueError, match="webhook id"):
        sign(parse_endpoint_secret(SHARED), webhook_id, 1, b"")
