"""Where a page ended: opaque to callers, versioned, so that an old link fails plainly and never shows wrong rows. Pure.

A cursor holds the sort key of the last row shown (keyset paging): rows that arrive meanwhile shift nothing.
"""

import base64
import binascii
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson

from shared.domain.errors import Flaw, InvalidInput

_VERSION = 1
_NUL = "\0"  # which no text of PostgreSQL holds


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """The last row shown of a list named `kind`: its instant (or its name, for lists by name) and its id."""

    kind: str
    after: datetime | str
    id: str


def write_cursor(cursor: Cursor) -> str:
    """URL-safe text."""
    after = [cursor.after.isoformat()] if isinstance(cursor.after, datetime) else cursor.after
    packed = orjson.dumps([_VERSION, cursor.kind, after, cursor.id])
    return base64.urlsafe_b64encode(packed).rstrip(b"=").decode()


def read_cursor(kind: str, text: str) -> Cursor:
    """The cursor of a list named `kind`. Raises InvalidInput for any other text."""
    try:
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        match orjson.loads(base64.b64decode(padded, altchars=b"-_", validate=True)):
            case [int(version), str(found), [str(instant)], str(last)] if (version, found) == (_VERSION, kind):
                parsed = datetime.fromisoformat(instant)
                if parsed.tzinfo is not None and _NUL not in last:
                    return Cursor(kind=kind, after=parsed.astimezone(UTC), id=last)
            case [int(version), str(found), str(name), str(last)] if (version, found) == (_VERSION, kind):
                if _NUL not in name + last:
                    return Cursor(kind=kind, after=name, id=last)
    except (ValueError, OverflowError, binascii.Error):
        pass
    raise InvalidInput(
        "This cursor cannot be used.",
        [Flaw(pointer="#/cursor", detail=f"not a cursor of the list of {kind}; begin without one")],
    )
