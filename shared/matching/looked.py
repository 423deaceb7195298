"""One event as it was looked at so far: what lies at each path, and which values each field holds, found once for all rules.

Guarantee: `spread` is what `fields.leaves_at` finds, `held` what `value_holds` says. Both are spent from one `Work`.
Next: `evaluate.py`, which asks it.
"""

from collections.abc import Callable
from functools import lru_cache
from itertools import compress
from typing import Any, Final

from shared.matching.elements import Spread
from shared.matching.event import EventFields
from shared.matching.fields import Place, leaves_at
from shared.matching.lookup import PathLookup
from shared.matching.pattern import FieldPattern
from shared.matching.work import Work

_FEW: Final = 32  # values that are put to a field again sooner than an equal field is found
_OPERATOR_UNITS: Final = 2

lookup_of = lru_cache(maxsize=4_096)(PathLookup)


class Looked:
    """For one event and one `Work`."""

    __slots__ = ("_held", "_held_places", "_lookup", "_spreads", "array_names", "event", "work")

    def __init__(self, event: EventFields, work: Work, lookup: Callable[[str], PathLookup] = lookup_of) -> None:
        self.event = event
        self.work = work
        self.array_names: dict[int, str] = {}
        """Their paths, of all arrays that were on the way."""
        self._lookup = lookup
        self._spreads: dict[str, Spread] = {}
        self._held: dict[object, list[bool]] = {}
        self._held_places: dict[object, frozenset[Place]] = {}

    def value(self, path: str) -> Any:  # Any: a JSON scalar or a sentinel
        """The plain value; see `lookup.py` for where it takes more to tell."""
        return self._lookup(path).value(self.event)

    def spread(self, path: str) -> Spread:
        """All values at a path. Raises `TooMuchWork`."""
        found = self._spreads.get(path)
        if found is None:
            self.work.spend(1)
            found = self._spreads[path] = Spread(leaves_at(self.event, path, self.work, self.array_names))
        return found

    def holds_some(self, field: FieldPattern, spread: Spread) -> bool:
        """Whether one of the values is held. Raises `TooMuchWork`."""
        if field.texts is None:
            return True in self.held(field, spread)
        self.work.spend(len(field.texts))
        return not spread.texts(self.work).isdisjoint(field.texts)

    def held(self, field: FieldPattern, spread: Spread) -> list[bool]:
        """For each value whether it is held. Raises `TooMuchWork`."""
        values, operators = spread.values, field.operators
        self.work.spend(1 + len(operators))
        key = _key(field, spread)
        found = self._held.get(key)
        if found is None:
            if field.texts is not None:
                self.work.spend(len(values))
                texts = field.texts
                found = [value in texts for value in values]
            else:
                self.work.spend(_OPERATOR_UNITS * len(values) * len(operators))
                found = [value_holds(field, value) for value in values]
            self._held[key] = found
        return found

    def held_places(self, field: FieldPattern, spread: Spread) -> frozenset[Place]:
        """Where the values that are held lie. Raises `TooMuchWork`."""
        self.work.spend(1 + len(field.operators))
        key = _key(field, spread)
        found = self._held_places.get(key)
        if found is None:
            held = self.held(field, spread)
            self.work.spend(len(held))
            found = self._held_places[key] = frozenset(compress(spread.places, held))
        return found


def _key(field: FieldPattern, spread: Spread) -> object:
    return field if len(spread.values) > _FEW else id(field)


def value_holds(field: FieldPattern, value: object) -> bool:
    """Whether one of a field's operators holds for a value."""
    for operator in field.operators:  # noqa: SIM110  # a generator would cost as much again as the operator
        if operator.holds(value):
            return True
    return False
