"""A trigger's pattern as clauses: each field of the very pattern that the matcher asks, in the order and words of the document.

The verdicts are `shared/matching/explain.py`'s, hence the matcher's. Next: `triggers.py`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from shared.matching import ClauseExplanation, EventFields, Explanation
from shared.matching.literals import NumberLiteral
from shared.matching.pattern import FieldPattern
from shared.workflows.explaining.values import Clause, pointer_parts
from shared.workflows.explaining.words import entries_in_words, kind_of, value_in_words, why_not
from shared.workflows.hiding import HIDDEN, Hiding

CLAUSES_MAX = 100
"""Of one trigger that are shown. A pattern has at most 256 fields, but `$or` can write a thousand branches."""
REASONS_MAX = 8
VALUES_SHOWN_MAX = 5
_MISSING = object()


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a field of a pattern was written: `is_pattern`: at `pointer` stands a pattern, and the field within it;
    else something shorter stands there as a whole (`event: order.refunded`)."""

    pointer: str
    is_pattern: bool


def clauses_of(
    explanation: Explanation,
    origins: Mapping[str, "Origin"],
    document: Mapping[str, object],
    fields: EventFields,
    hiding: Hiding,
) -> tuple[tuple[Clause, ...], int]:
    """The clauses in the document's order, at most `CLAUSES_MAX`, and how many are left out.

    `origins`: per top-level field of the pattern, what of the document it comes from.
    """
    nearest = explanation.nearest
    counted = {each.pointer: each for each in nearest.clauses}
    found = dict(counted)
    for alternative in explanation.alternatives:
        for clause in alternative.clauses:
            found.setdefault(clause.pointer, clause)
    placed = [(_place(clause.pointer, origins), clause) for clause in found.values()]
    order = _order(document, [pointer for pointer, _ in placed])
    placed.sort(key=lambda each: (each[1].pointer not in counted, order[each[0]]))
    kept = sorted(placed[:CLAUSES_MAX], key=lambda each: order[each[0]])
    clauses = tuple(
        _clause(clause, pointer, document, fields, hiding, counted=clause.pointer in counted)
        for pointer, clause in kept
    )
    return clauses, len(placed) - len(kept)


def _place(pointer: str, origins: Mapping[str, Origin]) -> str:
    """Where a field of the pattern stands in the document."""
    origin = origins[pointer_parts(pointer)[0]]
    return origin.pointer + pointer.removeprefix("#") if origin.is_pattern else origin.pointer


def _order(document: Mapping[str, object], pointers: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """Sort keys: where each pointer stands when the document is read from its top."""
    orders: dict[str, tuple[int, ...]] = {}
    positions: dict[int, dict[str, int]] = {}
    for pointer in pointers:
        node: object = document
        key: list[int] = []
        for part in pointer_parts(pointer):
            if isinstance(node, Mapping):
                if id(node) not in positions:
                    positions[id(node)] = {str(name): at for at, name in enumerate(node)}
                key.append(positions[id(node)].get(part, len(node)))
                node = node.get(part)
            elif isinstance(node, list | tuple) and part.isdecimal() and int(part) < len(node):
                key.append(int(part))
                node = node[int(part)]
            else:
                break
        orders[pointer] = tuple(key)
    return orders


def written_at(document: Mapping[str, object], pointer: str) -> object:
    """What stands at a pointer of the document; None where nothing does."""
    node: object = document
    for part in pointer_parts(pointer):
        if isinstance(node, Mapping):
            node = node.get(part)
        elif isinstance(node, list | tuple) and part.isdecimal() and int(part) < len(node):
            node = node[int(part)]
        else:
            return None
    return node


def _clause(
    clause: ClauseExplanation,
    pointer: str,
    document: Mapping[str, object],
    fields: EventFields,
    hiding: Hiding,
    *,
    counted: bool,
) -> Clause:
    written = written_at(document, pointer)
    if isinstance(written, list | tuple) and len(written) == 1:
        pointer, written = f"{pointer}/0", written[0]
    if hiding.names_secret(clause.path):
        reasons: tuple[str, ...] = () if clause.holds else _hidden_reasons(clause)
        return Clause(
            pointer=pointer,
            path=clause.path,
            expected=HIDDEN,
            expected_in_words=HIDDEN,
            actual=(HIDDEN,) if clause.found else (),
            actual_left_out=0,
            actual_in_words=f"is {HIDDEN}" if clause.found or not clause.looked_at else "is absent",
            holds=clause.holds,
            reasons=reasons,
            counted=counted,
        )
    actual = tuple(hiding.shown(clause.path, value) for value in clause.values)
    nothing = ""
    if not clause.looked_at:
        nothing = f"was not looked at: {clause.reason}"
    elif not clause.found:
        nothing = _instead_of_values(fields, clause.path)
    return Clause(
        pointer=pointer,
        path=clause.path,
        expected=hiding.shown(clause.path, written),
        expected_in_words=entries_in_words(_entries(clause.field)),
        actual=actual,
        actual_left_out=clause.found - len(actual),
        actual_in_words=nothing or _actual_in_words(clause),
        holds=clause.holds,
        reasons=() if clause.holds else _reasons(clause, nothing),
        counted=counted,
    )


def _hidden_reasons(clause: ClauseExplanation) -> tuple[str, ...]:
    if not clause.looked_at:
        return (clause.reason,)
    return ("it is hidden, and is not what is expected",) if clause.found else ("the event has no value there",)


def _actual_in_words(clause: ClauseExplanation) -> str:
    shown = [value_in_words(value) for value in clause.values[:VALUES_SHOWN_MAX]]
    more = f" and {clause.found - len(shown)} more" if clause.found > len(shown) else ""
    return f"is {', '.join(shown)}{more}"


def _entries(field: FieldPattern) -> list[object]:
    """As a pattern writes them; numbers stay numbers, however many digits they have."""
    entries = [each.number if isinstance(each, NumberLiteral) else each.describe() for each in field.operators]
    return [*entries, {"exists": False}] if field.or_absent else entries


def _reasons(clause: ClauseExplanation, nothing: str) -> tuple[str, ...]:
    if clause.held_apart:
        return (clause.reason,)
    if nothing:
        return (f"it {nothing}",)
    entries = _entries(clause.field)
    told: dict[str, None] = {}
    for value in clause.values:
        for entry in entries:
            said = value_in_words(value)
            for reason in why_not(entry, value):
                told[f"{said}: {reason}" if clause.found > 1 else reason] = None
    shown = list(told)[:REASONS_MAX]
    unseen = "" if clause.found <= len(clause.values) else f", of the first {len(clause.values)} values"
    return (*shown, f"and {len(told) - len(shown)} more{unseen}") if len(told) > len(shown) else tuple(shown)


def _instead_of_values(fields: EventFields, path: str) -> str:
    """What is at a path that has no plain value."""
    found = _node_at(fields, path)
    if isinstance(found, list | tuple):
        return "is an empty list" if not found else "is a list without plain values"
    if isinstance(found, Mapping):
        return f"is {kind_of(found)}, and a pattern compares plain values only"
    return "is absent"


def _node_at(node: object, path: str) -> object:
    if not isinstance(node, Mapping):
        return _MISSING
    if path in node:
        return node[path]
    head, dot, rest = path.partition(".")
    while dot:
        if head in node and (found := _node_at(node[head], rest)) is not _MISSING:
            return found
        more, dot, rest = rest.partition(".")
        head = f"{head}.{more}"
    return _MISSING
