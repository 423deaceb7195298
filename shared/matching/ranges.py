"""Numeric ranges found by a number in them, without trying each.

Ranges open to one side are kept in the order of their bound: those that hold a number are one end of the list. Ranges
with two bounds are filed in cells of a grid whose width fits theirs (a power of eight), so each lies in two cells at
most, and a number looks into one cell per width in use; what lies there still has to be asked.
Next: `index_leaf.py`.
"""

import math
from bisect import bisect_left, bisect_right
from typing import Generic, TypeVar

from shared.matching.numeric import NumericRange

T = TypeVar("T")
_OCTAVE = 3  # cells grow by 2^3
_EXPONENT_MAX = 1023
_HALF = 0.5
FIRST_GUESS = 0.05


class RangeIndex(Generic[T]):
    """Things filed under ranges of more than one number."""

    __slots__ = ("_cells", "_from", "_from_keys", "_to", "_to_keys", "_unbounded", "_windows")

    def __init__(self) -> None:
        self._from_keys: list[tuple[int | float, int]] = []
        self._from: list[T] = []
        self._to_keys: list[tuple[int | float, int]] = []
        self._to: list[T] = []
        self._cells: dict[float, dict[float, list[T]]] = {}
        self._windows = 0  # ranges in cells
        self._unbounded: list[T] = []  # wider than a double can say

    def add(self, bounds: NumericRange, thing: T) -> None:
        """File a thing."""
        if bounds.high == math.inf:
            key = _lower_key(bounds)
            at = bisect_right(self._from_keys, key)
            self._from_keys.insert(at, key)
            self._from.insert(at, thing)
        elif bounds.low == -math.inf:
            key = _upper_key(bounds)
            at = bisect_right(self._to_keys, key)
            self._to_keys.insert(at, key)
            self._to.insert(at, thing)
        else:
            width = _cell_width(bounds)
            if math.isinf(width):
                self._unbounded.append(thing)
                return
            self._windows += 1
            cells = self._cells.setdefault(width, {})
            for cell in _cells_of(bounds, width):
                cells.setdefault(cell, []).append(thing)

    def remove(self, bounds: NumericRange, thing: T) -> None:
        """Take a thing out again."""
        if bounds.high == math.inf:
            _remove_sorted(self._from_keys, self._from, _lower_key(bounds), thing)
        elif bounds.low == -math.inf:
            _remove_sorted(self._to_keys, self._to, _upper_key(bounds), thing)
        else:
            width = _cell_width(bounds)
            if math.isinf(width):
                self._unbounded.remove(thing)
                return
            self._windows -= 1
            cells = self._cells[width]
            for cell in _cells_of(bounds, width):
                cells[cell].remove(thing)
                if not cells[cell]:
                    del cells[cell]
            if not cells:
                del self._cells[width]

    def around(self, number: int | float) -> list[T]:
        """Everything filed under a range that holds `number`, and some whose range is merely near it."""
        found: list[T] = []
        if self._from_keys:
            found += self._from[: bisect_right(self._from_keys, (number, 0))]
        if self._to_keys:
            found += self._to[bisect_right(self._to_keys, (number, 0)) :]
        for width, cells in self._cells.items():
            found += cells.get(number // width, ())
        if self._unbounded:
            found += self._unbounded
        return found

    def overlap(self, bounds: NumericRange) -> float:
        """A guess at the share of numbers that `bounds` holds, from how many of the ranges here lie about there."""
        if bounds.high == math.inf or bounds.low == -math.inf:
            return _HALF
        width = _cell_width(bounds)
        cells = self._cells.get(width)
        near = sum(len(cells.get(cell, ())) for cell in _cells_of(bounds, width)) if cells else 0
        return (near + FIRST_GUESS) / (self._windows + 1)


def _lower_key(bounds: NumericRange) -> tuple[int | float, int]:
    return bounds.low, 0 if bounds.low_included else 1


def _upper_key(bounds: NumericRange) -> tuple[int | float, int]:
    return bounds.high, 1 if bounds.high_included else 0


def _cell_width(bounds: NumericRange) -> float:
    """A power of eight that is at least as wide as the range; infinite where a double cannot say it."""
    extent = float(bounds.high) - float(bounds.low)
    exponent = -(-math.frexp(extent)[1] // _OCTAVE) * _OCTAVE
    return math.ldexp(1.0, exponent) if extent < math.inf and exponent <= _EXPONENT_MAX else math.inf


def _cells_of(bounds: NumericRange, width: float) -> range:
    return range(int(bounds.low // width), int(bounds.high // width) + 1)


def _remove_sorted(
    keys: list[tuple[int | float, int]], things: list[T], key: tuple[int | float, int], thing: T
) -> None:
    at = bisect_left(keys, key)
    while things[at] != thing:
        at += 1
    del keys[at]
    del things[at]
