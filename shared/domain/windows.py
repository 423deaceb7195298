"""What triggers remember between events: counts within a time, things that have not followed yet, schedules' last firings.

Pure: facts of `upshot.runs` in log order to state. The matcher decides with this state what to append, and the fold of the runs
decides with the same state, rebuilt from the log, what stands: an absence that was told of twice, or by a frozen owner, is one.
Guarantees: an event counts once for a window, however often it is read: a tenant's events are taken in the order of their
recording and never go back behind the newest that left a trace, and one that was recorded again is known by its id. What is
forgotten can never matter again, since an event is left out once it was recorded longer than the trigger's lateness after its
own time; state is bounded by what was open at a tenant's last fact, never by history. Time here is that of the events' recording
(`seen_at`), never that of the facts about them: a matcher that is hours behind finds what it needs. No tenant's facts touch
another's windows: a log that is copied to another number of partitions, with other neighbours, amounts to the same.
"""

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from shared.domain.absence import Absence
from shared.domain.records import ScheduleFired, WindowCounted, WindowElapsed, WindowFact, WindowFollowed, WindowOpened
from shared.domain.seen import LONG_AGO, REMEMBERED_MAX, Seen

COUNT_MAX = 1000
"""Events that a count may wait for."""
WAITING_MAX = 2 * COUNT_MAX
"""Events that wait in a count, an entry each in its state. Of more than so many within the lateness the oldest are let go:
they could complete a count only with what comes late."""
WITHIN_SECONDS_MAX = 31 * 86_400
LATENESS_SECONDS = 60
"""Where a trigger does not say: vendors deliver within seconds, and an absence is told that much later."""
LATENESS_SECONDS_MIN = 1
"""Whatever is published is recorded some milliseconds after it happened: with less, every event would be too late."""
LATENESS_SECONDS_MAX = 86_400
KEY_CHARS_MAX = 1000
"""Characters of a key's template, and of what it renders to."""


class WindowKey(NamedTuple):
    """One window: of a tenant's workflow, of that trigger (its digest), for that key."""

    tenant_id: str
    workflow_id: str
    trigger: str
    key: str


@dataclass(slots=True, kw_only=True)
class Count:
    """`waiting`: events that count, oldest first; `used`: those that a completed count has used up."""

    within_seconds: int
    lateness_seconds: int
    until: datetime = LONG_AGO
    seen_at: datetime = LONG_AGO
    waiting: list[Seen] = field(default_factory=list)
    used: list[Seen] = field(default_factory=list)

    def knows(self, event_id: str, now: datetime) -> bool:
        """Whether that event was taken in before, as far as that is remembered at `now`, forgotten yet or not."""
        waiting, used = self._remembered(now)
        return any(each.event_id == event_id for each in (*waiting, *used))

    def add(self, seen: Seen, times: int, now: datetime) -> bool:
        """Whether that event completes a count; the events that make it up are then used up."""
        self.waiting, self.used = self._remembered(now)
        if any(each.event_id == seen.event_id for each in (*self.waiting, *self.used)):
            return False
        self.until = max(self.until, seen.at + timedelta(seconds=self.within_seconds + self.lateness_seconds))
        self.waiting.append(seen)
        self.waiting.sort()
        within = timedelta(seconds=self.within_seconds)
        place = self.waiting.index(seen)
        for first in range(max(0, place - times + 1), place + 1):
            last = first + times - 1
            if last < len(self.waiting) and self.waiting[last].at - self.waiting[first].at <= within:
                self.used += self.waiting[first : last + 1]
                del self.waiting[first : last + 1]
                del self.used[:-REMEMBERED_MAX]
                return True
        del self.waiting[:-WAITING_MAX]
        return False

    def expires_at(self) -> datetime:
        return self.until

    def _remembered(self, now: datetime) -> tuple[list[Seen], list[Seen]]:
        late = now - timedelta(seconds=self.lateness_seconds)
        over = late - timedelta(seconds=self.within_seconds)
        return [each for each in self.waiting if each.at >= over], [each for each in self.used if each.at >= late]


@dataclass(slots=True, kw_only=True)
class Cursor:
    """How far a schedule has fired: its newest planned instant."""

    planned_at: datetime


Window = Count | Absence | Cursor


class Windows:
    """The windows of one partition."""

    def __init__(self) -> None:
        self._windows: dict[WindowKey, Window] = {}
        self._open: dict[str, int] = {}
        self._expiries: dict[str, list[tuple[datetime, WindowKey]]] = {}
        self._expiring: set[WindowKey] = set()
        self._last: tuple[str, datetime] = (
            "",
            LONG_AGO,
        )  # of the last fact: the tenant, and when its event was recorded
        self._passed: dict[str, datetime] = {}

    def get(self, key: WindowKey) -> Window | None:
        return self._windows.get(key)

    def items(self) -> Iterable[tuple[WindowKey, Window]]:
        return self._windows.items()

    def waiting(self) -> Iterator[tuple[datetime, WindowKey]]:
        """Every wait that is open, with the instant from which its absence is certain."""
        for key, window in self._windows.items():
            if isinstance(window, Absence) and window.due_at is not None:
                yield window.due_at, key

    def waited_after(self) -> Iterator[tuple[WindowKey, str]]:
        """Every window with a wait that is open, and the event that it is after."""
        for key, window in self._windows.items():
            if isinstance(window, Absence) and window.opened is not None:
                yield key, window.opened.event_id

    def are_full(self, tenant_id: str, windows_max: int, seen_at: datetime) -> bool:
        """Whether a tenant has as many windows as it may have, and no fact about an event that was recorded at `seen_at`
        would make room: only facts let windows expire."""
        if self._open.get(tenant_id, 0) < windows_max:
            return False
        expiries = self._expiries.get(tenant_id)
        return not expiries or expiries[0][0] >= seen_at

    def has_passed(self, tenant_id: str, seen_at: datetime) -> bool:
        """Whether a tenant's event that was recorded then was taken before: it is being read again. Where times are equal,
        its id tells."""
        return seen_at < self._passed.get(tenant_id, LONG_AGO)

    def restore(self, windows: Iterable[tuple[WindowKey, Window]]) -> None:
        """Take over a snapshot."""
        for key, window in windows:
            self._put(key, window)
            self._plan_expiry(key, window)
            if isinstance(window, Count | Absence):
                passed = self._passed.get(key.tenant_id, LONG_AGO)
                self._passed[key.tenant_id] = max(passed, window.seen_at)

    def apply(self, tenant_id: str, fact: WindowFact, now: datetime, offset: int) -> bool:
        """Fold one fact. True: the count is complete, the wait began or ended by this very fact, the cursor moved on.

        `now`: the partition's time, by which an absence must be over; `offset`: where the fact lies.
        """
        seen_at = LONG_AGO
        self._last = (tenant_id, seen_at)
        if not isinstance(fact, WindowElapsed | ScheduleFired):
            seen_at = fact.seen_at
            late = seen_at - fact.at > timedelta(seconds=fact.lateness_seconds)
            if late or self.has_passed(tenant_id, seen_at):
                return False
            self._passed[tenant_id] = seen_at
            self._last = (tenant_id, seen_at)
        key = WindowKey(tenant_id, fact.workflow_id, fact.trigger, fact.key)
        window = self._windows.get(key)
        match fact:
            case WindowCounted():
                changed = self._count(key, window, fact)
            case WindowOpened():
                changed = self._absence(key, window, fact).open(Seen(fact.at, fact.event.id), offset, fact.seen_at)
            case WindowFollowed():
                changed = self._absence(key, window, fact).follow(Seen(fact.at, fact.event_id), fact.seen_at)
            case WindowElapsed():
                changed = self._elapse(window, fact, now)
            case ScheduleFired():
                changed = self._move_on(key, window, fact)
        after = self._windows.get(key)
        if isinstance(after, Count | Absence):
            after.seen_at = max(after.seen_at, seen_at)
        if after is not None:
            self._plan_expiry(key, after)
        return changed

    def expire(self) -> list[WindowKey]:
        """Forget, and return, the windows of the last fact's tenant that no event can concern any more.

        By the event of that fact alone, never by what came before: a fold that was restored in between forgets the same.
        """
        gone = []
        tenant_id, now = self._last
        expiries = self._expiries.get(tenant_id, [])
        while expiries and expiries[0][0] < now:
            _, key = heapq.heappop(expiries)
            self._expiring.discard(key)
            window = self._windows[key]
            expires_at = _expires_at(window)
            if expires_at is not None and expires_at < now:
                del self._windows[key]
                self._open[key.tenant_id] -= 1
                gone.append(key)
            else:
                self._plan_expiry(key, window)
        return gone

    def _count(self, key: WindowKey, window: Window | None, fact: WindowCounted) -> bool:
        if not isinstance(window, Count):
            window = Count(within_seconds=fact.within_seconds, lateness_seconds=fact.lateness_seconds)
            self._put(key, window)
        return window.add(Seen(fact.at, fact.event_id), fact.times, fact.seen_at)

    def _absence(self, key: WindowKey, window: Window | None, fact: WindowOpened | WindowFollowed) -> Absence:
        if not isinstance(window, Absence):
            window = Absence(within_seconds=fact.within_seconds, lateness_seconds=fact.lateness_seconds)
            self._put(key, window)
        return window

    def _elapse(self, window: Window | None, fact: WindowElapsed, now: datetime) -> bool:
        if not isinstance(window, Absence) or window.opened_by != fact.event.id:
            return False
        due_at = window.due_at
        if fact.match is not None and (due_at is None or now < due_at):
            return False
        window.close()
        return True

    def _move_on(self, key: WindowKey, window: Window | None, fact: ScheduleFired) -> bool:
        if isinstance(window, Cursor) and window.planned_at >= fact.planned_at:
            return False
        self._put(key, Cursor(planned_at=fact.planned_at))
        return True

    def _put(self, key: WindowKey, window: Window) -> None:
        if key not in self._windows:
            self._open[key.tenant_id] = self._open.get(key.tenant_id, 0) + 1
        self._windows[key] = window

    def _plan_expiry(self, key: WindowKey, window: Window) -> None:
        """One plan a window, however often it changes: it is looked at again when that instant comes."""
        expires_at = _expires_at(window)
        if expires_at is not None and key not in self._expiring:
            self._expiring.add(key)
            heapq.heappush(self._expiries.setdefault(key.tenant_id, []), (expires_at, key))


def _expires_at(window: Window) -> datetime | None:
    return window.expires_at() if isinstance(window, Count | Absence) else None
