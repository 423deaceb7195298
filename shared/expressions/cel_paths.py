"""Paths as conditions name them: `event.data.items[0]`, from a root down.

Next: `cel_analysis.py` finds them, `schema_paths.py` says whether they can exist.
"""

from dataclasses import dataclass
from typing import Final, TypeAlias

ITEM: Final = -1
"""A path segment: some element of a list, as a macro's variable sees it."""

Path: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """One place that names a path from a root; `offset` in code points."""

    path: Path
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A path beside a text or a whole number that is written out."""

    path: Path
    literal: str | int
    offset: int


def convertible(path: Path) -> tuple[str, ...]:
    """The part of a path up to its first list index: a list is converted whole."""
    end = next((i for i, segment in enumerate(path) if not isinstance(segment, str)), len(path))
    return tuple(str(segment) for segment in path[:end])


def spell(path: Path) -> str:
    """A path as its author writes it: `event.data.items[0]`."""
    spelt = str(path[0])
    for segment in path[1:]:
        if isinstance(segment, int):
            spelt += "[…]" if segment == ITEM else f"[{segment}]"
        else:
            spelt += f".{segment}" if segment.isidentifier() else f"[{segment!r}]"
    return spelt
