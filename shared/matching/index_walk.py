"""Walking an event along the paths that rules name, and no others.

The paths of one level form a tree of keys. At each object the walk takes the cheaper way: asking the object for the keys
that rules name, or, where rules name many more than it has, going through its own. Most paths hold exact strings only
and are one look-up each.
Guarantee: every bucket filed under an operator that holds for a value at its path is found, dotted keys, arrays and
duplicate members included.
Next: `facets.py`, what else can hang at a path; `index_node.py`, what buckets are.
"""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

B = TypeVar("B")

Probe = Callable[[Any, list[B]], None]  # Any: a JSON scalar or a LossyNumber
_MANY = 2  # from so many times an object's keys on, its own keys are gone through


class Step(Generic[B]):
    """A key on the way to paths: `below` are the keys that lead on (dotted ones too); the rest is of the path that ends
    here, if one does: the buckets of exact strings, those of prefixes with the lengths these have (a text shorter than
    one may meet a bucket twice), and who else wants to see strings and other values."""

    __slots__ = ("_plan", "below", "on_others", "on_texts", "prefix_lengths", "prefixes", "texts")

    def __init__(self) -> None:
        self.below: dict[str, Step[B]] = {}
        self.texts: dict[str, B] = {}
        self.prefixes: dict[str, B] = {}
        self.prefix_lengths: dict[int, int] = {}  # how many of each
        self.on_texts: tuple[Probe[B], ...] = ()
        self.on_others: tuple[Probe[B], ...] = ()
        self._plan: _Plan[B] | None = None

    def rearrange(self) -> None:
        """To be called when steps or probes below have changed."""
        self._plan = None

    def walk(self, node: dict[str, Any], hits: list[B]) -> bool:
        """Add the buckets that the values of an object lead to; whether an array was on the way."""
        plan = self._plan or self._arrange()
        if plan.size > _MANY * len(node) or (plan.dotted and not node.keys().isdisjoint(plan.dotted)):
            return self._walk_all(node, hits)
        value_of = node.get
        start = len(hits)
        try:
            for key, texts in plan.plain:
                value = value_of(key)
                if value in texts:
                    hits.append(texts[value])
        except TypeError:  # an array or an object, where rules expect strings
            del hits[start:]
            return self._walk_all(node, hits)
        in_arrays = False
        for key, step in plan.others:
            if key in node:
                value = node[key]
                if type(value) is str:  # as in `see`, without the call
                    if value in step.texts:
                        hits.append(step.texts[value])
                    for length in step.prefix_lengths:
                        if value[:length] in step.prefixes:
                            hits.append(step.prefixes[value[:length]])
                    for probe in step.on_texts:
                        probe(value, hits)
                elif type(value) is dict:
                    if step.below and step.walk(value, hits):
                        in_arrays = True
                elif type(value) is int:
                    for probe in step.on_others:
                        probe(value, hits)
                elif step.see(value, hits):
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
            for element in value:
                self.see(element, hits)
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

    def _walk_all(self, node: dict[str, Any], hits: list[B]) -> bool:
        in_arrays = False
        below = self.below
        if len(below) < len(node):
            node = {key: node[key] for key in below if key in node}
        for key, value in node.items():
            if key in below:
                step = below[key]
                if type(value) is str:
                    if value in step.texts:
                        hits.append(step.texts[value])
                    for length in step.prefix_lengths:
                        if value[:length] in step.prefixes:
                            hits.append(step.prefixes[value[:length]])
                    for probe in step.on_texts:
                        probe(value, hits)
                elif step.see(value, hits):
                    in_arrays = True
        return in_arrays

    def _arrange(self) -> "_Plan[B]":
        self._plan = plan = _Plan(self.below)
        return plan


class _Plan(Generic[B]):
    """The keys below a step, sorted by what they take."""

    __slots__ = ("dotted", "others", "plain", "size")

    def __init__(self, below: dict[str, Step[B]]) -> None:
        self.dotted = frozenset(key for key in below if "." in key)
        self.plain: list[tuple[str, dict[str, B]]] = []
        self.others: list[tuple[str, Step[B]]] = []
        for key, step in below.items():
            if key in self.dotted:
                continue
            if step.below or step.prefixes or step.on_texts or step.on_others:
                self.others.append((key, step))
            elif step.texts:
                self.plain.append((key, step.texts))
        self.size = len(self.plain) + len(self.others)
