"""Numeric ranges found by a number in them, without trying each.

Ranges open to one side are kept in the order of their bound: those that hold a number are one end of the list. Ranges
with two bounds are filed in cells of a grid whose width fits theirs (a power of four), so each lies in two cells at
most, and a number looks into one cell per width in use; what lies there still has to be asked.
Next: `facets.py`, whose numbers are found so.
"""

import math
from bisect import bisect_left, bisect_right
from typing import Generic, TypeVar

from shared.matching.numeric import NumericRange

T = TypeVar("T")
Filed = tuple[int | float, int | float, NumericRange, T]  # low, high, the range, the thing
_OCTAVES = 2  # cells grow by 2^2: wider steps put more ranges into a cell, narrower ones make more widths to look at
_EXPONENT_MAX = 1023
_HALF = 0.5
FIRST_GUESS = 0.05


class RangeIndex(Generic[T]):
    """Things filed under ranges of more than one number."""

    __slots__ = ("_cells", "_from", "_from_keys", "_to", "_to_keys", "_unbounded", "_windows", "grids", "has_others")

    def __init__(self) -> None:
        self._from_keys: list[tuple[int | float, int]] = []
        self._from: list[Filed[T]] = []
        self._to_keys: list[tuple[int | float, int]] = []
        self._to: list[Filed[T]] = []
        self._cells: dict[float, dict[float, list[Filed[T]]]] = {}
        self._windows = 0  # ranges in cells
        self._unbounded: list[Filed[T]] = []  # wider than a double can say
        self.grids: tuple[tuple[float, dict[float, list[Filed[T]]]], ...] = ()
        """By width: what lies in the cell `number // width`. Asked for every number, so it is no method."""
        self.has_others = False
        """Whether there are ranges that are not in cells."""

    def add(self, bounds: NumericRange, thing: T) -> None:
        """File a thing."""
        filed = (bounds.low, bounds.high, bounds, thing)
        width = _cell_width(bounds)
        if bounds.high == math.inf:
            _insert_sorted(self._from_keys, self._from, _lower_key(bounds), filed)
        elif bounds.low == -math.inf:
            _insert_sorted(self._to_keys, self._to, _upper_key(bounds), filed)
        elif math.isinf(width):
            self._unbounded.append(filed)
        else:
            self._windows += 1
            if width not in self._cells:
                self._cells[width] = {}
                self.grids = tuple(self._cells.items())
            for cell in _cells_of(bounds, width):
                self._cells[width].setdefault(cell, []).append(filed)
        self._note_others()

    def remove(self, bounds: NumericRange, thing: T) -> None:
        """Take a thing out again."""
        filed = (bounds.low, bounds.high, bounds, thing)
        width = _cell_width(bounds)
        if bounds.high == math.inf:
            _remove_sorted(self._from_keys, self._from, _lower_key(bounds), filed)
        elif bounds.low == -math.inf:
            _remove_sorted(self._to_keys, self._to, _upper_key(bounds), filed)
        elif math.isinf(width):
            self._unbounded.remove(filed)
        else:
            self._windows -= 1
            cells = self._cells[width]
            for cell in _cells_of(bounds, width):
                cells[cell].remove(filed)
                if not cells[cell]:
                    del cells[cell]
            if not cells:
                del self._cells[width]
                self.grids = tuple(self._cells.items())
        self._note_others()

    def _note_others(self) -> None:
        self.has_others = bool(self._from or self._to or self._unbounded)

    def others_around(self, number: int | float) -> list[Filed[T]]:
        """Of the ranges that are not in cells those that hold `number`, and the widest of all."""
        found = self._from[: bisect_right(self._from_keys, (number, 0))]
        found += self._to[bisect_right(self._to_keys, (number, 0)) :]
        return found + self._unbounded

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
    """A power of four that is at least as wide as the range; infinite where a double cannot say it."""
    extent = float(bounds.high) - float(bounds.low)
    exponent = -(-math.frexp(extent)[1] // _OCTAVES) * _OCTAVES
    return math.ldexp(1.0, exponent) if extent < math.inf and exponent <= _EXPONENT_MAX else math.inf


def _cells_of(bounds: NumericRange, width: float) -> range:
    return range(int(bounds.low // width), int(bounds.high // width) + 1)


def _insert_sorted(
    keys: list[tuple[int | float, int]], things: list[Filed[T]], key: tuple[int | float, int], thing: Filed[T]
) -> None:
    at = bisect_right(keys, key)
    keys.insert(at, key)
    things.insert(at, thing)


def _remove_sorted(
    keys: list[tuple[int | float, int]], things: list[Filed[T]], key: tuple[int | float, int], thing: Filed[T]
) -> None:
    at = bisect_left(keys, key)
    while things[at] != thing:
        at += 1
    del keys[at]
    del things[at]
