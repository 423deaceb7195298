"""The shape of a catalogue entry, and the words that its schemas are written with.

Schemas describe `data`. Unknown fields are allowed, so that a publisher may say more tomorrow; a field that is unknown
is left out, never null. `raw` is the vendor's own payload where the event came from a vendor.
"""

from collections.abc import Mapping
from dataclasses import dataclass

Schema = dict[str, object]

AMOUNT_MINOR_MAX = 2**53 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class EventType:
    """One type of platform event. `schema` is JSON Schema 2020-12 of `data`; each of `examples` is valid by it."""

    name: str
    title: str
    description: str
    schema: Mapping[str, object]
    published_by: tuple[str, ...]
    examples: tuple[Mapping[str, object], ...]


def data_schema(title: str, *, required: tuple[str, ...], properties: dict[str, Schema]) -> Schema:
    """The schema of an event's data."""
    raw: Schema = {"description": "The vendor's payload as it came, where the event came from a vendor."}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        "type": "object",
        "required": list(required),
        "properties": {**properties, "raw": raw},
    }


def string(description: str, *, min_length: int = 1) -> Schema:
    return {"type": "string", "minLength": min_length, "description": description}


def boolean(description: str) -> Schema:
    return {"type": "boolean", "description": description}


def count(description: str) -> Schema:
    return {"type": "integer", "minimum": 0, "description": description}


def instant(description: str) -> Schema:
    return {"type": "string", "format": "date-time", "description": description}


def strings(description: str) -> Schema:
    return {"type": "array", "items": {"type": "string"}, "description": description}


def string_map(description: str) -> Schema:
    return {"type": "object", "additionalProperties": {"type": "string"}, "description": description}


def one_of(description: str, *values: str) -> Schema:
    return {"type": "string", "enum": list(values), "description": description}


def amount_minor(description: str) -> Schema:
    return {"type": "integer", "minimum": 0, "maximum": AMOUNT_MINOR_MAX, "description": description}


def currency() -> Schema:
    return {"type": "string", "pattern": "^[A-Z]{3}$", "description": "ISO 4217 code of amount_minor's currency."}
