"""Shopify: base64 HMAC over the body; orders, refunds and customers become platform events.

The signature covers no header: shop and topic are Shopify's word only as far as the body is, so they never decide
whose event it is. Deliveries come with and without the `X-` before the header names.
Next: `commerce.py` for the translation.
"""

# ruff: noqa: ARG002  the port names the arguments; a vendor uses what it needs

import base64
from collections.abc import Sequence

from services.ingest.sources import Delivery, Refused, Source, SourceSettings, Translated, Verified
from services.ingest.sources.shopify.commerce import translated
from services.ingest.sources.signing import bound_to_body, hmac_sha256, missing, secret_bytes, verify_any

_SIGNATURE = ("x-shopify-hmac-sha256", "shopify-hmac-sha256")
_WEBHOOK_ID = ("x-shopify-webhook-id", "shopify-webhook-id")
_TOPIC = ("x-shopify-topic", "shopify-topic")


class Settings(SourceSettings):
    """Shopify needs no settings; the secret is the app's client secret, or the store's for webhooks set up by hand."""


class Shopify(Source[Settings]):
    vendor = "shopify"
    title = "Shopify webhooks"
    settings_model = Settings
    names_types_by_source = False

    def verify(self, delivery: Delivery, secrets: Sequence[str], settings: Settings) -> Verified | Refused:
        given = delivery.headers.get(*_SIGNATURE)
        if given is None:
            return missing("X-Shopify-Hmac-SHA256")
        if not delivery.body:
            return Refused(reason="empty_body", detail="Shopify never signs an empty body")
        return verify_any(
            secrets, [given], lambda secret: base64.b64encode(hmac_sha256(secret_bytes(secret), delivery.body))
        )

    def name(self, delivery: Delivery, payload: object, settings: Settings) -> str | None:
        vendor_id = delivery.headers.get(*_WEBHOOK_ID)
        return bound_to_body(vendor_id, delivery.body) if vendor_id else None

    def translate(self, delivery: Delivery, payload: object, settings: Settings) -> tuple[Translated, ...]:
        return translated(delivery.headers.get(*_TOPIC), payload)


SOURCE = Shopify()
