"""What the vendors' signature schemes share. All of it takes anything that a header may hold and never raises.

Comparison is in constant time and by bytes as the vendor prints them: no trimming, no folding of case, because a
proxy that changes a signature may have changed the body too.
"""

import hashlib
import hmac
import re
from collections.abc import Callable, Iterable, Sequence

from services.ingest.sources import Delivery, Refused, Verified

TOLERANCE_SECONDS = 300
"""How far a signed timestamp may lie from our clock: what the schemes' own libraries allow."""

NAME_CHARACTERS_MAX = 200

_UNIX_SECONDS = re.compile(r"[0-9]{1,12}")


def header_bytes(text: str) -> bytes:
    """The bytes of a header's value as they came (aiohttp reads undecodable ones as lone surrogates)."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def secret_bytes(secret: str) -> bytes:
    """The key of a scheme that takes the secret literally."""
    return secret.encode("utf-8", "surrogatepass")


def hmac_sha256(key: bytes, content: bytes) -> bytes:
    return hmac.digest(key, content, "sha256")


def missing(header: str) -> Refused:
    return Refused(reason="missing_header", detail=f"the header {header} is missing")


def malformed(header: str, want: str) -> Refused:
    return Refused(reason="malformed_header", detail=f"the header {header} is not {want}")


def unix_seconds(text: str) -> int | None:
    """A timestamp header: plain ASCII digits or nothing."""
    return int(text) if _UNIX_SECONDS.fullmatch(text) else None


def refuse_stale(delivery: Delivery, timestamp: int, *, future_too: bool = True) -> Refused | None:
    """Refuses a timestamp further than the tolerance from the time of receipt; the boundary itself is accepted."""
    if delivery.received_at is None:
        return None
    age = delivery.received_at - timestamp
    if age > TOLERANCE_SECONDS:
        return Refused(reason="stale_timestamp", detail=f"signed {age:.0f} s ago; at most {TOLERANCE_SECONDS} s pass")
    if future_too and -age > TOLERANCE_SECONDS:
        return Refused(
            reason="stale_timestamp", detail=f"signed {-age:.0f} s in our future; at most {TOLERANCE_SECONDS} s pass"
        )
    return None


def verify_any(
    secrets: Sequence[str], candidates: Iterable[str], expect: Callable[[str], bytes | None]
) -> Verified | Refused:
    """Whether one of the candidate signatures is what one of the secrets expects.

    `expect` gives a secret's signature as the vendor would print it, None where the secret cannot sign.
    An empty secret never counts: it would let anybody sign.
    """
    given = [header_bytes(candidate) for candidate in candidates]
    usable = False
    for index, secret in enumerate(secrets):
        expected = expect(secret) if secret else None
        if expected is None:
            continue
        usable = True
        if any(hmac.compare_digest(expected, each) for each in given):
            return Verified(secret_index=index)
    if not usable:
        return Refused(reason="no_secret", detail="the source has no usable secret")
    return Refused(reason="signature_mismatch", detail="no signature matches the body with any current secret")


def bound_to_body(vendor_id: str, body: bytes) -> str:
    """A delivery's name from an id that the signature does not cover: only the same bytes again are the same delivery,
    so a forged id cannot hide another body."""
    return f"{printable(vendor_id)}.{hashlib.sha256(body).hexdigest()[:32]}"


def signed_moment(timestamp: str, body: bytes) -> str:
    """A delivery's name from its signed timestamp, where the vendor gives no id."""
    return f"{printable(timestamp)}.{hashlib.sha256(body).hexdigest()}"


def printable(text: str) -> str:
    """Any text made fit for names: valid Unicode, short, and different for different texts."""
    clean = text.encode("utf-8", "backslashreplace").decode()
    if len(clean) <= NAME_CHARACTERS_MAX:
        return clean
    return f"{clean[:100]}.{hashlib.sha256(clean.encode()).hexdigest()}"
