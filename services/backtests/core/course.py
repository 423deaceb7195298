"""The past as one revision would have gone through it, were it the only one that was live: what the stream decides, with windows
of its own.

Events come in the order of their recording. A wait is told of at the instant from which it is certain that nothing followed, and
a schedule's planned instants are computed, as of a matcher that keeps up: never late, never down. Pure.
Next: `judging.py`, which takes the candidate and the live revision through the same events.
"""

import heapq
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from services.backtests.core.candidate import BUDGET, Candidate
from shared.domain.absence import Absence
from shared.domain.envelope import Event
from shared.domain.errors import PermanentError
from shared.domain.ids import match_id
from shared.domain.records import SourceEvent, WindowFollowed, WindowOpened
from shared.domain.waits import Waits
from shared.domain.windows import WindowKey, Windows
from shared.domain.workflow import Match
from shared.matching import EventFields
from shared.workflows.compiled import CompiledSchedule
from shared.workflows.decide import decide_among, event_data, fields_of, source_event
from shared.workflows.firings import firing_event
from shared.workflows.watching import elapsed

EVENT_BYTES = 600
"""What an event in memory takes beside its data."""

_BEFORE = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A run that is asked for, about an event; `recorded_at`: that of the event."""

    match: Match
    about: SourceEvent
    event: Event
    recorded_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What an event led to at once. `error`: why the condition could not be evaluated; `left_out`: it would have opened one
    window more than a tenant may have, or looking into its arrays takes more than one event may cost."""

    asked: Asked | None
    error: str | None = None
    left_out: bool = False


_NOTHING = Taken(asked=None)


class _Opened(NamedTuple):
    event: Event
    recorded_at: datetime
    match_id: str


class Course:
    """One revision's way through the past."""

    def __init__(self, candidate: Candidate, since: datetime, *, waits_bytes_max: int) -> None:
        """`since`: the first instant that may be a planned one. `waits_bytes_max`: what events that are waited after may take
        in memory."""
        self._candidate = candidate
        self._windows = Windows()
        self._waits = Waits(self._windows)
        self._opened: dict[WindowKey, dict[str, _Opened]] = {}
        self._bytes_left = waits_bytes_max
        self._bytes_max = waits_bytes_max
        self._planned: list[tuple[datetime, int]] = []
        self._schedules = candidate.start.planned
        for number, schedule in enumerate(self._schedules):
            self._plan(number, schedule, since - _BEFORE)

    @property
    def next_firing(self) -> datetime | None:
        """The next planned instant."""
        return self._planned[0][0] if self._planned else None

    @property
    def next_due(self) -> datetime | None:
        """No wait is over before."""
        return self._waits.next_due

    @property
    def waits_open(self) -> int:
        """Waits of which nobody knows yet whether something follows."""
        return sum(1 for _ in self._windows.waiting())

    def waits_after(self) -> set[str]:
        """The match ids of the events that are waited after."""
        return {self._opened[key][event_id].match_id for key, event_id in self._windows.waited_after()}

    def take(self, event: Event, fields: EventFields, recorded_at: datetime) -> Taken:
        """One event of the log. A recorded firing of one of this revision's own schedules is passed over: those are computed."""
        return self._take(event, fields, recorded_at, planned=False)

    def fire(self) -> tuple[Event, Taken]:
        """The next planned instant comes, as the event that it is."""
        at, number = heapq.heappop(self._planned)
        schedule = self._schedules[number]
        self._plan(number, schedule, at)
        event = firing_event(self._candidate.tenant.id, self._candidate.workflow.id, schedule, at)
        return event, self._take(event, fields_of(event), at, planned=True)

    def tell_due(self, until: datetime) -> Asked | None:
        """One wait that is over by `until`, the most overdue first; None: it asks for nothing, or there is none."""
        for key, wait in self._waits.take_due(until, 1):
            opened = self._opened[key][wait.event_id]
            about = source_event(opened.event, event_data(opened.event))
            fact = elapsed(self._candidate.tenant, self._candidate.rules, key, about)
            self._windows.apply(key.tenant_id, fact, until, 0)
            self._keep_of(key)
            self._waits.plan(key)
            if fact.match is not None:
                return Asked(match=fact.match, about=about, event=opened.event, recorded_at=opened.recorded_at)
        return None

    def _take(self, event: Event, fields: EventFields, recorded_at: datetime, *, planned: bool) -> Taken:
        it = self._candidate
        watches = it.rules.watching(fields)
        if not watches or (not planned and any(watch.schedule is not None for watch in watches)):
            return _NOTHING
        decided = decide_among(watches, it.tenant, it.rules, event, recorded_at, self._windows, BUDGET, lambda: 0.0)
        for fact in decided.windows:
            if isinstance(fact, WindowOpened | WindowFollowed):
                key = WindowKey(it.tenant.id, fact.workflow_id, fact.trigger, fact.key)
                self._follow(key, event, recorded_at)
        for key in self._windows.expire() if decided.windows else ():
            self._keep_of(key)
        matched = decided.matched
        return Taken(
            asked=Asked(match=matched.matches[0], about=matched.event, event=event, recorded_at=recorded_at)
            if matched is not None and matched.matches
            else None,
            error=decided.errors[0].detail if decided.errors else None,
            left_out=matched is not None and bool(matched.unevaluated),
        )

    def _follow(self, key: WindowKey, event: Event, recorded_at: datetime) -> None:
        """Keep the events that waits are after, or may come to be, for as long as they are."""
        self._keep_of(key)
        window = self._windows.get(key)
        opened = self._opened.setdefault(key, {})
        if isinstance(window, Absence) and event.id not in opened and window.may_wait_after(event.id):
            opened[event.id] = _Opened(event, recorded_at, match_id(event.id, event.replay_id))
            self._bytes_left -= _bytes_of(event)
        if not opened:
            del self._opened[key]
        if self._bytes_left < 0:
            raise PermanentError(
                f"the events that it waits after ({sum(map(len, self._opened.values())):,} at once) take more than the "
                f"{self._bytes_max:,} bytes that they may (UPSHOT_BACKTESTS_WAITS_BYTES_MAX); wait after fewer, or for less long"
            )
        self._waits.plan(key)

    def _keep_of(self, key: WindowKey) -> None:
        """Let go of the events that no wait of that window can be after any more."""
        opened, window = self._opened.get(key, {}), self._windows.get(key)
        for event_id in list(opened):
            if not isinstance(window, Absence) or not window.may_wait_after(event_id):
                self._bytes_left += _bytes_of(opened.pop(event_id).event)
        if not opened:
            self._opened.pop(key, None)

    def _plan(self, number: int, schedule: CompiledSchedule, after: datetime) -> None:
        at = schedule.schedule.next_after(after)
        if at is not None:
            heapq.heappush(self._planned, (at, number))


def memory_seconds(candidate: Candidate) -> int:
    """How far back a revision remembers: no event that was recorded longer ago matters to what its triggers wait for."""
    start = candidate.start
    counts = (each.on.within_seconds + each.on.lateness_seconds for each in start.counts)
    absences = (each.on.within_seconds + each.on.lateness_seconds for each in start.absences)
    return max((*counts, *absences), default=0)


def _bytes_of(event: Event) -> int:
    return EVENT_BYTES + len(event.data or b"")
