"""Fires the schedules of the partitions that this process owns.

Guarantee: a planned instant is fired once, whatever dies when: its event's id is derived from it, and the cursor is written
once the event is durable. What was missed while nobody ran is made up for as far as the schedule says, the newest first to be
kept.
Next: `shared/schedules`, which instants are planned.
"""

import heapq
import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from services.matcher.service.remembering import Memory
from shared.bus import codec, facts
from shared.bus.facts import Cause
from shared.bus.partitioner import partition_of
from shared.bus.port import Bus, NewRecord
from shared.bus.topics import EVENTS, RUNS
from shared.domain.clock import Clock
from shared.domain.envelope import Event, routing_key
from shared.domain.errors import UpshotError
from shared.domain.ids import window_record_id
from shared.domain.records import ScheduleFired
from shared.domain.windows import Cursor, WindowKey
from shared.schedules import Schedule
from shared.workflows.compiled import CompiledSchedule, CompiledStart
from shared.workflows.firings import firing_event
from shared.workflows.triggers import FIRING_SOURCE

ON_TIME = timedelta(seconds=60)
"""What is fired within this of its planned instant was not missed, only late: `catch_up_max` does not bound it."""
LATE_MAX = 60
"""More instants than a schedule can have within `ON_TIME`."""
AT_ONCE = 250
"""Firings in one go: events need not wait for more than some tenths of a second."""
TOGETHER = 50
"""Firings in one append: some milliseconds, in which nothing else goes on."""
OF_ONE = 10
"""Firings of one schedule before others have their turn."""
AGAIN = timedelta(seconds=1)
"""While heartbeats go unanswered, a schedule that is due is looked at this often."""
EMPTY_KEY = ""


@dataclass(slots=True, eq=False)
class _Plan:
    """When one schedule comes next. A plan that was replaced stays in the heap until its instant, without effect."""

    tenant_id: str
    partition: int
    start: CompiledStart
    schedule: CompiledSchedule
    next_at: datetime | None = None
    owed: Sequence[datetime] = ()
    """What is due and has yet to wait for others; to work it out again takes as long as to fire it."""

    @property
    def key(self) -> WindowKey:
        return WindowKey(self.tenant_id, self.start.workflow.id, self.schedule.trigger, EMPTY_KEY)


class _Due(NamedTuple):
    plan: _Plan
    instant: datetime


class Firing:
    """All schedules that are known, and when those come next whose partitions are this process's own."""

    def __init__(self, bus: Bus, memories: Mapping[int, Memory], clock: Clock) -> None:
        """`memories`: of the partitions that this process owns, with the cursors of their schedules."""
        self._bus = bus
        self._memories = memories
        self._clock = clock
        self._plans: dict[int, dict[WindowKey, _Plan]] = {}
        self._triggers: dict[tuple[str, str], list[WindowKey]] = {}
        self._heap: list[tuple[datetime, int, _Plan]] = []
        self._numbers = itertools.count()

    def put(self, tenant_id: str, workflow_id: str, start: CompiledStart | None) -> None:
        """A workflow as it may start now; None: it may not."""
        partition = partition_of(routing_key(tenant_id, None), self._bus.partition_count)
        schedules = start.planned if start is not None else ()
        plans = self._plans.setdefault(partition, {})
        for key in self._triggers.pop((tenant_id, workflow_id), ()):
            del plans[key]
        if start is None or not schedules:
            return
        for schedule in schedules:
            plan = _Plan(tenant_id=tenant_id, partition=partition, start=start, schedule=schedule)
            plans[plan.key] = plan
            if partition in self._memories:
                self._plan(plan, self._floor(plan))
        self._triggers[tenant_id, workflow_id] = [
            WindowKey(tenant_id, workflow_id, each.trigger, EMPTY_KEY) for each in schedules
        ]

    def take_over(self, partition: int) -> None:
        """The partition is this process's own from now on."""
        for plan in self._plans.get(partition, {}).values():
            plan.owed = ()
            self._plan(plan, self._floor(plan))

    def next_due(self) -> datetime | None:
        """When the next schedule comes, by the clock."""
        return self._heap[0][0] if self._heap else None

    async def act(self, owned: Collection[int]) -> None:
        """Fire what is due in the partitions that may be acted on: so much of it that events need not wait for long."""
        now = self._clock.now()
        for _ in range(AT_ONCE // TOGETHER):
            if due := self._take_due(owned, now):
                await self._fire(due, now)

    def _take_due(self, owned: Collection[int], now: datetime) -> list[_Due]:
        """About `TOGETHER` instants, of as many schedules at most, and of one schedule at most `OF_ONE`: the rest of it waits
        for those of others."""
        due: list[_Due] = []
        room = TOGETHER
        while self._heap and self._heap[0][0] <= now and room > 0:
            due_at, _, plan = heapq.heappop(self._heap)
            room -= 1  # also for those that fire nothing: to find that out takes its time
            if plan.next_at != due_at or self._plans[plan.partition].get(plan.key) is not plan:
                continue
            if plan.partition not in self._memories:
                continue  # whoever owns it now fires it
            if plan.partition not in owned:
                self._plan_at(plan, now + AGAIN)
                continue
            instants = plan.owed or _to_fire(plan.schedule.schedule, self._floor(plan), now)
            due += [_Due(plan, instant) for instant in instants[:OF_ONE]]
            room -= max(0, min(len(instants), OF_ONE) - 1)
            plan.owed = instants[OF_ONE:]
            if plan.owed:
                self._plan_at(plan, now)
            else:
                self._plan(plan, now)
        return due

    async def _fire(self, due: Sequence[_Due], now: datetime) -> None:
        events: list[NewRecord] = []
        cursors: list[NewRecord] = []
        fired: list[tuple[_Plan, ScheduleFired]] = []
        for plan, instant in due:
            event = firing_event(plan.tenant_id, plan.start.workflow.id, plan.schedule, instant)
            fact = ScheduleFired(
                workflow_id=plan.start.workflow.id,
                trigger=plan.schedule.trigger,
                planned_at=instant,
                event_id=event.id,
            )
            events.append(codec.encode(EVENTS, event))
            cursors.append(codec.encode(RUNS, self._cursor_record(plan, fact, event)))
            fired.append((plan, fact))
        try:
            # Not in one call: of records for several partitions some may be kept and others not, and a cursor whose event is
            # lost is an instant that nobody fires.
            await self._bus.append(events)
            await self._bus.append(cursors)
        except UpshotError:
            for plan in dict.fromkeys(plan for plan, _ in due):
                plan.owed = ()
                self._plan_at(plan, now)
            raise
        for plan, fact in fired:
            memory = self._memories.get(plan.partition)
            if memory is not None:
                memory.windows.apply(plan.tenant_id, fact, now, 0)

    def _floor(self, plan: _Plan) -> datetime:
        """Up to which instant nothing is to be fired any more: what was, or what came before the schedule did."""
        since = scheduled_since(plan.start)
        window = self._memories[plan.partition].windows.get(plan.key)
        return max(since, window.planned_at) if isinstance(window, Cursor) else since

    def _plan(self, plan: _Plan, after: datetime) -> None:
        at = plan.schedule.schedule.next_after(after)
        plan.next_at = at
        if at is not None:
            self._plan_at(plan, at)

    def _plan_at(self, plan: _Plan, at: datetime) -> None:
        plan.next_at = at
        heapq.heappush(self._heap, (at, next(self._numbers), plan))

    def _cursor_record(self, plan: _Plan, fact: ScheduleFired, event: Event) -> Event:
        return facts.envelop(
            fact,
            id=window_record_id(fact.TYPE, fact.workflow_id, fact.trigger, EMPTY_KEY, event.id),
            tenant_id=plan.tenant_id,
            source=FIRING_SOURCE,
            at=self._clock.now(),
            cause=Cause(causation_id=event.id, correlation_id=event.id),
        )


def scheduled_since(start: CompiledStart) -> datetime:
    """Since when this schedule is live: since it was written as it is, or since the workflow was enabled again."""
    workflow = start.workflow
    meaning = (start.revision.document.get("trigger"), start.revision.document.get("timezone"))
    since = start.revision.saved_at
    for revision in reversed(workflow.revisions):
        if (revision.document.get("trigger"), revision.document.get("timezone")) != meaning:
            break
        since = revision.saved_at
    return max(since, workflow.enabled_at) if workflow.enabled_at is not None else since


def _to_fire(schedule: Schedule, since: datetime, now: datetime) -> Sequence[datetime]:
    """The planned instants in (since, now] that are fired: what is only late, or the newest, as many as may be made up for."""
    late = schedule.missed(max(since, now - ON_TIME), now, LATE_MAX)
    return late if schedule.catch_up_max <= len(late) else schedule.missed(since, now, schedule.catch_up_max)
