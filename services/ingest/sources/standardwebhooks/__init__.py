"""Standard Webhooks 1.0.0 from anybody who signs that way, Svix's `svix-*` headers included.

Types are `<source name>.<type>`. Secrets: `whsec_` (or bare base64) is an HMAC key, `whpk_` the sender's ed25519 public
key. The form of the secret decides which signatures count: an HMAC keyed with a public key must never verify.
"""

# ruff: noqa: ARG002  the port names the arguments; a vendor uses what it needs

import base64
import binascii
import hmac
from collections.abc import Sequence

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from services.ingest.sources import Delivery, Headers, Refused, Source, SourceSettings, Translated, Verified
from services.ingest.sources.reading import event_type, moment, text, untranslated
from services.ingest.sources.signing import (
    header_bytes,
    hmac_sha256,
    malformed,
    missing,
    printable,
    refuse_stale,
    unix_seconds,
)

# Id, timestamp and signature: what is signed together is read together.
_FAMILIES = tuple((f"{name}-id", f"{name}-timestamp", f"{name}-signature") for name in ("webhook", "svix"))
_PUBLIC_KEY_PREFIX = "whpk_"
_PRIVATE_KEY_PREFIX = "whsk_"
# More signatures than any rotation needs; each ed25519 check costs some 100 µs.
_SIGNATURES_MAX = 16


class Settings(SourceSettings):
    """Needs no settings; the secret is `whsec_…`, bare base64, or the sender's public key `whpk_…`."""


class StandardWebhooks(Source[Settings]):
    vendor = "standardwebhooks"
    title = "Standard Webhooks (and Svix)"
    settings_model = Settings
    names_types_by_source = True

    def check_secret(self, secret: str) -> str | None:
        if secret.startswith(_PRIVATE_KEY_PREFIX):
            return "this is the sender's private key; give the public one (whpk_…) and have the sender make a new pair"
        if secret.startswith(_PUBLIC_KEY_PREFIX):
            return None if _public_key(secret) else "whpk_ must be followed by 32 bytes in base64"
        return None if _hmac_key(secret) else "give base64, with or without whsec_ before it"

    def verify(self, delivery: Delivery, secrets: Sequence[str], settings: Settings) -> Verified | Refused:
        id_header, timestamp_header, signature_header = _family(delivery.headers)
        webhook_id, signed_at = delivery.headers.get(id_header), delivery.headers.get(timestamp_header)
        given = delivery.headers.get(signature_header)
        if webhook_id is None or not webhook_id:
            return missing(id_header)
        if signed_at is None:
            return missing(timestamp_header)
        if given is None:
            return missing(signature_header)
        timestamp = unix_seconds(signed_at)
        if timestamp is None:
            return malformed(timestamp_header, "an integer of unix seconds")
        # Several headers come joined by a comma and a space.
        signatures = [each.removesuffix(",") for each in given.split(" ") if each][:_SIGNATURES_MAX]
        content = b".".join((header_bytes(webhook_id), header_bytes(signed_at), delivery.body))
        usable = False
        for index, secret in enumerate(secrets):
            matches = _matches(secret, content, signatures)
            usable = usable or matches is not None
            if matches:
                return refuse_stale(delivery, timestamp) or Verified(secret_index=index)
        if not usable:
            return Refused(reason="no_secret", detail="the source has no usable secret")
        return Refused(reason="signature_mismatch", detail="no signature matches the body with any current secret")

    def name(self, delivery: Delivery, payload: object, settings: Settings) -> str | None:
        """The webhook id: the signature covers it."""
        webhook_id = delivery.headers.get(_family(delivery.headers)[0])
        return printable(webhook_id) if webhook_id else None

    def translate(self, delivery: Delivery, payload: object, settings: Settings) -> tuple[Translated, ...]:
        kind = text(payload, "type")
        return untranslated(
            event_type(delivery.source_name, kind or "received"),
            time=moment(payload, "timestamp"),
            note=None if kind else "the payload names no type",
        )


def _family(headers: Headers) -> tuple[str, str, str]:
    """The names of the first family that is complete, or of which more is there."""
    return max(_FAMILIES, key=lambda names: sum(bool(headers.get(name)) for name in names))


def _matches(secret: str, content: bytes, signatures: list[str]) -> bool | None:
    """Whether one of the signatures is of this content by this secret; None: the secret is no key."""
    if secret.startswith(_PUBLIC_KEY_PREFIX):
        public_key = _public_key(secret)
        if public_key is None:
            return None
        return any(_ed25519_matches(public_key, content, each[4:]) for each in signatures if each.startswith("v1a,"))
    key = _hmac_key(secret)
    if key is None:
        return None
    expected = b"v1," + base64.b64encode(hmac_sha256(key, content))
    return any(hmac.compare_digest(expected, header_bytes(each)) for each in signatures)


def _ed25519_matches(public_key: Ed25519PublicKey, content: bytes, signature: str) -> bool:
    raw = _decoded(signature)
    if raw is None:
        return False
    try:
        public_key.verify(raw, content)
    except InvalidSignature:
        return False
    return True


def _public_key(secret: str) -> Ed25519PublicKey | None:
    raw = _decoded(secret[len(_PUBLIC_KEY_PREFIX) :])
    return Ed25519PublicKey.from_public_bytes(raw) if raw is not None and len(raw) == 32 else None


def _hmac_key(secret: str) -> bytes | None:
    """The key's bytes. Not ours to judge how many: the vendor chose them. Some leave out the padding."""
    if secret.startswith(_PRIVATE_KEY_PREFIX):
        return None
    return _decoded(secret.removeprefix("whsec_")) or None


def _decoded(text_: str) -> bytes | None:
    try:
        return base64.b64decode(text_ + "=" * (-len(text_) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None


SOURCE = StandardWebhooks()
