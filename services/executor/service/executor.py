"""Which work there is, which of it may start, and which is under way."""

import asyncio
import heapq
import itertools
import logging
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, replace
from datetime import timedelta

from services.executor.core.plan import Begin, Carry, Settle, Work, next_work, still_wanted
from services.executor.service.carrying import Carrier
from services.executor.settings import ExecutorSettings
from shared.domain.clock import Clock
from shared.domain.errors import TransientError
from shared.domain.fair_queue import Bounds, FairQueue
from shared.domain.runs.delta import RunsDelta
from shared.domain.runs.state import Run
from shared.runtime.shard import Shard
from shared.runtime.timers import Timer, Timers

log = logging.getLogger(__name__)

Key = tuple[Shard, str, str, int, type[Work]]
"""What is to be done. A shard that was restored anew asks anew: what its former self was busy with may never end."""

_AttemptKey = tuple[str, str, int]
"""(run id, step id, number)"""

LATER = timedelta(seconds=2)
"""While heartbeats go unanswered, how long until the state is asked again."""


@dataclass(frozen=True, slots=True)
class _Job:
    shard: Shard
    run: Run
    work: Work
    key: Key
    told: int | None = None
    """Where the last record about it lies, once it was carried out for the shard's former self."""


class Executor:
    """Acts on the shards that this process owns. `run` drives it until cancelled; `drain` ends it cleanly."""

    def __init__(self, carrier: Carrier, settings: ExecutorSettings, clock: Clock) -> None:
        self._carrier = carrier
        self._timers = Timers(clock)
        self._timed: dict[Shard, dict[str, list[tuple[Key, Timer]]]] = {}
        """Retries and waits, by run id. Let go with the run or the shard: an instant may be a month away, and a whole fold
        hang on it."""
        self._clock = clock
        self._settings = settings
        self._queue: FairQueue[_Job] = FairQueue(
            Bounds(
                total=settings.attempts_max,
                per_tenant=settings.attempts_per_tenant_max,
                per_lane=settings.attempts_per_endpoint_max,
            )
        )
        self._busy: set[Key] = set()
        self._held: set[Key] = set()
        self._under_way: dict[_AttemptKey, list[_Job]] = {}
        """What is being carried out, whichever shard asked for it, and who waits for its end: a call that was on its way when
        its partition was restored anew in this very process is not lost."""
        self._broken: Counter[Key] = Counter()
        """How often in a row a bug has ended this work."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiters: dict[Shard, list[tuple[int, int, asyncio.Future[bool]]]] = {}
        self._numbers = itertools.count()
        self._draining = False

    # ------------------------------------------------------------ the fold tells

    def restored(self, shard: Shard) -> None:
        for run in list(shard.fold.runs.values()):
            self._consider(shard, run)
        self._pump()

    def folded(self, shard: Shard, delta: RunsDelta) -> None:
        self._wake(shard)
        if not (shard.level and shard.followed):
            return
        for run in delta.runs.values():
            self._consider(shard, run)
        self._pump()

    def revoked(self, shard: Shard) -> None:
        """Nothing new is begun; what is on its way may end and say so: its ids are derived, the first word stands."""
        for _, _, waiter in self._waiters.pop(shard, []):
            if not waiter.done():
                waiter.set_result(False)
        for timed in self._timed.pop(shard, {}).values():
            for _, timer in timed:
                self._timers.cancel(timer)
        self._busy = {key for key in self._busy if key[0] is not shard}
        for key in [each for each in self._broken if each[0] is shard]:
            del self._broken[key]

    def halted(self, shard: Shard) -> None:
        """As if it were another's: who waited for its fold would do so for ever, in a place that other tenants need."""
        self.revoked(shard)

    # ------------------------------------------------------------ running

    async def run(self) -> None:
        await self._timers.run()

    async def drain(self, timeout_seconds: float) -> None:
        """Begin nothing more, let what is under way end, then cancel what is left."""
        self._draining = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout_seconds)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def active(self) -> int:
        """Attempts under way."""
        return self._queue.active

    @property
    def waiting(self) -> int:
        """Attempts that wait for their turn."""
        return len(self._queue)

    @property
    def timers(self) -> int:
        """Retries and waits that are not due yet."""
        return len(self._timers)

    def _consider(self, shard: Shard, run: Run) -> None:
        if run.ended:
            self._let_go(shard, run)
        for work in next_work(run):
            key = (shard, run.id, work.step_id, work.number, type(work))
            if key in self._busy or (isinstance(work, Settle) and (*key[:4], Carry) in self._busy):
                continue
            self._busy.add(key)
            job = _Job(shard, run, work, key)
            due_at = work.due_at if not isinstance(work, Settle) else None
            if due_at is not None and due_at > self._clock.now():
                timer = self._timers.at(due_at, lambda job=job: self._enqueue_due(job))  # type: ignore[misc]  # bound now
                self._timed.setdefault(shard, {}).setdefault(run.id, []).append((key, timer))
            elif not isinstance(work, Begin) and (waiting := self._under_way.get(key[1:4])) is not None:
                waiting.append(job)
            else:
                self._enqueue(job)

    def _let_go(self, shard: Shard, run: Run) -> None:
        """It has ended, so nothing of it falls due any more."""
        for key, timer in self._timed.get(shard, {}).pop(run.id, ()):
            if self._timers.cancel(timer):
                self._busy.discard(key)

    def _enqueue_due(self, job: _Job) -> None:
        self._enqueue(job)
        self._pump()

    def _enqueue(self, job: _Job) -> None:
        self._queue.put(job.run.tenant_id, _lane(job.run, job.work.step_id), job)

    def _pump(self) -> None:
        while not self._draining and (taken := self._queue.take()) is not None:
            tenant_id, lane, job = taken
            task = asyncio.create_task(self._do(tenant_id, lane, job))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _do(self, tenant_id: str, lane: Hashable, job: _Job) -> None:
        done, later = False, LATER
        try:
            done = await self._carry_out(job)
        except TransientError as error:
            log.warning("step %s of run %s cannot go on just now: %s", job.work.step_id, job.run.id, error)
        except Exception:  # the boundary: one step's bug must not end the others' steps
            later = self._pause_after_bug(job.key)
            names = (job.work.step_id, job.run.id, tenant_id, later.total_seconds())
            log.exception("step %s of run %s (tenant %s) met a bug of ours; again in %g s", *names)
        else:
            self._broken.pop(job.key, None)
        finally:
            self._queue.done(tenant_id, lane)
            self._busy.discard(job.key)
            carried = (*job.key[:4], Carry)
            if carried in self._held:
                self._held.discard(carried)
                self._busy.discard(carried)
            if done:
                # What became due while the key was busy was passed over.
                self._consider(job.shard, job.run)
            elif job.shard.followed:
                self._timers.at(self._clock.now() + later, lambda: self._consider_again(job))
            self._pump()

    def _pause_after_bug(self, key: Key) -> timedelta:
        """Longer each time: an update may mend it, so it is never given up, but it must not be all that is logged."""
        settings = self._settings
        doublings = min(self._broken[key], 32)
        if key[0].followed:
            self._broken[key] += 1
        return timedelta(seconds=min(settings.bug_pause_seconds * 2.0**doublings, settings.bug_pause_seconds_max))

    async def _carry_out(self, job: _Job) -> bool:
        """False: it could not be done now (this process must not act, though nobody has taken the shard away)."""
        if not still_wanted(job.run, job.work):
            return True
        if not job.shard.may_act:
            return False
        last = job.told if job.told is not None else await self._carry_through(job)
        # Until the fold has passed the last word, the state still asks for what has just been done.
        return await self.folded_past(job.shard, last)

    async def _carry_through(self, job: _Job) -> int:
        """The offset of the last record about it."""
        attempt, waiting, last = job.key[1:4], list[_Job](), None
        self._under_way[attempt] = waiting
        try:
            last = (await self._carrier.carry_out(job.shard, job.run, job.work, self)).offset
            return last
        finally:
            if self._under_way.get(attempt) is waiting:
                del self._under_way[attempt]
            for each in waiting:
                self._enqueue(replace(each, told=last))

    def _consider_again(self, job: _Job) -> None:
        if job.shard.followed:
            self._consider(job.shard, job.run)
            self._pump()

    # ------------------------------------------------------------ what the carrier needs (Progress)

    def hold(self, shard: Shard, run: Run, step_id: str, number: int) -> None:
        """The carrier goes on with this attempt itself once it is folded."""
        key: Key = (shard, run.id, step_id, number, Carry)
        self._busy.add(key)
        self._held.add(key)

    async def folded_past(self, shard: Shard, offset: int) -> bool:
        """Wait until the shard's fold has passed `offset`; False: the shard was taken away meanwhile, or stands still."""
        if shard.next > offset or not shard.followed:
            return shard.followed
        waiter: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiters.setdefault(shard, []), (offset, next(self._numbers), waiter))
        return await waiter

    def _wake(self, shard: Shard) -> None:
        waiters = self._waiters.get(shard)
        while waiters and waiters[0][0] < shard.next:
            _, _, waiter = heapq.heappop(waiters)
            if not waiter.done():
                waiter.set_result(True)


def _lane(run: Run, step_id: str) -> Hashable:
    """An endpoint's steps share a lane; other steps share one per action type."""
    plan = run.match.plan_of(step_id)
    return plan.endpoints[0] if plan.endpoints else plan.uses
