"""Signs our outgoing deliveries as Standard Webhooks 1.0.0 says; tenants verify with any of its libraries.

The id stays the same over the attempts of a delivery, the timestamp is each attempt's. While a secret is being
rotated, old and new both sign, so the receiver may change over at any moment.
Next: `shared/domain/endpoint_secret.py` for the keys.
"""

import base64
import hmac
from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shared.domain.endpoint_secret import EndpointSecret


def sign(secret: EndpointSecret, webhook_id: str, timestamp: int, body: bytes) -> str:
    """One signature, `v1,…` or `v1a,…`, of an attempt at `timestamp` (unix seconds).

    Raises ValueError for an id with a dot: id and timestamp could then be read in two ways.
    """
    if not webhook_id or "." in webhook_id:
        raise ValueError("a webhook id is not empty and holds no dot")
    content = f"{webhook_id}.{timestamp}.".encode() + body
    match secret.kind:
        case "hmac":
            return f"v1,{base64.b64encode(hmac.digest(secret.key, content, 'sha256')).decode()}"
        case "ed25519":
            signature = Ed25519PrivateKey.from_private_bytes(secret.key).sign(content)
            return f"v1a,{base64.b64encode(signature).decode()}"


def signed_headers(secrets: Sequence[EndpointSecret], webhook_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three headers of an attempt, signed with every current secret, newest first."""
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(sign(secret, webhook_id, timestamp, body) for secret in secrets),
    }
