"""W3C trace context: the caller's `traceparent` where it is one, else a new trace.

A record keeps the traceparent of the request that made it, so that a trace leads on through the log.
"""

import re

from shared.domain.clock import Randomness

_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?")
_VERSION_0_CHARACTERS = 55


def traceparent_of(header: str | None, randomness: Randomness) -> str:
    """The header's trace, cut to the members that version 00 defines; a new, unsampled one where it is absent or broken."""
    if header is not None and _TRACEPARENT.fullmatch(header):
        if header[:2] != "00":
            return f"00{header[2:_VERSION_0_CHARACTERS]}"
        if len(header) == _VERSION_0_CHARACTERS:
            return header
    drawn = randomness.token_bytes(24).hex()
    return f"00-{drawn[:32]}-{drawn[32:]}-00"
