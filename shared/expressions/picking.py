"""Cuts a context down to the paths that an expression names, and weighs what it takes.

Guarantee: what is handed on is no larger than the limits below, and found out without walking further than they reach.
Next: `conditions.py`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

CONDITION_WEIGHT_MAX: Final = 20_000
"""Values that one named path may hold; 16 characters of text weigh as much as one value."""
CONDITION_DEPTH_MAX: Final = 64

_WEIGHED: Final = (str, dict, list)

PathTree: TypeAlias = Mapping[str, "PathTree | None"]
"""Paths as a tree; None ends a path: all below is taken."""


class TooHeavyError(Exception):
    """More than an expression may take in."""


@dataclass(slots=True, kw_only=True)
class Measure:
    """`weight` counts values; `longest` list or object and `longest_text` in their own units."""

    weight: int = 0
    longest: int = 0
    longest_text: int = 0

    def add(self, value: object, depth: int = 0) -> None:
        self.weight += 1
        if isinstance(value, str):
            self.weight += len(value) >> 4
            self.longest_text = max(self.longest_text, len(value))
        elif isinstance(value, dict):
            self._admit(len(value), depth)
            for name, below in value.items():
                self.weight += 1
                if isinstance(name, str):
                    self.weight += len(name) >> 4
                    self.longest_text = max(self.longest_text, len(name))
                self.add(below, depth + 1)
        elif isinstance(value, list):
            self._admit(len(value), depth)
            for below in value:
                self.add(below, depth + 1)
        if self.weight > CONDITION_WEIGHT_MAX:
            raise TooHeavyError("a value it names is too large to compare: name a path further down")

    def _admit(self, length: int, depth: int) -> None:
        if depth > CONDITION_DEPTH_MAX:
            raise TooHeavyError(f"a value it names is nested deeper than {CONDITION_DEPTH_MAX} levels")
        self.longest = max(self.longest, length)


def measure(value: object) -> Measure:
    """Raises TooHeavyError beyond the limits."""
    found = Measure()
    found.add(value)
    return found


def heaviest(value: object) -> int:
    """The weight of the heaviest item of a list; of anything else, its own."""
    if isinstance(value, list):
        return max((measure(item).weight for item in value), default=0)
    return measure(value).weight


def as_tree(paths: Iterable[tuple[str, ...]]) -> PathTree:
    """`paths` hold none that begins with another."""
    tree: dict[str, Any] = {}  # Any: a recursive dict under construction
    for *parents, last in paths:
        at = tree
        for segment in parents:
            at = at.setdefault(segment, {})
        at[last] = None
    return tree


def pick(tree: PathTree | None, value: object) -> object:
    """`value` cut down to the paths in `tree`; what is no object ends a path early, as the type clash it is."""
    if tree is None:
        if isinstance(value, _WEIGHED):
            measure(value)
        return value
    if type(value) is dict or isinstance(value, Mapping):  # to ask an abstract class costs more than all else
        return {name: pick(below, value[name]) for name, below in tree.items() if name in value}
    return [] if isinstance(value, list) else value
