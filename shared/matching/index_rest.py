"""What is still asked of a rule once it was met: its other fields, as a function of the event.

Rules that ask for the same share one function, written for the second of them: it knows its paths and its strings and
costs little more than its own call. A rule that asks for something of its own is asked field by field.
Guarantee: it says what `evaluate.py` would, for events that had no array on the way to the rule; where the remaining
fields find arrays, keys with dots or duplicate members, `evaluate.py` is asked.
Next: `lookup.py`, the plain value at a path.
"""

from collections.abc import Callable
from typing import Any, Final, Protocol

from shared.matching.asking import Asking
from shared.matching.evaluate import alternative_matches, plain_holds
from shared.matching.event import EventFields
from shared.matching.index_source import Source, as_parsed
from shared.matching.lookup import SEVERAL
from shared.matching.pattern import Alternative, FieldPattern

_SHARED_MAX: Final = 4_096


class Asked(Protocol):
    """A rule as it is filed."""

    rule_id: Any  # Any: whatever the index is of
    alternative: Alternative
    remaining: tuple[FieldPattern, ...]


Meet = Callable[[EventFields, Any, list[Any]], None]
"""`meet(event, asked, found)` adds the rule's id if the event has the rest too."""


class Rests:
    """The functions of one level, by what they ask."""

    __slots__ = ("_asking", "_known")

    def __init__(self, asking: Asking) -> None:
        self._asking = asking
        self._known: dict[tuple[FieldPattern, ...], tuple[tuple[FieldPattern, ...], Meet | None]] = {}

    def of(self, fields: tuple[FieldPattern, ...]) -> tuple[tuple[FieldPattern, ...], Meet]:
        """The same fields, as one object for all rules that ask for them, and the function."""
        if not fields:
            return (), _meet_at_once
        known = self._known.get(fields)
        if known is None:
            if len(self._known) >= _SHARED_MAX:
                self._known.clear()
            self._known[fields] = (fields, None)
            return fields, self._meet_by_fields
        shared, meet = known
        if meet is None:
            meet = _written(shared, self._asking)
            self._known[fields] = (shared, meet)
        return shared, meet

    def _meet_by_fields(self, event: EventFields, asked: Asked, found: list[Any]) -> None:
        if rest_holds(asked, event, self._asking, ask_all=False):
            found.append(asked.rule_id)


def rest_holds(asked: Asked, event: EventFields, asking: Asking, *, ask_all: bool) -> bool:
    """Whether the rest holds. `ask_all`: what was looked at on the way may lie in different elements of an array.

    A field outside arrays that fails decides; so does the rest, if no other field lies in an array. Raises `TooMuchWork`.
    """
    for field in asked.remaining:
        value = asking.lookups[field.path].value(event)
        if value is SEVERAL:
            ask_all = True
        elif not plain_holds(field, value):
            return False
    return not ask_all or alternative_matches(asked.alternative, asking.looked(event))


def _meet_at_once(event: EventFields, asked: Asked, found: list[Any]) -> None:
    del event
    found.append(asked.rule_id)


def _written(fields: tuple[FieldPattern, ...], asking: Asking) -> Meet:
    """Strings at the top level and one below are compared on the spot; whatever else is there, all is asked again."""

    def all_asked(event: EventFields, asked: Asked, found: list[Any]) -> None:
        if rest_holds(asked, event, asking, ask_all=False):
            found.append(asked.rule_id)

    source = Source()
    again = source.bind(all_asked)
    otherwise = f"return {again}(event, asked, found)"
    others = []
    for field in fields:
        outer, dot, inner = field.path.partition(".")
        if field.texts is None or field.or_absent or "." in inner:
            others.append(field)
            continue
        node = "event"
        if dot:
            source.line(0, f"if {source.bind(as_parsed(field.path))} in event: {otherwise}")
            source.line(0, f"node = event.get({source.bind(as_parsed(outer))})")
            source.line(0, f"if type(node) is not dict: {otherwise}")
            node = "node"
        source.line(0, f"value = {node}.get({source.bind(as_parsed(inner or outer))})")
        source.line(0, f"if type(value) is not str: {otherwise}")
        source.line(0, f"if value not in {source.bind(field.texts)}: return")
    for field in others:
        source.line(0, f"value = {source.bind(asking.lookups[field.path].value)}(event)")
        source.line(0, f"if value is {source.bind(SEVERAL)}: {otherwise}")
        source.line(0, f"if not {source.bind(plain_holds)}({source.bind(field)}, value): return")
    source.line(0, "found.append(asked.rule_id)")
    return source.function("event", "asked", "found")
