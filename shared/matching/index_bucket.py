"""What is kept under one operator of one path: rules that ask for no more, rules that do, or a level of the index.

Guarantee: `meet_bucket` adds every rule of a bucket that matches, for events without arrays on the way to it.
Next: `index_leaf.py`, all buckets of a path.
"""

from collections.abc import Hashable
from typing import Any, Final, Generic, Protocol, TypeVar

from shared.matching.event import EventFields
from shared.matching.index_rest import Meet
from shared.matching.index_walk import Met, Step
from shared.matching.literals import Text
from shared.matching.pattern import Alternative, FieldPattern, ValueOperator
from shared.matching.text import Prefix

R = TypeVar("R", bound=Hashable)

CROWDED: Final = 8  # rules that a bucket checks one by one before it becomes a level of its own


class Level(Protocol):
    """A node, as what is filed in it needs it."""

    def place(self, placed: Any, *, may_be_sure: bool) -> None:  # Any: a Placed of the same ids
        """File an alternative."""

    def shrink(self) -> None:
        """One placed alternative less."""

    def collect(self, event: EventFields, found: list[Any], in_arrays: bool) -> None:
        """Add the ids of the rules that match."""

    def level_inside(self, holder: Any) -> "Level":
        """A new level inside a bucket."""


class Leaf(Protocol):
    """All buckets of one path of a level."""

    step: Step[Any]  # Any: buckets

    @property
    def level(self) -> Level:
        """Where the path is one of."""

    def forget(self, bucket: Any) -> None:
        """Take an empty bucket out."""


class Placed(Generic[R]):
    """An alternative of a rule, filed in a node; `remaining` are the fields that are not looked at on the way to it,
    `meet` asks for them."""

    __slots__ = (
        "alternative",
        "filed_at",
        "filed_under",
        "is_sure",
        "meet",
        "node",
        "remaining",
        "rule_id",
        "spots",
        "told",
    )

    def __init__(self, rule_id: R, alternative: Alternative, remaining: tuple[FieldPattern, ...]) -> None:
        self.rule_id = rule_id
        self.alternative = alternative
        self.remaining = remaining
        self.meet: Meet = _never
        self.node: Level | None = None  # None: in no node any more
        self.filed_under: FieldPattern | None = None
        self.filed_at = 0  # how many rules there were
        self.is_sure = False
        self.told: int | Placed[R] | None = None  # of the root level: its number in the kernel, or its place beside it
        self.spots: list[Bucket[R] | Placed[R]] = []

    def withdraw(self) -> None:
        """Take it out of its node again."""
        node = self.node
        assert node is not None
        self.leave_spots()
        self.node = None
        node.shrink()

    def leave_spots(self) -> None:
        """Leave every bucket, and every level inside one."""
        spots, self.spots = self.spots, []
        for spot in spots:
            if isinstance(spot, Placed):
                spot.withdraw()
            else:
                spot.discard(self)


class Bucket(Generic[R]):
    """What is filed under one operator of one path (or under its absence: `operator` None)."""

    __slots__ = ("leaf", "meet", "node", "operator", "placed", "splittable", "sure")

    def __init__(self, leaf: Leaf, operator: ValueOperator | None) -> None:
        self.meet: Meet = meet_bucket
        self.leaf = leaf
        self.operator = operator
        self.sure: list[R] | tuple[()] = ()  # the operator is all that these rules ask for
        self.placed: list[Placed[R]] | tuple[()] = ()
        self.splittable = 0  # how many of `placed` have fields to index them by
        self.node: Level | None = None

    def put(self, placed: Placed[R]) -> None:
        if placed.is_sure:
            if not isinstance(self.sure, list):
                self.sure = []
            self.sure.append(placed.rule_id)
            placed.spots.append(self)
        elif self.node is not None and placed.remaining:
            self._put_deeper(self.node, placed)
        else:
            if not isinstance(self.placed, list):
                self.placed = []
            self.placed.append(placed)
            placed.spots.append(self)
            self.splittable += bool(placed.remaining)
            if self.splittable > CROWDED:
                self._split()
        self._show()

    def discard(self, placed: Placed[R]) -> None:
        if placed.is_sure and isinstance(self.sure, list):
            self.sure.remove(placed.rule_id)
        elif isinstance(self.placed, list):
            self.placed.remove(placed)
            self.splittable -= bool(placed.remaining)
        self.prune()

    def lose_level(self) -> None:
        """The level inside is empty."""
        self.node = None
        self.prune()

    def prune(self) -> None:
        """Leave the index once empty."""
        if self.sure or self.placed or self.node is not None:
            self._show()
        else:
            self.leaf.forget(self)

    def _show(self) -> None:
        """Let events meet what is here now: a rule that asks for more and is alone, or the bucket."""
        met: Met = self
        if len(self.placed) == 1 and not self.sure and self.node is None:
            met, *_ = self.placed
        if type(self.operator) is Text:
            self.leaf.step.met_by_text[self.operator.text] = met
        elif type(self.operator) is Prefix:
            self.leaf.step.met_by_prefix[self.operator.text] = met

    def _split(self) -> None:
        self.node = node = self.leaf.level.level_inside(self)
        for placed in self.placed:
            if placed.remaining:
                placed.spots.remove(self)
                self._put_deeper(node, placed)
        self.placed = [placed for placed in self.placed if not placed.remaining] or ()
        self.splittable = 0

    @staticmethod
    def _put_deeper(node: Level, placed: Placed[R]) -> None:
        deeper = Placed(placed.rule_id, placed.alternative, placed.remaining)
        placed.spots.append(deeper)
        node.place(deeper, may_be_sure=False)


def meet_bucket(event: EventFields, bucket: Bucket[Any], found: list[Any]) -> None:
    """Add the rules of a bucket that match, for an event that had no array on the way here."""
    found += bucket.sure
    for placed in bucket.placed:
        placed.meet(event, placed, found)
    if bucket.node is not None:
        bucket.node.collect(event, found, False)


def _never(event: EventFields, placed: Placed[Any], found: list[Any]) -> None:
    del event, placed, found
