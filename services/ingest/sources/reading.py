"""Reading a vendor's payload without trusting its shape: what is absent or of another type reads as None.

Also the alphabet of event types that come from outside. Next: `money.py`.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import parse_qsl

from services.ingest.sources import Delivery, Translated
from shared.domain.errors import Flaw, InvalidInput
from shared.domain.rfc3339 import parse

TYPE_CHARACTERS_MAX = 200
IDENTIFIER_CHARACTERS_MAX = 200
FORM_FIELDS_MAX = 200
_PARTS_KEPT_MAX = 1_000  # of at most twice `TYPE_CHARACTERS_MAX` each

_NOT_IN_A_TYPE = re.compile(r"[^A-Za-z0-9_.-]+")
_INDEX = re.compile(r"[0-9]{1,9}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_DOTS = re.compile(r"\.{2,}")
_UNIX_SECONDS_MAX = 253_402_300_799  # the last second of the year 9999


def member(value: object, *path: str) -> object:
    """What lies at the path of keys; digits also index arrays. None where there is nothing."""
    for step in path:
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and _INDEX.fullmatch(step) and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value


def text(value: object, *path: str) -> str | None:
    """A string that is not empty, without NUL characters, which no text column can hold."""
    found = member(value, *path)
    return found.replace("\0", "") or None if isinstance(found, str) else None


def identifier(value: object, *path: str) -> str | None:
    """An id, which vendors print as a string or an integer: at most 200 characters, none of them control characters."""
    found = member(value, *path)
    if isinstance(found, str):
        return None if not found or len(found) > IDENTIFIER_CHARACTERS_MAX or _CONTROL.search(found) else found
    return str(found) if isinstance(found, int) and not isinstance(found, bool) else None


def moment(value: object, *path: str) -> datetime | None:
    """An instant: unix seconds, or RFC 3339 text."""
    found = member(value, *path)
    if isinstance(found, int) and not isinstance(found, bool) and 0 <= found <= _UNIX_SECONDS_MAX:
        return datetime.fromtimestamp(found, UTC)
    if isinstance(found, str):
        try:
            return parse(found)
        except (ValueError, IndexError):
            return None
    return None


def present(**fields: object) -> dict[str, object]:
    """The fields that have a value. Platform events leave out what is unknown instead of saying null."""
    return {name: value for name, value in fields.items() if value is not None}


def event_type(*parts: str | None) -> str:
    """Parts joined by dots, in the alphabet `A-Z a-z 0-9 _ . -`, at most 200 characters, no empty segment.

    Runs of other characters become one `_`; a part that is None or of which nothing is left is skipped.
    """
    named = [_clean(part[: 2 * TYPE_CHARACTERS_MAX]) for part in parts if part is not None]
    return ".".join(part for part in named if part)[:TYPE_CHARACTERS_MAX].strip(".") or "unknown"


def untranslated(
    kind: str, *, subject: str | None = None, time: datetime | None = None, note: str | None = None, **fields: object
) -> tuple[Translated, ...]:
    """The one event of a delivery that no platform type fits. A subject that could be no id is left out."""
    return (Translated(type=kind, subject=identifier(subject), time=time, data=present(note=note, **fields)),)


def form_fields(delivery: Delivery) -> Mapping[str, str] | None:
    """The fields of a body that is an HTML form; None where it is something else. Raises InvalidInput."""
    content_type = delivery.headers.get("content-type") or ""
    if content_type.split(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        return None
    try:
        fields = parse_qsl(
            delivery.body.decode(), keep_blank_values=True, errors="strict", max_num_fields=FORM_FIELDS_MAX
        )
    except ValueError as error:
        raise InvalidInput("The form cannot be read.", [Flaw(pointer="#", detail=str(error))]) from None
    return dict(fields)


@lru_cache(_PARTS_KEPT_MAX)
def _clean(part: str) -> str:
    return _DOTS.sub(".", _NOT_IN_A_TYPE.sub("_", part)).strip(".")
