"""Generic and Standard Webhooks sources: settings, tokens, keys, and types under the source's own name."""

import base64
import hashlib
import hmac

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.ingest.sources import Delivery, Headers, Refused, Verified
from services.ingest.sources.configure import configure, read_settings, source_of
from services.ingest.sources.generic import SOURCE as GENERIC
from services.ingest.sources.generic import Settings
from services.ingest.sources.standardwebhooks import SOURCE as STANDARD
from services.ingest.sources.standardwebhooks import Settings as StandardSettings
from shared.domain.errors import InvalidInput
from shared.testing.vendor_signing import sign_delivery

BODY = b'{"event":{"kind":"paid","id":7}}'


def delivery(headers: dict[str, str] | None = None, token: str | None = None, body: bytes = BODY) -> Delivery:
    return Delivery(
        body=body,
        headers=Headers.of((headers or {}).items()),
        received_at=1_767_225_600.0,
        source_name="crm",
        path_token=token,
    )


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512"])
@pytest.mark.parametrize("encoding", ["hex", "base64"])
@pytest.mark.parametrize("prefix", ["", "sha=", "é "])
def test_every_scheme_that_settings_can_name(algorithm: str, encoding: str, prefix: str) -> None:
    settings = Settings.model_validate(
        {"signature": {"header": "X-Sig", "algorithm": algorithm, "encoding": encoding, "prefix": prefix}}
    )
    digest = hmac.new(b"s3cret", BODY, getattr(hashlib, algorithm)).digest()
    printed = prefix + (digest.hex() if encoding == "hex" else base64.b64encode(digest).decode())
    assert GENERIC.verify(delivery({"x-sig": printed}), ["s3cret"], settings) == Verified(secret_index=0)
    assert isinstance(GENERIC.verify(delivery({"x-sig": printed}), ["other"], settings), Refused)
    assert isinstance(GENERIC.verify(delivery({"x-sig": printed + "="}), ["s3cret"], settings), Refused)


@pytest.mark.parametrize(
    ("token", "secrets", "reason"),
    [
        ("tök", ("tök",), None),
        ("old", ("new", "old"), None),
        ("bad", ("tok",), "token_mismatch"),
        ("", ("",), "missing_token"),
        (None, ("tok",), "missing_token"),
        ("tok", (), "no_secret"),
        ("\ud800", ("tok",), "token_mismatch"),
    ],
)
def test_the_token_in_the_url(token: str | None, secrets: tuple[str, ...], reason: str | None) -> None:
    judged = GENERIC.verify(delivery(token=token), secrets, Settings(path_token=True))
    assert (judged.reason if isinstance(judged, Refused) else None) == reason


def test_types_and_names_come_from_paths() -> None:
    settings = Settings(path_token=True, type_path="event.kind", id_path="event.id")
    payload = {"event": {"kind": "paid", "id": 7}}
    (event,) = GENERIC.translate(delivery(), payload, settings)
    assert (event.type, dict(event.data)) == ("crm.paid", {})
    assert GENERIC.name(delivery(), payload, settings) == "7"
    (event,) = GENERIC.translate(delivery(), {"event": {"kind": {}}}, settings)
    assert event.type == "crm.received"
    assert "event.kind" in str(event.data["note"])
    assert GENERIC.name(delivery(), {}, settings) is None


def flaws(vendor: str = "generic", name: str = "crm", secret: str = "s", **settings: object) -> str:
    with pytest.raises(InvalidInput) as caught:
        configure(vendor, source_name=name, settings=settings, secrets=[secret], allow_unsigned=False)
    return " ".join(f"{flaw.pointer} {flaw.detail}" for flaw in caught.value.flaws)


def test_a_source_that_anybody_could_write_to_needs_the_operators_word() -> None:
    assert "UPSHOT_ALLOW_UNSIGNED_SOURCES" in flaws()
    usable = configure("generic", source_name="crm", settings={}, secrets=[], allow_unsigned=True)
    assert not usable.signed
    assert GENERIC.verify(delivery(), [], Settings()) == Verified(secret_index=None)


def test_flaws_name_the_field() -> None:
    assert "#/settings/signature/algorithm" in flaws(signature={"header": "X", "algorithm": "md5"})
    assert "#/settings/signature/header" in flaws(signature={"header": "X\r\nY"})
    assert "#/settings/typepath" in flaws(path_token=True, typepath="a")
    assert "not both" in flaws(path_token=True, signature={"header": "X"})
    assert "#/secret the source needs a secret" in flaws(secret="", path_token=True)
    assert "needs a secret" in flaws("github", secret="")
    with pytest.raises(InvalidInput, match="#/settings/extra~1field"):
        read_settings("github", {"extra/field": 1})


@pytest.mark.parametrize("name", ["order", "payment", "stripe", "upshot", "order.refunded", "flags"])
def test_no_source_forges_the_types_of_others(name: str) -> None:
    assert "#/name" in flaws(name=name, path_token=True)
    assert "#/name" in flaws("standardwebhooks", name=name, secret="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    if name != "order.refunded":
        configure("github", source_name=name, settings={}, secrets=["s"], allow_unsigned=False)


def test_unknown_vendors_are_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidInput, match=r"generic, github, shopify, slack, standardwebhooks, stripe"):
        source_of("telegraph")


def test_saved_settings_are_read_again() -> None:
    saved = Settings(path_token=True, type_path="a.b").model_dump(mode="json")
    assert read_settings("generic", saved) == Settings(path_token=True, type_path="a.b")


PRIVATE_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = "whpk_" + base64.b64encode(PRIVATE_KEY.public_key().public_bytes_raw()).decode()
PRIVATE = "whsk_" + base64.b64encode(bytes(range(32)) + PRIVATE_KEY.public_key().public_bytes_raw()).decode()


def test_a_public_key_believes_its_private_key_and_no_hmac() -> None:
    signed = sign_delivery("standardwebhooks", PRIVATE, BODY, 1_767_225_600, "msg_1")
    assert isinstance(STANDARD.verify(delivery(signed), [PUBLIC], StandardSettings()), Verified)
    keyed_with_public = sign_delivery(
        "standardwebhooks", "whsec_" + PUBLIC.removeprefix("whpk_"), BODY, 1_767_225_600, "msg_1"
    )
    for label in ("v1,", "v1a,"):
        forged = {**keyed_with_public, "webhook-signature": label + keyed_with_public["webhook-signature"][3:]}
        assert isinstance(STANDARD.verify(delivery(forged), [PUBLIC], StandardSettings()), Refused)


def test_a_rotation_from_hmac_to_ed25519_believes_both() -> None:
    secrets = [PUBLIC, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]
    for index, secret in enumerate([PRIVATE, secrets[1]]):
        signed = sign_delivery("standardwebhooks", secret, BODY, 1_767_225_600, "msg_1")
        assert STANDARD.verify(delivery(signed), secrets, StandardSettings()) == Verified(secret_index=index)


@pytest.mark.parametrize(
    ("secret", "word"),
    [
        (PRIVATE, "private key"),
        ("whpk_abc", "32 bytes"),
        ("whpk_", "32 bytes"),
        ("whsec_%", "base64"),
        ("whsec_", "base64"),
        ("geheim-ü", "base64"),
        (PUBLIC, None),
        ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", None),
    ],
)
def test_the_form_of_a_secret_is_checked_when_it_is_set(secret: str, word: str | None) -> None:
    wrong = STANDARD.check_secret(secret)
    assert (wrong is None) is (word is None)
    if word is not None:
        assert word in str(wrong)
        judged = STANDARD.verify(
            delivery({"webhook-id": "m", "webhook-timestamp": "1767225600", "webhook-signature": "v1,x"}),
            [secret],
            StandardSettings(),
        )
        assert isinstance(judged, Refused)
        assert judged.reason == "no_secret"
