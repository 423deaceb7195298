"""What the candidate matches beside what the live revision does, event by event. Pure.

Mostly both have had their say by the time of the event itself. Where one of them waits for what does not follow, it speaks later
than the other: what only one has matched is then kept until the other does, or until there is too much of it.
"""

from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass

from services.backtests.core.found import Difference, SeenEvent, Side

DIFFERENCES_SHOWN = 20
"""Events named on each side of a difference; all are counted."""
PENDING_MAX = 250_000
"""Events that only one has matched so far, while the other may still do so: about 60 MB. The oldest then counts as decided."""


@dataclass(slots=True)
class _Side:
    count: int
    events: list[SeenEvent]

    def add(self, seen: SeenEvent) -> None:
        self.count += 1
        if len(self.events) < DIFFERENCES_SHOWN:
            self.events.append(seen)

    def told(self, pending: Collection[SeenEvent]) -> Side:
        shown = [*self.events, *pending][:DIFFERENCES_SHOWN]
        return Side(count=self.count + len(pending), events=tuple(shown))


@dataclass(frozen=True, slots=True)
class _Pending:
    seen: SeenEvent
    by_candidate: bool
    in_range: bool


class Comparison:
    """`later`: whether one of the two may match an event after it has happened."""

    def __init__(self, *, later: bool) -> None:
        self._later = later
        self._both = 0
        self._newly, self._no_longer = _Side(0, []), _Side(0, [])
        self._pending: OrderedDict[str, _Pending] = OrderedDict()

    def note(self, key: str, seen: SeenEvent, *, candidate: bool, live: bool, in_range: bool) -> None:
        """One of the two matches the event that `key` names, or both do. Not `in_range`: it counts only beside what is."""
        if candidate and live:
            self._both += in_range
            return
        now = _Pending(seen, candidate, in_range)
        if not self._later:
            self._settle(now)
            return
        known = self._pending.get(key)
        if known is None:
            self._pending[key] = now
            if len(self._pending) > PENDING_MAX:
                self._settle(self._pending.popitem(last=False)[1])
        elif known.by_candidate != candidate:
            del self._pending[key]
            self._both += in_range or known.in_range

    def difference(self, candidate_waits: Collection[str], live_waits: Collection[str]) -> Difference:
        """As far as it has come. The keys of the events that the candidate, and the live revision, still wait after."""
        undecided = 0
        newly: list[SeenEvent] = []
        no_longer: list[SeenEvent] = []
        for key, each in self._pending.items():
            if not each.in_range:
                continue
            if key in (live_waits if each.by_candidate else candidate_waits):
                undecided += 1
            else:
                (newly if each.by_candidate else no_longer).append(each.seen)
        return Difference(
            both=self._both,
            newly_matching=self._newly.told(newly),
            no_longer_matching=self._no_longer.told(no_longer),
            undecided=undecided,
        )

    def _settle(self, each: _Pending) -> None:
        if each.in_range:
            (self._newly if each.by_candidate else self._no_longer).add(each.seen)
