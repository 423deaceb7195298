"""Whether an event matches a pattern: the one evaluator behind the tester, the backtest, explain and the matcher.

An alternative matches where every field finds a value (or its allowed absence) such that no two fields stand in
different elements of one array (`elements.py`). The cost is linear in the values at the paths that the pattern names;
values outside arrays are asked first, and where they refuse, arrays are not looked at.
Next: `explain.py` says why; `index.py` asks 100,000 patterns at once.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from shared.matching.elements import Column, choose_elements
from shared.matching.event import EventFields
from shared.matching.fields import Place
from shared.matching.looked import Looked, value_holds
from shared.matching.lookup import MISSING, SEVERAL
from shared.matching.pattern import Alternative, FieldPattern, Pattern
from shared.matching.work import TooMuchWork, Work

_COMPARED_PER_UNIT: Final = 4


def matches(pattern: Pattern, event: EventFields) -> bool:
    """Whether the event matches. Raises `TooMuchWork`."""
    return first_matching(pattern.alternatives, Looked(event, Work())) is not None


def verdict(alternatives: Iterable[Alternative], looked: Looked) -> bool | None:
    """Whether one of them matches. None: the event's work does not suffice to tell."""
    try:
        return first_matching(alternatives, looked) is not None
    except TooMuchWork:
        return None


def first_matching(alternatives: Iterable[Alternative], looked: Looked) -> Alternative | None:
    """The first that is known to match. Raises `TooMuchWork` where none is, and of some it cannot be told."""
    is_open = False
    for alternative in alternatives:
        try:
            if alternative_matches(alternative, looked):
                return alternative
        except TooMuchWork:
            is_open = True
    if is_open:
        raise TooMuchWork
    return None


def alternative_matches(alternative: Alternative, looked: Looked) -> bool:
    """Whether one alternative matches the event's tree. Raises `TooMuchWork`."""
    several: list[FieldPattern] = []
    for field in alternative.fields:
        value = looked.value(field.path)
        if value is SEVERAL:
            several.append(field)
        elif not plain_holds(field, value):
            return False
    return not several or _can_hold_together(several, looked)


def _can_hold_together(fields: Sequence[FieldPattern], looked: Looked) -> bool:
    """Of fields whose values are not plain; those outside arrays hold whatever is chosen."""
    in_arrays: list[FieldPattern] = []
    alone_holds = True
    for field in fields:
        spread = looked.spread(field.path)
        is_held = looked.holds_some(field, spread)
        if not is_held and not (field.or_absent and (spread.is_in_arrays or not spread.values)):
            return False
        if spread.is_in_arrays:
            in_arrays.append(field)
            alone_holds = is_held
    if len(in_arrays) < 2:  # one alone is absent only where there is nothing
        return alone_holds
    told = _by_common_elements(in_arrays, looked)
    return told if told is not None else stuck_at(in_arrays, looked) is None


def _by_common_elements(fields: Sequence[FieldPattern], looked: Looked) -> bool | None:
    """The same without a search, where each field's values lie in elements of one array, as mostly; None: they do not."""
    common: dict[int, frozenset[Place]] = {}
    for field in fields:
        spread = looked.spread(field.path)
        array = 0 if field.or_absent else spread.only_array(looked.work)
        if not array:
            return None
        places = looked.held_places(field, spread)
        if array in common:
            looked.work.spend(min(len(places), len(common[array])) // _COMPARED_PER_UNIT)
            places &= common[array]
            if not places:
                return False
        common[array] = places
    return True


def stuck_at(fields: Sequence[FieldPattern], looked: Looked) -> int | None:
    """Where fields that hold one by one cannot hold together: the number of the field that no choice got past; None: they
    can. Raises `TooMuchWork`."""
    columns = []
    for field in fields:
        spread = looked.spread(field.path)
        columns.append(Column(spread=spread, held=looked.held(field, spread), or_absent=field.or_absent))
    return choose_elements(columns, looked.work)


def field_holds(field: FieldPattern, looked: Looked) -> bool:
    """Whether a field can hold when looked at alone, whatever elements the others stand in. Raises `TooMuchWork`."""
    spread = looked.spread(field.path)
    if field.or_absent and (not spread.values or spread.is_in_arrays):
        return True  # of values in arrays only the search can tell whether they are out of reach
    return looked.holds_some(field, spread)


def plain_holds(field: FieldPattern, value: Any) -> bool:  # Any: a JSON scalar, a LossyNumber or MISSING
    """Whether a field holds where `value` is all that lies at its path."""
    if value is MISSING:
        return field.or_absent
    return value in field.texts if field.texts is not None else value_holds(field, value)
