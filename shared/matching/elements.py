"""One choice of array elements for all fields of an alternative: no two fields in different elements of one array.

Fields are taken in the order of their paths. An absence (`exists: false`) asks whether a value could still be reached
from the elements chosen so far; with none chosen, whether the path has any value at all.
Guarantee: linear in the number of values. What was tried from the same elements is remembered, elements that no
later field can see are forgotten, and paths in that order enter and leave each array once. Only an event that spells
one path twice (`a.b` beside `a` with `b`) can make choices multiply; that ends after `STEPS_MAX`.
Next: `evaluate.py`, its caller.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.matching.fields import Leaf, Place

# About half a second. An alternative that is not decided by then counts as not held.
STEPS_MAX = 1_000_000


@dataclass(slots=True, kw_only=True)
class Column:
    """The values of one field, ready to be asked for those that chosen elements leave in reach."""

    or_absent: bool
    places: list[Place]
    held: list[bool]
    by_element: dict[tuple[int, int], list[int]]  # an element: the numbers of the values in it
    arrays: set[int]
    whole: set[int]  # arrays such that every value that lies where the array does lies in the array

    def in_reach(self, chosen: Place) -> tuple[Sequence[int], int]:
        """The values that lie in no other element of a chosen array, and how many had to be looked at."""
        visible = [pair for pair in chosen if pair[0] in self.arrays]
        bounding = [self.by_element.get(pair, ()) for pair in visible if pair[0] in self.whole]
        candidates: Sequence[int] = min(bounding, key=len) if bounding else range(len(self.places))
        if len(bounding) == len(visible) <= 1 or not candidates:
            return candidates, len(candidates)
        at = dict(visible)
        return [
            number
            for number in candidates
            if all(at.get(array, index) == index for array, index in self.places[number])
        ], len(candidates)


def column_of(leaves: list[Leaf], held: list[bool], *, or_absent: bool) -> Column:
    """The column of a field's values; `held` says for each whether an operator holds."""
    by_element: dict[tuple[int, int], list[int]] = {}
    in_array: dict[int, int] = {}
    parents: dict[int, tuple[int, int] | None] = {}
    for number, (_, place) in enumerate(leaves):
        parent: tuple[int, int] | None = None
        for pair in place:
            by_element.setdefault(pair, []).append(number)
            in_array[pair[0]] = in_array.get(pair[0], 0) + 1
            parents[pair[0]] = parent
            parent = pair
    whole: set[int] = set()
    for array, parent in parents.items():  # parents come first: a place lists them so
        if parent is None:
            if in_array[array] == len(leaves):
                whole.add(array)
        elif parent[0] in whole and in_array[array] == len(by_element[parent]):
            whole.add(array)
    return Column(
        or_absent=or_absent,
        places=[place for _, place in leaves],
        held=held,
        by_element=by_element,
        whole=whole,
        arrays=set(in_array),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ElementChoice:
    """Whether one choice serves all columns: `stuck_at` is None, else the column that no choice got past."""

    stuck_at: int | None
    steps: int


def choose_elements(columns: list[Column]) -> ElementChoice:
    """Search for one choice of array elements that serves all columns."""
    seen_later: list[frozenset[int]] = [frozenset()]
    for column in reversed(columns):
        seen_later.append(seen_later[-1] | column.arrays)
    seen_later.reverse()

    deepest = 0
    steps = 0
    tried: set[tuple[int, Place]] = set()
    waiting: list[tuple[int, Place]] = [(0, ())]
    while waiting and steps <= STEPS_MAX:
        number, chosen = waiting.pop()
        if number == len(columns):
            return ElementChoice(stuck_at=None, steps=steps)
        deepest = max(deepest, number)
        column, matters = columns[number], seen_later[number + 1]
        reachable, looked_at = column.in_reach(chosen)
        steps += 1 + looked_at
        next_choices = {_joined(chosen, column.places[value], matters) for value in reachable if column.held[value]}
        if column.or_absent and not reachable:
            next_choices.add(_joined(chosen, (), matters))
        for choice in next_choices:
            state = (number + 1, choice)
            if state not in tried:
                tried.add(state)
                waiting.append(state)
    return ElementChoice(stuck_at=deepest, steps=steps)


def _joined(chosen: Place, place: Place, matters: frozenset[int]) -> Place:
    """Both choices as one, without what no later column sees; sorted, so that equal choices are equal."""
    return tuple(sorted({pair for pair in (*chosen, *place) if pair[0] in matters}))
