"""The secret of a tenant's endpoint: what our own deliveries are signed with, in Standard Webhooks' notation.

`whsec_` and 24 to 64 random bytes make an HMAC key; `whsk_` and 64 bytes an ed25519 pair, whose public half (`whpk_`)
the receiver keeps. Both halves are checked against each other: a pair that does not match signs what nobody can verify.
Next: `shared/runtime/webhook_signing.py` signs with it.
"""

import base64
import binascii
from dataclasses import dataclass, field
from typing import Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shared.domain.errors import Flaw, InvalidInput

HMAC_PREFIX = "whsec_"
PRIVATE_KEY_PREFIX = "whsk_"
PUBLIC_KEY_PREFIX = "whpk_"
KEY_BYTES_MIN = 24
KEY_BYTES_MAX = 64

_SEED_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointSecret:
    """`key`: the HMAC key or the ed25519 seed, kept out of `repr`. `public_key`: what an ed25519 receiver keeps."""

    kind: Literal["hmac", "ed25519"]
    key: bytes = field(repr=False)
    public_key: str | None = None


def parse_endpoint_secret(text: str) -> EndpointSecret:
    """The secret that a tenant gave. Raises InvalidInput, which never quotes it."""
    if text.startswith(HMAC_PREFIX):
        key = _decoded(text.removeprefix(HMAC_PREFIX))
        if not KEY_BYTES_MIN <= len(key) <= KEY_BYTES_MAX:
            raise _unusable(f"the key has {len(key)} bytes; {KEY_BYTES_MIN} to {KEY_BYTES_MAX} are allowed")
        return EndpointSecret(kind="hmac", key=key)
    if text.startswith(PRIVATE_KEY_PREFIX):
        return _pair(_decoded(text.removeprefix(PRIVATE_KEY_PREFIX)))
    if text.startswith(PUBLIC_KEY_PREFIX):
        raise _unusable("a public key cannot sign; give the private one (whsk_…)")
    raise _unusable("it must begin with whsec_ or whsk_")


def generate_endpoint_secret(random_bytes: bytes) -> str:
    """The text of an HMAC secret made of 24 to 64 bytes fit for secrets (`Randomness.token_bytes`)."""
    if not KEY_BYTES_MIN <= len(random_bytes) <= KEY_BYTES_MAX:
        raise ValueError(f"an endpoint secret takes {KEY_BYTES_MIN} to {KEY_BYTES_MAX} bytes")
    return HMAC_PREFIX + base64.b64encode(random_bytes).decode()


def _pair(pair: bytes) -> EndpointSecret:
    if len(pair) != 2 * _SEED_BYTES:
        raise _unusable(f"the key pair has {len(pair)} bytes; seed and public key have {2 * _SEED_BYTES}")
    seed, public_key = pair[:_SEED_BYTES], pair[_SEED_BYTES:]
    if Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw() != public_key:
        raise _unusable("its public half does not belong to its private half")
    return EndpointSecret(
        kind="ed25519", key=seed, public_key=PUBLIC_KEY_PREFIX + base64.b64encode(public_key).decode()
    )


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise _unusable("what follows its prefix is not base64") from None


def _unusable(detail: str) -> InvalidInput:
    return InvalidInput("The endpoint secret is not usable.", [Flaw(pointer="#/secret", detail=detail)])
