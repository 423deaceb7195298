"""The catalogue of platform event types: what workflows can count on, whoever publishes.

Guarantee: every example is valid by its own schema. A type that is shipped never loses or retypes a field; it may gain
optional ones. Types that are not listed here (`github.push`, a tenant's own) pass unchecked. What upstreams have appended to
Kafka themselves is judged whenever it is read: whoever lists a type that they use already raises `MODEL_VERSION` with it.
Next: `schemas/commerce.py`, `schemas/operations.py` and `schemas/own.py` for the types themselves.
"""

from collections.abc import Mapping
from types import MappingProxyType

from shared.domain.schemas.commerce import COMMERCE
from shared.domain.schemas.event_type import EventType
from shared.domain.schemas.operations import OPERATIONS
from shared.domain.schemas.own import OWN

__all__ = ["EventType", "all_types", "lookup"]

_BY_NAME: Mapping[str, EventType] = MappingProxyType({each.name: each for each in (*COMMERCE, *OPERATIONS, *OWN)})


def lookup(type_name: str) -> EventType | None:
    """The type of that exact name."""
    return _BY_NAME.get(type_name)


def all_types() -> tuple[EventType, ...]:
    """Every type, in the order that the documentation shows."""
    return tuple(_BY_NAME.values())
