"""The values an event has at a path, each with the array elements it stands in.

A path's keys are joined by dots, and an event's key may itself contain dots: `a.b` is reached through `a` then `b`
and through a key `a.b`. Arrays on the way are looked into, nested ones too. A value's **place** is the chain of
(array, index) that it lies under; plain values directly in an array are in no element of it, which is what lets
two conditions meet in one array of strings.
Next: `evaluate.py`, which keeps the places of all fields consistent.
"""

from typing import Any

from shared.matching.work import Work

Place = tuple[tuple[int, int], ...]  # (identity of an array in this event, index), outermost first
Leaf = tuple[Any, Place]  # Any: a JSON scalar or a LossyNumber

_NOWHERE: Place = ()
_MISSING = object()


def leaves_at(root: dict[str, Any], path: str, work: Work, array_names: dict[int, str]) -> list[Leaf]:
    """Every scalar at `path`; objects and empty arrays are none. Fills in the paths of the arrays on the way.

    Raises `TooMuchWork`.
    """
    looking = _Looking(path, work, array_names)
    looking.in_object(root, path, _NOWHERE)
    return looking.found


class _Looking:
    __slots__ = ("_names", "_path", "_work", "found")

    def __init__(self, path: str, work: Work, names: dict[int, str]) -> None:
        self.found: list[Leaf] = []
        self._path = path
        self._work = work
        self._names = names

    def in_object(self, node: dict[str, Any], rest: str, place: Place) -> None:
        value = node.get(rest, _MISSING)
        if value is not _MISSING:
            self._arrive(value, place)
        dot = rest.find(".")
        while dot >= 0:
            value = node.get(rest[:dot], _MISSING)
            if value is not _MISSING:
                self._through(value, rest[dot + 1 :], place)
            dot = rest.find(".", dot + 1)

    def _through(self, value: Any, rest: str, place: Place) -> None:
        kind = type(value)
        if kind is dict:
            self.in_object(value, rest, place)
        elif kind is list:
            self._work.spend(len(value) * (1 + rest.count(".")))
            self._names[id(value)] = self._path[: len(self._path) - len(rest) - 1]
            for index, element in enumerate(value):
                if type(element) is dict:
                    self.in_object(element, rest, (*place, (id(value), index)))
                elif type(element) is list:
                    self._through(element, rest, (*place, (id(value), index)))
        elif kind is tuple:
            self._work.spend(len(value))
            for repeated in value:
                self._through(repeated, rest, place)

    def _arrive(self, value: Any, place: Place) -> None:
        kind = type(value)
        if kind is list:
            self._work.spend(len(value))
            self._names[id(value)] = self._path
            for index, element in enumerate(value):
                if type(element) is list:
                    self._arrive(element, (*place, (id(value), index)))
                elif type(element) is not dict:
                    self.found.append((element, place))
        elif kind is tuple:
            self._work.spend(len(value))
            for repeated in value:
                self._arrive(repeated, place)
        elif kind is not dict:
            self.found.append((value, place))
