"""The shell of approvals: a timer for each pending run, and an expiry in the log when it has run down.

An actor on top of the runs' fold, so deadlines that passed while nothing was running are seen on restore. The log's own clock
decides whether the deadline has passed; where it does not agree yet, the expiry changes nothing and is tried again.
"""

import asyncio
import logging
from datetime import timedelta

from services.approvals.core import deadline, expiry_id
from services.approvals.settings import ApprovalsSettings
from shared.bus import codec, facts
from shared.bus.facts import Cause
from shared.bus.port import Bus
from shared.bus.topics import RUNS
from shared.domain.clock import Clock
from shared.domain.errors import TransientError
from shared.domain.records import ApprovalExpired
from shared.domain.runs.delta import RunsDelta
from shared.domain.runs.state import Run
from shared.runtime.shard import Shard
from shared.runtime.timers import Timer, Timers

log = logging.getLogger(__name__)

SOURCE = facts.SOURCES["approvals"]


class Approvals:
    """Watches the deadlines of the shards that this process owns."""

    def __init__(self, bus: Bus, settings: ApprovalsSettings, clock: Clock) -> None:
        self._bus = bus
        self._recheck = timedelta(seconds=settings.recheck_seconds)
        self._clock = clock
        self._timers = Timers(clock)
        self._watched: dict[Shard, dict[str, Timer]] = {}
        """By run id. Let go once it is decided or the shard is another's: deadlines are days away, and a whole fold may hang
        on one."""
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def pending(self) -> int:
        """Runs that wait for a person."""
        return sum(map(len, self._watched.values()))

    def restored(self, shard: Shard) -> None:
        for run in shard.fold.runs.values():
            self._watch(shard, run)

    def folded(self, shard: Shard, delta: RunsDelta) -> None:
        if shard.level and shard.followed:
            for run in delta.runs.values():
                self._watch(shard, run)

    def revoked(self, shard: Shard) -> None:
        for timer in self._watched.pop(shard, {}).values():
            self._timers.cancel(timer)

    def halted(self, shard: Shard) -> None:
        """Nobody here would see that a run has expired."""
        self.revoked(shard)

    async def run(self) -> None:
        """Until cancelled."""
        try:
            await self._timers.run()
        finally:
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _watch(self, shard: Shard, run: Run) -> None:
        due_at, watched = deadline(run), self._watched.setdefault(shard, {})
        if due_at is None:
            timer = watched.pop(run.id, None)
            if timer is not None:
                self._timers.cancel(timer)
        elif run.id not in watched:
            watched[run.id] = self._timers.at(due_at, lambda: self._fall_due(shard, run))

    def _fall_due(self, shard: Shard, run: Run) -> None:
        task = asyncio.create_task(self._see_to(shard, run))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _see_to(self, shard: Shard, run: Run) -> None:
        """Tried again once it is folded and has changed nothing: thousands may fall due at once, after a night's outage, and
        a log that is slow to take and to fold them must not be given each of them every second."""
        told: int | None = None
        try:
            told = await self._expire(shard, run)
        finally:
            self._look_again(shard, run, told)

    def _look_again(self, shard: Shard, run: Run, told: int | None) -> None:
        """`told`: where its expiry lies."""
        watched = self._watched.get(shard, {})
        if run.id not in watched:
            return  # decided meanwhile, or another's

        def look() -> None:
            if told is not None and shard.next <= told:
                self._look_again(shard, run, told)
            else:
                self._fall_due(shard, run)

        watched[run.id] = self._timers.at(self._clock.now() + self._recheck, look)

    async def _expire(self, shard: Shard, run: Run) -> int | None:
        """The offset of the record that says so; None: it is not in the log."""
        if not shard.may_act:
            return None
        cause = Cause(
            causation_id=run.causation_id,
            correlation_id=run.correlation_id,
            causal_chain=run.causal_chain,
            traceparent=run.traceparent,
        )
        fact = ApprovalExpired(run_id=run.id)
        event = facts.envelop(
            fact, id=expiry_id(run.id), tenant_id=run.tenant_id, source=SOURCE, at=self._clock.now(), cause=cause
        )
        try:
            (position,) = await self._bus.append([codec.encode(RUNS, event)])
        except TransientError as error:
            log.warning("the expiry of run %s is not in the log yet, trying again: %s", run.id, error)
            return None
        return position.offset
