"""Walking an event along the paths that rules name, and no others: the way that takes every event.

The paths of one level form a tree of keys. At each object the walk goes through the smaller of both: the keys that
rules name there, or the object's own.
Guarantee: every bucket filed under an operator that holds for a value at its path is found, dotted keys, arrays and
duplicate members included.
Next: `index_code.py`, the same for events without those, much faster; `facets.py`, what else can hang at a path.
"""

from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

from shared.matching.work import Work

B = TypeVar("B")

Probe = Callable[[Any, list[B]], None]  # Any: a JSON scalar or a LossyNumber


class Met(Protocol):
    """What is filed under a string or a prefix, as events meet it: `met.meet(event, met, found)` adds what matches."""

    meet: Callable[[Any, Any, list[Any]], None]


class Step(Generic[B]):
    """A key on the way to paths: `below` are the keys that lead on (dotted ones too); the rest is of the path that ends
    here, if one does: the buckets of exact strings; those of prefixes, with the lengths these have (a text shorter than
    one may meet a bucket twice); of both what events meet there, for `index_code.py`; and who wants to see strings and
    other values."""

    __slots__ = (
        "_work",
        "asked",
        "below",
        "met_by_prefix",
        "met_by_text",
        "on_others",
        "on_texts",
        "prefix_lengths",
        "prefixes",
        "texts",
    )

    def __init__(self, work: Work) -> None:
        """`work`: what elements of arrays are spent from, and which others spend from, too."""
        self._work = work
        self.asked = 0  # operators that a value may have to be put to, about
        self.below: dict[str, Step[B]] = {}
        self.texts: dict[str, B] = {}
        self.met_by_text: dict[str, Met] = {}
        self.prefixes: dict[str, B] = {}
        self.met_by_prefix: dict[str, Met] = {}
        self.prefix_lengths: dict[int, int] = {}  # how many of each
        self.on_texts: tuple[Probe[B], ...] = ()
        self.on_others: tuple[Probe[B], ...] = ()

    def walk(self, node: dict[str, Any], hits: list[B]) -> bool:
        """Add the buckets that the values of an object lead to; whether an array was on the way. Raises `TooMuchWork`."""
        in_arrays = False
        below = self.below
        for key in below if len(below) < len(node) else node:
            if key in node and key in below and below[key].see(node[key], hits):
                in_arrays = True
        return in_arrays

    def see(self, value: Any, hits: list[B]) -> bool:
        """The same for one value."""
        if type(value) is str:
            if value in self.texts:
                hits.append(self.texts[value])
            for length in self.prefix_lengths:
                if value[:length] in self.prefixes:
                    hits.append(self.prefixes[value[:length]])
            for probe in self.on_texts:
                probe(value, hits)
            return False
        if type(value) is dict:
            return bool(self.below) and self.walk(value, hits)
        if type(value) is list:
            self._see_in_array(value, hits)
            return True
        if type(value) is tuple:  # the values of a duplicate member
            in_arrays = False
            for repeated in value:
                if self.see(repeated, hits):
                    in_arrays = True
            return in_arrays
        for probe in self.on_others:
            probe(value, hits)
        return False

    def _see_in_array(self, value: Any, hits: list[B]) -> None:
        """The same for what lies in an array, of which there may be very much. Raises `TooMuchWork`."""
        kind = type(value)
        if kind is dict:
            below = self.below
            if below:
                self._work.spend(min(len(below), len(value)))
                for key in below if len(below) < len(value) else value:
                    if key in value and key in below:
                        below[key]._see_in_array(value[key], hits)
        elif kind is list or kind is tuple:
            self._work.spend(len(value))
            for element in value:
                self._see_in_array(element, hits)
        else:
            if self.asked or self.prefix_lengths:
                self._work.spend(2 * self.asked + len(self.prefix_lengths))
            self.see(value, hits)
