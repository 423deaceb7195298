"""Whether an event matches a pattern: the one evaluator behind the tester, the backtest, explain and the matcher.

An alternative matches where every field finds a value (or its allowed absence) such that no two fields stand in
different elements of one array (`elements.py`). The cost is linear in the values at the paths that the pattern names.
Next: `explain.py` says why; `index.py` asks 100,000 patterns at once.
"""

from operator import itemgetter

from shared.matching.elements import choose_elements, column_of
from shared.matching.event import EventFields
from shared.matching.fields import Leaf, leaves_at
from shared.matching.pattern import Alternative, FieldPattern, Pattern

_PLACE = itemgetter(1)


def matches(pattern: Pattern, event: EventFields) -> bool:
    """Whether the event matches."""
    return any(alternative_matches(alternative, event) for alternative in pattern.alternatives)


def alternative_matches(alternative: Alternative, event: EventFields) -> bool:
    """Whether one alternative matches the event's tree."""
    found: list[tuple[FieldPattern, list[Leaf], list[bool]]] = []
    in_arrays = False
    for field in alternative.fields:
        leaves = leaves_at(event, field.path)
        held = [value_holds(field, value) for value, _ in leaves]
        is_in_arrays = any(map(_PLACE, leaves))
        if True not in held and not (field.or_absent and (is_in_arrays or not leaves)):
            return False
        in_arrays = in_arrays or is_in_arrays
        found.append((field, leaves, held))
    if not in_arrays or (len(found) == 1 and True in found[0][2]):
        return True
    columns = [column_of(leaves, held, or_absent=field.or_absent) for field, leaves, held in found]
    return choose_elements(columns).stuck_at is None


def stuck_at(found: list[tuple[FieldPattern, list[Leaf]]]) -> int | None:
    """Where fields that hold one by one cannot hold together: the number of the field that no choice got past."""
    columns = [
        column_of(leaves, [value_holds(field, value) for value, _ in leaves], or_absent=field.or_absent)
        for field, leaves in found
    ]
    return choose_elements(columns).stuck_at


def field_holds(field: FieldPattern, leaves: list[Leaf]) -> bool:
    """Whether a field can hold when looked at alone, whatever elements the others stand in."""
    if field.or_absent and (not leaves or any(map(_PLACE, leaves))):
        return True  # of values in arrays only the search can tell whether they are out of reach
    return any(value_holds(field, value) for value, _ in leaves)


def value_holds(field: FieldPattern, value: object) -> bool:
    """Whether one of a field's operators holds for a value."""
    for operator in field.operators:  # noqa: SIM110  # a generator would cost as much again as the operator
        if operator.holds(value):
            return True
    return False
