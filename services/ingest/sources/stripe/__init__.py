"""Stripe: `Stripe-Signature` with a signed timestamp; payments and customers become platform events.

The secret counts literally, `whsec_` included (Standard Webhooks decodes it instead). Like Stripe's own library this
refuses old timestamps only: a clock of ours that lags must not lose payments.
Next: `payments.py` for the translation.
"""

# ruff: noqa: ARG002  the port names the arguments; a vendor uses what it needs

from collections.abc import Sequence

from services.ingest.sources import Delivery, Refused, Source, SourceSettings, Translated, Verified
from services.ingest.sources.reading import text
from services.ingest.sources.signing import (
    header_bytes,
    hmac_sha256,
    malformed,
    missing,
    printable,
    refuse_stale,
    secret_bytes,
    signed_moment,
    unix_seconds,
    verify_any,
)
from services.ingest.sources.stripe.payments import translated

_SIGNATURE = "stripe-signature"
_SHAPE = "t=<unix seconds>,v1=<hex>"


class Settings(SourceSettings):
    """Stripe needs no settings; the secret is the endpoint's signing secret (`whsec_…`)."""


class Stripe(Source[Settings]):
    vendor = "stripe"
    title = "Stripe webhooks"
    settings_model = Settings
    names_types_by_source = False

    def verify(self, delivery: Delivery, secrets: Sequence[str], settings: Settings) -> Verified | Refused:
        header = delivery.headers.get(_SIGNATURE)
        if header is None:
            return missing("Stripe-Signature")
        signed_at = _field(header, "t")
        timestamp = unix_seconds(signed_at) if signed_at is not None else None
        if signed_at is None or timestamp is None:
            return malformed("Stripe-Signature", _SHAPE)
        signatures = [value for key, _, value in _items(header) if key == "v1"]
        if not signatures:
            return malformed("Stripe-Signature", _SHAPE)
        content = header_bytes(signed_at) + b"." + delivery.body
        verdict = verify_any(
            secrets, signatures, lambda secret: hmac_sha256(secret_bytes(secret), content).hex().encode()
        )
        if isinstance(verdict, Verified):
            return refuse_stale(delivery, timestamp, future_too=False) or verdict
        return verdict

    def name(self, delivery: Delivery, payload: object, settings: Settings) -> str | None:
        """The event's id, which the body holds; a redelivery's body differs in `pending_webhooks`."""
        event_id = text(payload, "id")
        if event_id is not None:
            return printable(event_id)
        signed_at = _field(delivery.headers.get(_SIGNATURE) or "", "t")
        return signed_moment(signed_at, delivery.body) if signed_at else None

    def translate(self, delivery: Delivery, payload: object, settings: Settings) -> tuple[Translated, ...]:
        return translated(payload)


def _items(header: str) -> list[tuple[str, str, str]]:
    return [item.partition("=") for item in header.split(",")]


def _field(header: str, name: str) -> str | None:
    return next((value for key, _, value in _items(header) if key == name), None)


SOURCE = Stripe()
