"""The values an event has at a path, each with the array elements it stands in.

A path's keys are joined by dots, and an event's key may itself contain dots: `a.b` is reached through `a` then `b`
and through a key `a.b`. Arrays on the way are looked into, nested ones too. A value's **place** is the chain of
(array, index) that it lies under; plain values directly in an array are in no element of it, which is what lets
two conditions meet in one array of strings.
Next: `evaluate.py`, which keeps the places of all fields consistent.
"""

from typing import Any

Place = tuple[tuple[int, int], ...]  # (identity of an array in this event, index), outermost first
Leaf = tuple[Any, Place]  # Any: a JSON scalar or a LossyNumber

_NOWHERE: Place = ()
_MISSING = object()


def leaves_at(root: dict[str, Any], path: str, array_names: dict[int, str] | None = None) -> list[Leaf]:
    """Every scalar at `path`; objects and empty arrays are none. Fills in the paths of the arrays on the way."""
    found: list[Leaf] = []
    _in_object(root, path, path, _NOWHERE, found, array_names)
    return found


def _in_object(
    node: dict[str, Any], rest: str, path: str, place: Place, found: list[Leaf], names: dict[int, str] | None
) -> None:
    value = node.get(rest, _MISSING)
    if value is not _MISSING:
        _arrive(value, path, place, found, names)
    dot = rest.find(".")
    while dot >= 0:
        value = node.get(rest[:dot], _MISSING)
        if value is not _MISSING:
            _through(value, rest[dot + 1 :], path, place, found, names)
        dot = rest.find(".", dot + 1)


def _through(value: Any, rest: str, path: str, place: Place, found: list[Leaf], names: dict[int, str] | None) -> None:
    kind = type(value)
    if kind is dict:
        _in_object(value, rest, path, place, found, names)
    elif kind is list:
        if names is not None:
            names[id(value)] = path[: len(path) - len(rest) - 1]
        for index, element in enumerate(value):
            if type(element) is dict:
                _in_object(element, rest, path, (*place, (id(value), index)), found, names)
            elif type(element) is list:
                _through(element, rest, path, (*place, (id(value), index)), found, names)
    elif kind is tuple:
        for repeated in value:
            _through(repeated, rest, path, place, found, names)


def _arrive(value: Any, path: str, place: Place, found: list[Leaf], names: dict[int, str] | None) -> None:
    kind = type(value)
    if kind is list:
        if names is not None:
            names[id(value)] = path
        for index, element in enumerate(value):
            if type(element) is list:
                _arrive(element, path, (*place, (id(value), index)), found, names)
            elif type(element) is not dict:
                found.append((element, place))
    elif kind is tuple:
        for repeated in value:
            _arrive(repeated, path, place, found, names)
    elif kind is not dict:
        found.append((value, place))
