"""Deliveries as each vendor sends them, signed: for contract tests, end-to-end tests and the demo.

Every function gives whole headers. Written from the vendors' documentation, apart from the verifying code on purpose:
a mistake would have to be made twice to hide.
"""

import base64
import hashlib
import hmac
from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

GENERIC_SIGNATURE = {"header": "X-Signature-256", "algorithm": "sha256", "encoding": "hex", "prefix": "sha256="}
"""The `signature` setting of a generic source that believes what `sign_delivery("generic", …)` signs."""


def sign_delivery(
    vendor: str, secret: str, body: bytes, now: int, delivery_id: str, event: str | None = None
) -> dict[str, str]:
    """The headers of one delivery sent at `now` (unix seconds).

    `event` is what the vendor names in a header: GitHub's event, Shopify's topic; the others name it in the body.
    Raises KeyError for a vendor without signing here.
    """
    return {
        "Content-Type": "application/json",
        "User-Agent": f"{vendor}-webhooks/1",
        **_SIGNERS[vendor](secret, body, now, delivery_id, event),
    }


def _github(secret: str, body: bytes, _now: int, delivery_id: str, event: str | None) -> dict[str, str]:
    return {
        "X-GitHub-Delivery": delivery_id,
        "X-GitHub-Event": event or "ping",
        "X-Hub-Signature-256": f"sha256={_hmac_hex(secret.encode(), body)}",
    }


def _stripe(secret: str, body: bytes, now: int, _delivery_id: str, _event: str | None) -> dict[str, str]:
    return {"Stripe-Signature": f"t={now},v1={_hmac_hex(secret.encode(), f'{now}.'.encode() + body)}"}


def _shopify(secret: str, body: bytes, _now: int, delivery_id: str, event: str | None) -> dict[str, str]:
    return {
        "X-Shopify-API-Version": "2026-04",
        "X-Shopify-Event-Id": f"event-{delivery_id}",
        "X-Shopify-Hmac-SHA256": _hmac_base64(secret.encode(), body),
        "X-Shopify-Shop-Domain": "example.myshopify.com",
        "X-Shopify-Topic": event or "orders/create",
        "X-Shopify-Webhook-Id": delivery_id,
    }


def _slack(secret: str, body: bytes, now: int, _delivery_id: str, _event: str | None) -> dict[str, str]:
    return {
        "X-Slack-Request-Timestamp": str(now),
        "X-Slack-Signature": f"v0={_hmac_hex(secret.encode(), f'v0:{now}:'.encode() + body)}",
    }


def _standardwebhooks(secret: str, body: bytes, now: int, delivery_id: str, _event: str | None) -> dict[str, str]:
    """With `whsec_…` an HMAC, with the sender's private key `whsk_…` an ed25519 signature."""
    content = f"{delivery_id}.{now}.".encode() + body
    if secret.startswith("whsk_"):
        private_key = Ed25519PrivateKey.from_private_bytes(base64.b64decode(secret.removeprefix("whsk_"))[:32])
        signature = f"v1a,{base64.b64encode(private_key.sign(content)).decode()}"
    else:
        signature = f"v1,{_hmac_base64(base64.b64decode(secret.removeprefix('whsec_')), content)}"
    return {"webhook-id": delivery_id, "webhook-timestamp": str(now), "webhook-signature": signature}


def _generic(secret: str, body: bytes, _now: int, _delivery_id: str, _event: str | None) -> dict[str, str]:
    return {"X-Signature-256": f"sha256={_hmac_hex(secret.encode(), body)}"}


def _hmac_hex(key: bytes, content: bytes) -> str:
    return hmac.new(key, content, hashlib.sha256).hexdigest()


def _hmac_base64(key: bytes, content: bytes) -> str:
    return base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()


_SIGNERS: dict[str, Callable[[str, bytes, int, str, str | None], dict[str, str]]] = {
    "github": _github,
    "stripe": _stripe,
    "shopify": _shopify,
    "slack": _slack,
    "standardwebhooks": _standardwebhooks,
    "generic": _generic,
}
