"""Filters over lists."""

import json
from typing import Final, TypeGuard

from shared.expressions.filters.numbers import plus
from shared.expressions.filters.values import as_list, as_number, as_text, kind
from shared.expressions.limits import Meter, RenderProblem

_ABSENT: Final = object()


def size(meter: Meter, value: object) -> int:
    """Characters, items or names."""
    return len(value) if isinstance(value, list | dict) else len(as_text(meter, value))


def first(meter: Meter, value: object) -> object:
    return _at(meter, value, 0, "first")


def last(meter: Meter, value: object) -> object:
    return _at(meter, value, -1, "last")


def reverse(meter: Meter, value: object) -> list[object]:
    return as_list(meter, value, "reverse")[::-1]


def concat(meter: Meter, value: object, other: object) -> list[object]:
    left, right = as_list(meter, value, "concat"), as_list(meter, other, "concat")
    meter.items(len(left) + len(right))
    return left + right


def compact(meter: Meter, value: object) -> list[object]:
    """Without nulls."""
    return [item for item in as_list(meter, value, "compact") if item is not None]


def map_(meter: Meter, value: object, name: object) -> list[object]:
    """What each object has under `name`; null where it has nothing."""
    return [_under(item, name, "map", None) for item in as_list(meter, value, "map")]


def where(meter: Meter, value: object, name: object, wanted: object = _ABSENT) -> list[object]:
    """Objects with `wanted` under `name`; without `wanted`, those with anything but false and null."""
    items = as_list(meter, value, "where")
    if wanted is _ABSENT:
        return [item for item in items if _under(item, name, "where", None) not in (None, False)]
    return [item for item in items if _same(_under(item, name, "where", None), wanted)]


def sort(meter: Meter, value: object, name: object = _ABSENT) -> list[object]:
    """Numbers or texts, or objects by what they have under `name`; nulls last."""
    items = as_list(meter, value, "sort")
    keys = items if name is _ABSENT else [_under(item, name, "sort", None) for item in items]
    pairs = [(key, item) for key, item in zip(keys, items, strict=True) if key is not None]
    meter.spend(sum(len(key) for key, _ in pairs if isinstance(key, str)))
    numbers = [(key, item) for key, item in pairs if _is_number(key)]
    texts = [(key, item) for key, item in pairs if isinstance(key, str)]
    if len(pairs) not in (len(numbers), len(texts)):
        raise RenderProblem("sort takes numbers only or texts only; for objects, name what to sort by")
    ordered = (
        [item for _, item in sorted(numbers, key=_number_of)]
        if numbers
        else [item for _, item in sorted(texts, key=_text_of)]
    )
    return ordered + [item for key, item in zip(keys, items, strict=True) if key is None]


def uniq(meter: Meter, value: object, name: object = _ABSENT) -> list[object]:
    """The first of those that are equal as JSON."""
    found: dict[str, object] = {}
    for item in as_list(meter, value, "uniq"):
        key = item if name is _ABSENT else _under(item, name, "uniq", None)
        meter.weigh(key)
        # Compared as text: comparing each with each would take the square of the list's length.
        found.setdefault(json.dumps(key, sort_keys=True), item)
    return list(found.values())


def sum_(meter: Meter, value: object, name: object = _ABSENT) -> object:
    """Of numbers, or of what objects have under `name`; null counts nothing."""
    total: int | float = 0
    for item in as_list(meter, value, "sum"):
        number = item if name is _ABSENT else _under(item, name, "sum", None)
        total = total if number is None else plus(meter, total, as_number(number, "sum"))
    return total


def _at(meter: Meter, value: object, index: int, name: str) -> object:
    items = as_list(meter, value, name)
    if not items:
        raise RenderProblem(f"{name}: the list is empty")
    return items[index]


def _under(item: object, name: object, filter_name: str, otherwise: object) -> object:
    if not isinstance(item, dict):
        raise RenderProblem(f"{filter_name} by name takes a list of objects, not of {kind(item)}")
    return item.get(name, otherwise) if isinstance(name, str) else otherwise


def _same(left: object, right: object) -> bool:
    """Equal, with true apart from 1."""
    return left == right and isinstance(left, bool) == isinstance(right, bool)


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number_of(pair: tuple[int | float, object]) -> int | float:
    return pair[0]


def _text_of(pair: tuple[str, object]) -> str:
    return pair[0]
