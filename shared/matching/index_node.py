"""A level of the index: rules filed under one of their fields each, found by the values of an event.

A rule's alternative is filed under every operator of the field that narrows most. What else it asks for is checked
when it is met, or, where a bucket is crowded, indexed in turn by a node inside the bucket. So the cost of an event is
the paths looked at plus the rules met, and the rules met are few.
Guarantee: `collect` finds exactly the rules that `evaluate.matches` would. Where two fields of a rule may lie in
arrays, what is filed is necessary but not sufficient, and the rule is put to `alternative_matches`.
Next: `index.py`, the whole; `index_leaf.py`, one path.
"""

from collections.abc import Hashable
from typing import Any, Generic, TypeVar

from shared.matching.evaluate import alternative_matches, value_holds
from shared.matching.event import EventFields
from shared.matching.facets import Facet, NumberFacet, facet_type
from shared.matching.fields import leaves_at
from shared.matching.index_cost import ABSENCE, PathUse
from shared.matching.index_walk import Step
from shared.matching.literals import Text
from shared.matching.lookup import MISSING, SEVERAL
from shared.matching.pattern import Alternative, FieldPattern, ValueOperator
from shared.matching.text import Prefix

R = TypeVar("R", bound=Hashable)

CROWDED = 8  # rules that a bucket checks one by one before it becomes a level of its own
_KNOWN_RESTS_MAX = 4_096


class Placed(Generic[R]):
    """An alternative of a rule, filed in a node; `remaining` are the fields that are not looked at on the way to it."""

    __slots__ = ("alternative", "filed_at", "filed_under", "is_sure", "node", "remaining", "rule_id", "spots")

    def __init__(self, rule_id: R, alternative: Alternative, remaining: tuple[FieldPattern, ...]) -> None:
        self.rule_id = rule_id
        self.alternative = alternative
        self.remaining = remaining
        self.node: Node[R] | None = None  # None: in no node any more
        self.filed_under: FieldPattern | None = None
        self.filed_at = 0  # how many rules there were
        self.is_sure = False
        self.spots: list[Bucket[R] | Placed[R]] = []

    def holds(self, event: EventFields, lookups: dict[str, PathUse], ask_all: bool) -> bool:
        """Whether the rest holds too. `ask_all`: what was looked at on the way may lie in different elements of an array.

        A field outside arrays that fails decides; so does the rest, if no other field lies in an array.
        """
        for field in self.remaining:
            value = lookups[field.path].value(event)
            if value is SEVERAL:
                ask_all = True
            elif value is MISSING:
                if not field.or_absent:
                    return False
            elif field.texts is not None:
                if value not in field.texts:
                    return False
            elif not value_holds(field, value):
                return False
        return not ask_all or alternative_matches(self.alternative, event)

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

    __slots__ = ("leaf", "node", "operator", "placed", "splittable", "sure")

    def __init__(self, leaf: "Leaf[R]", operator: ValueOperator | None) -> None:
        self.leaf = leaf
        self.operator = operator
        self.sure: list[R] | tuple[()] = ()  # the operator is all that these rules ask for
        self.placed: list[Placed[R]] | tuple[()] = ()
        self.splittable = 0  # how many of `placed` have fields to index them by
        self.node: Node[R] | None = None

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

    def discard(self, placed: Placed[R]) -> None:
        if placed.is_sure and isinstance(self.sure, list):
            self.sure.remove(placed.rule_id)
        elif isinstance(self.placed, list):
            self.placed.remove(placed)
            self.splittable -= bool(placed.remaining)
        self.prune()

    def prune(self) -> None:
        """Leave the index once empty."""
        if not self.sure and not self.placed and self.node is None:
            self.leaf.forget(self)

    def _split(self) -> None:
        self.node = node = Node(self.leaf.node.lookups, self)
        for placed in self.placed:
            if placed.remaining:
                placed.spots.remove(self)
                self._put_deeper(node, placed)
        self.placed = [placed for placed in self.placed if not placed.remaining] or ()
        self.splittable = 0

    @staticmethod
    def _put_deeper(node: "Node[R]", placed: Placed[R]) -> None:
        deeper = Placed(placed.rule_id, placed.alternative, placed.remaining)
        placed.spots.append(deeper)
        node.place(deeper, may_be_sure=False)


class Leaf(Generic[R]):
    """All buckets of one path in one node; those of values hang in `step`, where events find them."""

    __slots__ = ("_facets", "_filed", "absent", "node", "path", "step")

    def __init__(self, node: "Node[R]", path: str) -> None:
        self.node = node
        self.path = path
        self.step: Step[Bucket[R]] = Step()
        self.absent: Bucket[R] | None = None
        self._filed: dict[ValueOperator, Bucket[R]] = {}  # all but exact strings
        self._facets: dict[type[Facet[Any]], tuple[Facet[Bucket[R]], int]] = {}  # with how many are filed there

    @property
    def numbers(self) -> NumberFacet[Bucket[R]] | None:
        """What numbers find here."""
        found = self._facets.get(NumberFacet)
        return found[0] if found is not None and isinstance(found[0], NumberFacet) else None

    def obtain(self, operator: ValueOperator) -> Bucket[R]:
        """The bucket of an operator, made if it has none."""
        if type(operator) is Text:
            bucket = self.step.texts.get(operator.text)
            if bucket is None:
                if not self.step.texts:
                    self.node.rearrange()
                bucket = self.step.texts[operator.text] = Bucket(self, operator)
            return bucket
        if type(operator) is Prefix:
            return self._obtain_prefix(operator)
        bucket = self._filed.get(operator)
        if bucket is None:
            bucket = self._filed[operator] = Bucket(self, operator)
            kind = facet_type(operator)
            assert kind is not None
            facet, count = self._facets.get(kind) or (kind(), 0)
            facet.add(operator, bucket)
            self._set_facet(kind, facet, count + 1)
        return bucket

    def _obtain_prefix(self, operator: Prefix) -> Bucket[R]:
        step = self.step
        bucket = step.prefixes.get(operator.text)
        if bucket is None:
            if not step.prefixes:
                self.node.rearrange()
            bucket = step.prefixes[operator.text] = Bucket(self, operator)
            length = len(operator.text)
            step.prefix_lengths[length] = step.prefix_lengths.get(length, 0) + 1
        return bucket

    def obtain_absent(self) -> Bucket[R]:
        if self.absent is None:
            self.absent = self.node.absent[self.path] = Bucket(self, None)
        return self.absent

    def forget(self, bucket: Bucket[R]) -> None:
        """Take an empty bucket out."""
        operator = bucket.operator
        if operator is None:
            self.absent = None
            del self.node.absent[self.path]
        elif type(operator) is Text:
            del self.step.texts[operator.text]
        elif type(operator) is Prefix:
            self._forget_prefix(operator.text)
        else:
            kind = facet_type(operator)
            assert kind is not None
            facet, count = self._facets[kind]
            facet.remove(operator, self._filed.pop(operator))
            self._set_facet(kind, facet, count - 1)
        if not (self.step.texts or self.step.prefixes or self._filed or self.absent is not None):
            self.node.drop(self.path)

    def _forget_prefix(self, text: str) -> None:
        step = self.step
        del step.prefixes[text]
        step.prefix_lengths[len(text)] -= 1
        if not step.prefix_lengths[len(text)]:
            del step.prefix_lengths[len(text)]

    def _set_facet(self, kind: type[Facet[Any]], facet: Facet[Bucket[R]], count: int) -> None:
        was_there = kind in self._facets
        if count:
            self._facets[kind] = (facet, count)
        else:
            del self._facets[kind]
        if was_there != bool(count):
            facets = [facet for facet, _ in self._facets.values()]
            self.step.on_texts = tuple(facet.probe for facet in facets if facet.sees_texts)
            self.step.on_others = tuple(facet.probe for facet in facets if facet.sees_others)
            self.node.rearrange()


class Node(Generic[R]):
    """One level; `holder` is the bucket that it is inside of."""

    __slots__ = ("_known_rests", "_leaves", "_size", "_steps", "_top", "absent", "holder", "lookups")

    def __init__(self, lookups: dict[str, PathUse], holder: Bucket[R] | None) -> None:
        self.lookups = lookups
        self.holder = holder
        self.absent: dict[str, Bucket[R]] = {}
        self._leaves: dict[str, Leaf[R]] = {}
        self._top: Step[Bucket[R]] = Step()
        self._steps: dict[str, Step[Bucket[R]]] = {}  # by the path that leads there
        self._size = 0
        self._known_rests: dict[tuple[FieldPattern, ...], tuple[FieldPattern, ...]] = {}

    @property
    def is_bare(self) -> bool:
        """Whether no path is known here."""
        return not self._leaves and not self.absent and not self._top.below

    def collect(self, event: EventFields, found: list[R], in_arrays: bool) -> None:
        """Add the ids of the rules that match; a rule that is met twice is added twice."""
        hits: list[Bucket[R]] = []
        if self._top.walk(event, hits):
            in_arrays = True
        if self.absent:
            self._add_absent(event, hits)
        if in_arrays:
            hits = list(dict.fromkeys(hits))  # elements of an array often lead to the same
        lookups = self.lookups
        for bucket in hits:
            found += bucket.sure
            if bucket.placed:
                # one field in an array, met by a value of it, is consistent with itself
                ask_all = in_arrays and (self.holder is not None or bucket.operator is None)
                for placed in bucket.placed:
                    if placed.holds(event, lookups, ask_all):
                        found.append(placed.rule_id)
            if bucket.node is not None:
                bucket.node.collect(event, found, in_arrays)

    def _add_absent(self, event: EventFields, hits: list[Bucket[R]]) -> None:
        for path, bucket in self.absent.items():
            value = self.lookups[path].value(event)
            if value is MISSING or (value is SEVERAL and _may_be_absent(event, path)):
                hits.append(bucket)

    def place(self, placed: Placed[R], *, may_be_sure: bool) -> None:
        """File an alternative under the field that narrows most."""
        placed.node = self
        self._size += 1
        fields = placed.remaining
        self._file(placed, min(fields, key=self._share) if len(fields) > 1 else fields[0], may_be_sure=may_be_sure)

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
        placed.remaining = self._shared(tuple(other for other in placed.remaining if other is not field))
        placed.is_sure = may_be_sure and not placed.remaining and not field.or_absent
        leaf = self._leaf(field.path)
        for operator in dict.fromkeys(field.operators):
            leaf.obtain(operator).put(placed)
        if field.or_absent:
            leaf.obtain_absent().put(placed)

    def shrink(self) -> None:
        """One placed alternative less; an empty level leaves its bucket."""
        self._size -= 1
        if not self._size and self.holder is not None:
            self.holder.node = None
            self.holder.prune()

    def drop(self, path: str) -> None:
        """Forget a path that nothing is filed under."""
        del self._leaves[path]
        self._top = Step()
        self._steps = {}
        for leaf in self._leaves.values():
            self._extend(leaf)

    def rearrange(self) -> None:
        """Let every step know that what hangs below has changed: rare, so all of them."""
        self._top.rearrange()
        for step in self._steps.values():
            step.rearrange()

    def _leaf(self, path: str) -> Leaf[R]:
        leaf = self._leaves.get(path)
        if leaf is None:
            leaf = self._leaves[path] = Leaf(self, path)
            self._extend(leaf)
        return leaf

    def _extend(self, leaf: Leaf[R]) -> None:
        """Add the ways to a path: through every split of it at dots, since keys may contain them."""
        keys = leaf.path.split(".")
        reached: list[Step[Bucket[R]]] = [self._top]
        for end in range(1, len(keys) + 1):
            prefix = ".".join(keys[:end])
            step = self._steps.setdefault(prefix, Step())
            if end == len(keys) and step is not leaf.step:
                leaf.step.below = step.below
                self._steps[prefix] = step = leaf.step
            for start in range(end):
                reached[start].below[".".join(keys[start:end])] = step
            reached.append(step)
        self.rearrange()

    def _shared(self, fields: tuple[FieldPattern, ...]) -> tuple[FieldPattern, ...]:
        """One object for equal fields: many rules ask for the same, which then stays in the processor's cache."""
        if not fields:
            return ()
        if len(self._known_rests) > _KNOWN_RESTS_MAX:
            self._known_rests.clear()
        return self._known_rests.setdefault(fields, fields)

    def _share(self, field: FieldPattern) -> float:
        """How little a field narrows, as far as one can guess."""
        leaf = self._leaves.get(field.path)
        use = self.lookups[field.path]
        numbers = leaf.numbers if leaf is not None else None
        shares = [use.share(operator, numbers) for operator in field.operators]
        return sum(shares, ABSENCE if field.or_absent else 0.0)


def _may_be_absent(event: EventFields, path: str) -> bool:
    """Whether a path has no value, or only such as a choice of array elements may put out of reach."""
    leaves = leaves_at(event, path)
    return not leaves or any(place for _, place in leaves)
