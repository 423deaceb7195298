"""All that one path of one level files: a bucket per operator, kept where the values of events find it.

Next: `index_walk.py`, how they do.
"""

from collections.abc import Hashable
from typing import Any, Generic, Protocol, TypeVar

from shared.matching.facets import Facet, NumberFacet, facet_type
from shared.matching.index_bucket import Bucket, Level
from shared.matching.index_walk import Step
from shared.matching.literals import Text
from shared.matching.pattern import ValueOperator
from shared.matching.text import Prefix
from shared.matching.work import Work

R = TypeVar("R", bound=Hashable)


class Paths(Level, Protocol):
    """A node, as the paths in it need it."""

    absent: dict[str, Any]  # Any: buckets

    def rearrange(self) -> None:
        """What hangs at the paths has changed in kind."""

    def drop(self, path: str) -> None:
        """Forget a path that nothing is filed under."""


class Leaf(Generic[R]):
    """All buckets of one path in one node; those of values hang in `step`, where events find them."""

    __slots__ = ("_facets", "_filed", "absent", "level", "path", "step")

    def __init__(self, level: Paths, path: str, work: Work) -> None:
        self.level: Paths = level
        self.path = path
        self.step: Step[Bucket[R]] = Step(work)
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
                    self.level.rearrange()
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
            bucket = step.prefixes[operator.text] = Bucket(self, operator)
            length = len(operator.text)
            if length not in step.prefix_lengths:
                self.level.rearrange()
            step.prefix_lengths[length] = step.prefix_lengths.get(length, 0) + 1
        return bucket

    def obtain_absent(self) -> Bucket[R]:
        if self.absent is None:
            self.absent = self.level.absent[self.path] = Bucket(self, None)
        return self.absent

    def forget(self, bucket: Bucket[R]) -> None:
        """Take an empty bucket out."""
        operator = bucket.operator
        if operator is None:
            self.absent = None
            del self.level.absent[self.path]
        elif type(operator) is Text:
            del self.step.texts[operator.text]
            del self.step.met_by_text[operator.text]
        elif type(operator) is Prefix:
            self._forget_prefix(operator.text)
        else:
            kind = facet_type(operator)
            assert kind is not None
            facet, count = self._facets[kind]
            facet.remove(operator, self._filed.pop(operator))
            self._set_facet(kind, facet, count - 1)
        if not (self.step.texts or self.step.prefixes or self._filed or self.absent is not None):
            self.level.drop(self.path)

    def _forget_prefix(self, text: str) -> None:
        step = self.step
        del step.prefixes[text]
        del step.met_by_prefix[text]
        step.prefix_lengths[len(text)] -= 1
        if not step.prefix_lengths[len(text)]:
            del step.prefix_lengths[len(text)]
            self.level.rearrange()

    def _set_facet(self, kind: type[Facet[Any]], facet: Facet[Bucket[R]], count: int) -> None:
        was_there = kind in self._facets
        if count:
            self._facets[kind] = (facet, count)
        else:
            del self._facets[kind]
        self.step.asked = sum(-(-filed // each.shared_by) for each, filed in self._facets.values())
        if was_there != bool(count):
            facets = [facet for facet, _ in self._facets.values()]
            self.step.on_texts = tuple(facet.probe for facet in facets if facet.sees_texts)
            self.step.on_others = tuple(facet.probe for facet in facets if facet.sees_others)
            self.level.rearrange()
