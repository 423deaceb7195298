"""Refused requests: a bounded ring per source and a count, in memory. They are nobody's facts, so they never enter the log."""

from collections import Counter, OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """One refused request: when, why, and what helps to mend it. Never its body, never a secret or signature."""

    at: datetime
    reason: str
    detail: str
    body_bytes: int


class Rejections:
    """The newest rejections of the sources that had one most recently."""

    def __init__(self, *, per_source_max: int, sources_max: int) -> None:
        self._per_source_max = per_source_max
        self._sources_max = sources_max
        self._rings: OrderedDict[str, deque[Rejection]] = OrderedDict()
        self.counts: Counter[str] = Counter()

    def add(self, source_id: str, rejection: Rejection) -> None:
        self.counts[rejection.reason] += 1
        ring = self._rings.setdefault(source_id, deque(maxlen=self._per_source_max))
        ring.append(rejection)
        self._rings.move_to_end(source_id)
        if len(self._rings) > self._sources_max:
            self._rings.popitem(last=False)

    def of(self, source_id: str) -> Sequence[Rejection]:
        """Newest first."""
        return list(reversed(self._rings.get(source_id, ())))
