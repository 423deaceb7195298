"""A level of the index: rules filed under one of their fields each, found by the values of an event.

A rule's alternative is filed under every operator of the field that narrows most. What else it asks for is checked
when it is met, or, where a bucket is crowded, indexed in turn by a node inside the bucket. So the cost of an event is
the paths looked at plus the rules met, and the rules met are few.
Guarantee: `collect` finds exactly the rules that `evaluate.matches` would. Where two fields of a rule may lie in
arrays, what is filed is necessary but not sufficient, and the rule is put to `alternative_matches`.
Next: `index_bucket.py`, what is filed; `index_code.py`, how most events are answered.
"""

from collections.abc import Hashable
from typing import Final, Generic, TypeVar

from shared.matching.asking import Asking
from shared.matching.event import EventFields
from shared.matching.index_bucket import Bucket, Placed
from shared.matching.index_code import Walk, write_walk
from shared.matching.index_cost import ABSENCE, PathUse
from shared.matching.index_leaf import Leaf
from shared.matching.index_rest import Rests, rest_holds
from shared.matching.index_walk import Step
from shared.matching.lookup import MISSING, SEVERAL
from shared.matching.pattern import FieldPattern

R = TypeVar("R", bound=Hashable)

_MEET_UNITS: Final = 4  # of work, for a rule that is met


class Node(Generic[R]):
    """One level; `holder` is the bucket that it is inside of."""

    __slots__ = (
        "_asking",
        "_leaves",
        "_rests",
        "_steps",
        "_top",
        "_walked",
        "absent",
        "holder",
        "lookups",
        "size",
        "walk",
        "walks_before_code",
    )

    def __init__(
        self,
        lookups: dict[str, PathUse],
        rests: Rests,
        asking: Asking,
        holder: Bucket[R] | None,
        walks_before_code: int,
    ) -> None:
        self.lookups = lookups
        self._asking = asking
        self.holder = holder
        self.walk: Walk | None = None  # as long as the paths stay as they are
        self.walks_before_code = walks_before_code
        self._walked = 0
        self._rests = rests
        self.absent: dict[str, Bucket[R]] = {}
        self._leaves: dict[str, Leaf[R]] = {}
        self._top: Step[Bucket[R]] = Step(asking.work)
        self._steps: dict[str, Step[Bucket[R]]] = {}  # by the path that leads there
        self.size = 0  # alternatives placed here

    @property
    def is_bare(self) -> bool:
        """Whether no path is known here."""
        return not self._leaves and not self.absent and not self._top.below

    def collect(self, event: EventFields, found: list[R], in_arrays: bool) -> None:
        """Add the ids of the rules that match, some maybe more than once. Raises `TooMuchWork`."""
        walk = self.walk
        if in_arrays or walk is None or not walk(event, found):
            self.collect_slowly(event, found, in_arrays)

    def collect_slowly(self, event: EventFields, found: list[R], in_arrays: bool) -> None:
        """The same for any event, whatever `walk` makes of it."""
        if self.walk is None:
            self._walked += 1
            if self._walked >= self.walks_before_code:
                self.walk = write_walk(self._top, self)
        hits: list[Bucket[R]] = []
        if self._top.walk(event, hits):
            in_arrays = True
        if self.absent:
            self._add_absent(event, hits)
        if in_arrays:
            hits = list(dict.fromkeys(hits))  # elements of an array often lead to the same
        for bucket in hits:
            self._meet(event, bucket, found, in_arrays)

    def _meet(self, event: EventFields, bucket: Bucket[R], found: list[R], in_arrays: bool) -> None:
        found += bucket.sure
        # one field in an array, met by a value of it, is consistent with itself
        ask_all = in_arrays and (self.holder is not None or bucket.operator is None)
        if in_arrays:
            self._asking.work.spend(_MEET_UNITS * len(bucket.placed))
        for placed in bucket.placed:
            if rest_holds(placed, event, self._asking, ask_all=ask_all):
                found.append(placed.rule_id)
        if bucket.node is not None:
            bucket.node.collect(event, found, in_arrays)

    def meet_absent(self, event: EventFields, found: list[R], in_arrays: bool) -> None:
        """Add the rules that match of those filed under an absence."""
        hits: list[Bucket[R]] = []
        self._add_absent(event, hits)
        for bucket in hits:
            self._meet(event, bucket, found, in_arrays)

    def meet_in_arrays(self, event: EventFields, hits: list[Bucket[R]], found: list[R]) -> None:
        """Add the rules that match of those that values in arrays led to."""
        for bucket in dict.fromkeys(hits):  # elements of an array often lead to the same
            self._meet(event, bucket, found, True)

    def _add_absent(self, event: EventFields, hits: list[Bucket[R]]) -> None:
        for path, bucket in self.absent.items():
            value = self.lookups[path].value(event)
            if value is MISSING or (value is SEVERAL and self._may_be_absent(event, path)):
                hits.append(bucket)

    def _may_be_absent(self, event: EventFields, path: str) -> bool:
        """Whether a path has no value, or only such as a choice of array elements may put out of reach."""
        spread = self._asking.looked(event).spread(path)
        return not spread.values or spread.is_in_arrays

    def place(self, placed: Placed[R], *, may_be_sure: bool) -> None:
        """File an alternative under the field that narrows most; the others are asked in the order of how they do."""
        placed.node = self
        self.size += 1
        if len(placed.remaining) > 1:
            placed.remaining = tuple(sorted(placed.remaining, key=self._share))
        self._file(placed, placed.remaining[0], may_be_sure=may_be_sure)

    def reconsider(self, placed: Placed[R]) -> None:
        """File an alternative anew where the rules that came since show that another field narrows better."""
        current = placed.filed_under
        assert current is not None
        share = self._share(current)
        better = min(placed.remaining, key=self._share, default=current)
        if self._share(better) < share / 2:
            fields = (current, *placed.remaining)
            placed.leave_spots()
            placed.remaining = fields
            self._file(placed, better, may_be_sure=False)

    def _file(self, placed: Placed[R], field: FieldPattern, *, may_be_sure: bool) -> None:
        placed.filed_under = field
        placed.remaining, placed.meet = self._rests.of(tuple(other for other in placed.remaining if other is not field))
        placed.is_sure = may_be_sure and not placed.remaining and not field.or_absent
        leaf = self._leaf(field.path)
        for operator in dict.fromkeys(field.operators):
            leaf.obtain(operator).put(placed)
        if field.or_absent:
            leaf.obtain_absent().put(placed)

    def shrink(self) -> None:
        """One placed alternative less; an empty level leaves its bucket."""
        self.size -= 1
        if not self.size and self.holder is not None:
            self.holder.lose_level()

    def level_inside(self, holder: Bucket[R]) -> "Node[R]":
        """A new level inside a bucket of this one."""
        return Node(self.lookups, self._rests, self._asking, holder, self.walks_before_code)

    def drop(self, path: str) -> None:
        """Forget a path that nothing is filed under."""
        del self._leaves[path]
        self.rearrange()
        self._top = Step(self._asking.work)
        self._steps = {}
        for leaf in self._leaves.values():
            self._extend(leaf)

    def rearrange(self) -> None:
        """The paths have changed, or what hangs at them: write the walk anew once it pays again."""
        self.walk = None
        self._walked = 0

    def _leaf(self, path: str) -> Leaf[R]:
        leaf = self._leaves.get(path)
        if leaf is None:
            leaf = self._leaves[path] = Leaf(self, path, self._asking.work)
            self._extend(leaf)
        return leaf

    def _extend(self, leaf: Leaf[R]) -> None:
        """Add the ways to a path: through every split of it at dots, since keys may contain them."""
        keys = leaf.path.split(".")
        reached: list[Step[Bucket[R]]] = [self._top]
        for end in range(1, len(keys) + 1):
            prefix = ".".join(keys[:end])
            step = self._steps.setdefault(prefix, Step(self._asking.work))
            if end == len(keys) and step is not leaf.step:
                leaf.step.below = step.below
                self._steps[prefix] = step = leaf.step
            for start in range(end):
                reached[start].below[".".join(keys[start:end])] = step
            reached.append(step)
        self.rearrange()

    def _share(self, field: FieldPattern) -> float:
        """How little a field narrows, as far as one can guess."""
        leaf = self._leaves.get(field.path)
        use = self.lookups[field.path]
        numbers = leaf.numbers if leaf is not None else None
        shares = [use.share(operator, numbers) for operator in field.operators]
        return sum(shares, ABSENCE if field.or_absent else 0.0)
