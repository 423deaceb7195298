"""One choice of array elements for all fields of an alternative: no two fields in different elements of one array.

Fields are taken in the order of their paths. An absence (`exists: false`) asks whether a value could still be reached
from the elements chosen so far; with none chosen, whether the path has any value at all.
Guarantee: linear in the number of values. What was tried from the same elements is remembered, elements that no
later field can see are forgotten, and paths in that order enter and leave each array once. Only an event that spells
one path twice (`a.b` beside `a` with `b`) can make choices multiply; that ends with the event's work.
Next: `evaluate.py`, its caller.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from shared.matching.fields import Leaf, Place
from shared.matching.work import Work

_FILTER_UNITS: Final = 3  # of work, for a value that is compared with the elements chosen
_JOIN_UNITS: Final = 8  # for a value whose elements are added to those chosen


class Spread:
    """All values at one path of an event, with the elements that they lie in, ready to be asked for those that chosen
    elements leave in reach. `arrays` and `whole` are there once it was arranged."""

    __slots__ = ("_by_element", "_only_array", "_texts", "arrays", "is_in_arrays", "places", "values", "whole")

    def __init__(self, leaves: Sequence[Leaf]) -> None:
        self.values: list[Any] = [value for value, _ in leaves]  # Any: JSON scalars and LossyNumbers
        self.places: list[Place] = [place for _, place in leaves]
        self.is_in_arrays = any(self.places)
        self.arrays: frozenset[int] = frozenset()
        self.whole: set[int] = set()
        """Arrays such that every value that lies where the array does lies in the array."""
        self._by_element: dict[tuple[int, int], list[int]] | None = None  # an element: the numbers of the values in it
        self._texts: frozenset[str] | None = None
        self._only_array: int | None = None

    def texts(self, work: Work) -> frozenset[str]:
        """The strings among the values. Raises `TooMuchWork`."""
        if self._texts is None:
            work.spend(len(self.values))
            self._texts = frozenset(value for value in self.values if type(value) is str)
        return self._texts

    def only_array(self, work: Work) -> int:
        """The array of which every value lies in an element, and in no other; 0: there is no such. Raises `TooMuchWork`."""
        if self._only_array is None:
            work.spend(len(self.places))
            arrays = {place[0][0] if len(place) == 1 else 0 for place in self.places}
            self._only_array = arrays.pop() if len(arrays) == 1 else 0
        return self._only_array

    def arrange(self, work: Work) -> None:
        """Sort the values by their elements, if that is not done yet. Raises `TooMuchWork`."""
        if self._by_element is not None:
            return
        work.spend(len(self.places) + 2 * sum(map(len, self.places)))
        by_element: dict[tuple[int, int], list[int]] = {}
        in_array: dict[int, int] = {}
        parents: dict[int, tuple[int, int] | None] = {}
        for number, place in enumerate(self.places):
            parent: tuple[int, int] | None = None
            for pair in place:
                by_element.setdefault(pair, []).append(number)
                in_array[pair[0]] = in_array.get(pair[0], 0) + 1
                parents[pair[0]] = parent
                parent = pair
        for array, parent in parents.items():  # parents come first: a place lists them so
            if parent is None:
                if in_array[array] == len(self.places):
                    self.whole.add(array)
            elif parent[0] in self.whole and in_array[array] == len(by_element[parent]):
                self.whole.add(array)
        self.arrays = frozenset(in_array)
        self._by_element = by_element

    def in_reach(self, chosen: Place, work: Work) -> Sequence[int]:
        """The numbers of the values that lie in no other element of a chosen array. Raises `TooMuchWork`."""
        assert self._by_element is not None
        visible = [pair for pair in chosen if pair[0] in self.arrays]
        bounding = [self._by_element.get(pair, ()) for pair in visible if pair[0] in self.whole]
        candidates: Sequence[int] = min(bounding, key=len) if bounding else range(len(self.places))
        if len(bounding) == len(visible) <= 1 or not candidates:
            work.spend(1 + len(candidates))
            return candidates
        work.spend(1 + _FILTER_UNITS * len(candidates))
        at = dict(visible)
        return [
            number
            for number in candidates
            if all(at.get(array, index) == index for array, index in self.places[number])
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """The values of one field; `held` says for each whether an operator holds."""

    spread: Spread
    held: list[bool]
    or_absent: bool


def choose_elements(columns: Sequence[Column], work: Work) -> int | None:
    """Search for one choice of array elements that serves all columns: None, else the number of the column that no choice got
    past. Raises `TooMuchWork`."""
    seen_later: list[frozenset[int]] = [frozenset()]
    for column in reversed(columns):
        column.spread.arrange(work)
        seen_later.append(seen_later[-1] | column.spread.arrays)
    seen_later.reverse()

    deepest = 0
    tried: set[tuple[int, Place]] = set()
    ways = [_next_choices(columns[0], (), seen_later[1], work)]
    while ways:
        choice = next(ways[-1], None)
        if choice is None:
            ways.pop()
            continue
        number = len(ways)
        if number == len(columns):
            return None
        if (number, choice) not in tried:
            tried.add((number, choice))
            deepest = max(deepest, number)
            ways.append(_next_choices(columns[number], choice, seen_later[number + 1], work))
    return deepest


def _next_choices(column: Column, chosen: Place, matters: frozenset[int], work: Work) -> Iterator[Place]:
    """What is chosen once a value of the column is, or its absence. In the order of the values: what a search costs must not
    depend on where in memory the arrays lie."""
    spread, held = column.spread, column.held
    reachable = spread.in_reach(chosen, work)
    if spread.arrays.isdisjoint(matters):
        if any(held[value] for value in reachable):
            yield _joined(chosen, (), matters)
    else:
        for value in reachable:
            if held[value]:
                work.spend(_JOIN_UNITS)
                yield _joined(chosen, spread.places[value], matters)
    if column.or_absent and not reachable:
        yield _joined(chosen, (), matters)


def _joined(chosen: Place, place: Place, matters: frozenset[int]) -> Place:
    """Both choices as one, without what no later column sees; sorted, so that equal choices are equal."""
    return tuple(sorted({pair for pair in (*chosen, *place) if pair[0] in matters}))
