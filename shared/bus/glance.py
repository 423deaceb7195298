"""What event patterns can see of an event without decoding it: most events concern nobody, and cost a third that way.

Only of what Upshot itself encoded, in the one version that events have: nothing in it can be amiss, so that whoever passes it by
has missed nothing. A test holds it to what decoding gives.
Next: `codec.py`.
"""

from collections.abc import Collection, Mapping

from shared.bus.codec import CONTENT_TYPE
from shared.bus.port import Record

_HEADERS = {
    name: f"ce_{name}"
    for name in ("id", "source", "type", "tenantid", "subject", "correlationid", "causationid", "replayid")
}
"""Of the attributes that patterns see as the header has them."""
_WRITTEN_ANEW = frozenset({"time", "specversion"})
"""Attributes that patterns see in one form, whatever the header's."""


def glance(record: Record) -> Mapping[str, bytes] | None:
    """The headers; None where it takes decoding."""
    if record.foreign or record.origin is not None:
        return None
    headers = dict(record.headers)
    if (
        headers.get("ce_specversion") != b"1.0"
        or headers.get(CONTENT_TYPE) != b"application/json"
        or "ce_recordversion" in headers
        or not (
            headers.get("ce_id") and headers.get("ce_source") and headers.get("ce_type") and headers.get("ce_tenantid")
        )
    ):
        return None
    return headers


def attributes_seen(headers: Mapping[str, bytes], names: Collection[str]) -> dict[str, str] | None:
    """What patterns that look at these attributes see; None where it takes decoding."""
    seen = {}
    for name in names:
        header = _HEADERS.get(name)
        if header is not None:
            value = headers.get(header)
            if value:
                seen[name] = value.decode()
        elif name in _WRITTEN_ANEW:
            return None
    return seen
