"""A condition taken apart at its top-level `&&`, and the values that it names: what an explanation of it shows.

Guarantee: every part is a condition of its own, and their texts, joined by `&&`, mean the condition. Where it cannot be
taken apart, it is its own only part. The verdict on a condition is always the whole condition's: parts only say where.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from shared.domain.errors import InvalidInput
from shared.expressions.cel_paths import spell
from shared.expressions.conditions import Condition, compile_condition

CONJUNCTS_MAX: Final = 50
"""Each part costs a compilation, about half a millisecond; a condition of more parts is shown as one."""
_CACHE_ENTRIES: Final = 2_048


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedValue:
    """A path that a condition names, as its author writes it, and what is there; `present` is False where nothing is."""

    path: str
    present: bool
    value: object = None


def conjuncts_of(condition: Condition, roots: frozenset[str]) -> tuple[Condition, ...]:
    """Its parts in their order; `roots` as it was compiled with."""
    return _taken_apart(condition.text, roots) if condition.conjunctions else (condition,)


def values_named(condition: Condition, context: Mapping[str, object]) -> tuple[NamedValue, ...]:
    """All that evaluation can look at, in the order of the paths."""
    return tuple(_value_at(context, path) for path in condition.paths)


@lru_cache(maxsize=_CACHE_ENTRIES)
def _taken_apart(text: str, roots: frozenset[str]) -> tuple[Condition, ...]:
    whole = compile_condition(text, roots=roots)
    if not 0 < len(whole.conjunctions) < CONJUNCTS_MAX:
        return (whole,)
    inner = _compiled(text.strip()[1:-1], roots) if _is_in_parentheses(text) else None
    if inner is not None:
        return _taken_apart(inner.text, roots)
    parts: list[Condition] = []
    waiting = ""
    for piece in _pieces(text, whole.conjunctions):
        waiting = f"{waiting}&&{piece}" if waiting else piece
        # A piece that is no condition ends within parentheses: it goes on behind the next &&.
        part = _compiled(waiting.strip(), roots)
        if part is not None:
            parts += _taken_apart(part.text, roots) if waiting != text else (part,)
            waiting = ""
    return tuple(parts) if not waiting else (whole,)


def _pieces(text: str, offsets: tuple[int, ...]) -> list[str]:
    starts = [0, *(offset + 2 for offset in offsets)]
    return [text[start:end] for start, end in zip(starts, [*offsets, len(text)], strict=True)]


def _is_in_parentheses(text: str) -> bool:
    stripped = text.strip()
    return stripped.startswith("(") and stripped.endswith(")")


def _compiled(text: str, roots: frozenset[str]) -> Condition | None:
    try:
        return compile_condition(text, roots=roots)
    except InvalidInput:
        return None


def _value_at(context: Mapping[str, object], path: tuple[str, ...]) -> NamedValue:
    value: object = context
    for segment in path:
        if not isinstance(value, Mapping) or segment not in value:
            return NamedValue(path=spell(path), present=False)
        value = value[segment]
    return NamedValue(path=spell(path), present=True, value=value)
