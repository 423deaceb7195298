"""Whether an event matches a pattern: the one evaluator behind the tester, the backtest, explain and the matcher.

An alternative matches where every field finds a value (or its allowed absence) such that no two fields stand in
different elements of one array (`elements.py`). The cost is linear in the values at the paths that the pattern names.
Next: `explain.py` says why; `index.py` asks 100,000 patterns at once.
"""

from shared.matching.elements import choose_elements, column_of
from shared.matching.event import EventFields
from shared.matching.fields import Leaf, leaves_at
from shared.matching.pattern import Alternative, FieldPattern, Pattern


def matches(pattern: Pattern, event: EventFields) -> bool:
    """Whether the event matches."""
    return any(alternative_matches(alternative, event) for alternative in pattern.alternatives)


def alternative_matches(alternative: Alternative, event: EventFields) -> bool:
    """Whether one alternative matches the event's tree."""
    found: list[tuple[FieldPattern, list[Leaf]]] = []
    in_arrays = False
    for field in alternative.fields:
        leaves = leaves_at(event, field.path)
        if not field_holds(field, leaves):
            return False
        found.append((field, leaves))
        in_arrays = in_arrays or any(place for _, place in leaves)
    return not in_arrays or stuck_at(found) is None


def stuck_at(found: list[tuple[FieldPattern, list[Leaf]]]) -> int | None:
    """Where fields that hold one by one cannot hold together: the number of the field that no choice got past."""
    columns = [
        column_of(leaves, [value_holds(field, value) for value, _ in leaves], or_absent=field.or_absent)
        for field, leaves in found
    ]
    return choose_elements(columns).stuck_at


def field_holds(field: FieldPattern, leaves: list[Leaf]) -> bool:
    """Whether a field can hold when looked at alone, whatever elements the others stand in."""
    if field.or_absent and (not leaves or any(place for _, place in leaves)):
        return True  # of values in arrays only the search can tell whether they are out of reach
    return any(value_holds(field, value) for value, _ in leaves)


def value_holds(field: FieldPattern, value: object) -> bool:
    """Whether one of a field's operators holds for a value."""
    return any(operator.holds(value) for operator in field.operators)
