"""A partition that stands still: what waits for its fold must not hold up the tenants of others."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from services.approvals.service import Approvals
from services.approvals.settings import ApprovalsSettings
from services.executor.core.plan import Begin, Work
from services.executor.service import Executor
from services.executor.service.carrying import Carrier, Progress
from services.executor.settings import ExecutorSettings
from shared.bus import codec, facts
from shared.bus.adapters.memory import MemoryBus
from shared.bus.facts import Cause
from shared.bus.partitioner import partition_of
from shared.bus.port import NewRecord, Position
from shared.bus.topics import RUNS
from shared.domain.envelope import routing_key
from shared.domain.ids import derive, match_id, matched_run_id
from shared.domain.records import AttemptFinished, AttemptStarted, EventMatched, RunsFact, SourceEvent
from shared.domain.runs.state import Run
from shared.domain.workflow import ApprovalRule, Match
from shared.runtime.clock import SystemClock
from shared.runtime.shard import Shard
from shared.runtime.shards import RunsFollower
from shared.testing.folds import NothingRemembered, approval, step
from shared.testing.waiting import eventually

AT = datetime(2026, 3, 1, tzinfo=UTC)
PARTITIONS = 4


def tenants_of(partition: int, count: int) -> list[str]:
    names = (f"tenant-{number}" for number in range(1000))
    return [name for name in names if partition_of(routing_key(name), PARTITIONS) == partition][:count]


STUCK = tenants_of(0, 2)
(ELSEWHERE,) = tenants_of(1, 1)


class Plain(Carrier):
    """Plain attempts, and tells of whom; they succeed."""

    def __init__(self, bus: MemoryBus) -> None:
        self._bus = bus
        self.begun: list[str] = []

    async def carry_out(self, shard: Shard, run: Run, work: Work, progress: Progress) -> Position:
        fact: RunsFact
        if isinstance(work, Begin):
            self.begun.append(run.tenant_id)
            fact = AttemptStarted(run_id=run.id, step_id=work.step_id, number=work.number, request={})
        else:
            fact = AttemptFinished(run_id=run.id, step_id=work.step_id, number=work.number, outcome="succeeded")
        (position,) = await self._bus.append([record(run.tenant_id, fact, derive(fact.TYPE, run.id))])
        return position


def matched(tenant_id: str, number: int = 1, approval: ApprovalRule | None = None) -> NewRecord:
    match = match_id(f"{tenant_id}-{number}", None)
    asked = Match(
        run_id=matched_run_id(match, "w"),
        workflow_id="w",
        workflow_name="w",
        revision=1,
        steps=(step("a"),),
        approval=approval,
    )
    source = SourceEvent(id=f"{tenant_id}-{number}", source="/s", type="t", data={})
    return record(tenant_id, EventMatched(event=source, definitions_version=1, matches=(asked,)), match)


def record(tenant_id: str, fact: RunsFact, record_id: str) -> NewRecord:
    cause = Cause(causation_id=None, correlation_id=None)
    return codec.encode(RUNS, facts.envelop(fact, id=record_id, tenant_id=tenant_id, source="/m", at=AT, cause=cause))


@contextlib.asynccontextmanager
async def following(bus: MemoryBus) -> AsyncIterator[tuple[Plain, Executor, Approvals]]:
    clock, carrier = SystemClock(), Plain(bus)
    executor = Executor(carrier, ExecutorSettings(attempts_max=2), clock)
    approvals = Approvals(bus, ApprovalsSettings(), clock)
    follower = RunsFollower(bus, NothingRemembered(), [executor, approvals], group="runs", member_id="m1")
    tasks = [asyncio.create_task(each.run()) for each in (executor, approvals, follower)]
    try:
        await eventually(lambda: _answer(follower.level), "it is level")
        yield carrier, executor, approvals
    finally:
        await executor.drain(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _answer(it: bool) -> bool:
    return it


async def test_attempts_of_a_partition_that_stands_still_hold_no_places() -> None:
    bus = MemoryBus(SystemClock(), partition_count=PARTITIONS)
    not_a_record = NewRecord(topic=RUNS, key=routing_key(STUCK[0]), headers=(), value=b"?")
    async with following(bus) as (carrier, executor, _):
        await bus.append([*map(matched, STUCK), not_a_record])
        await bus.append([matched(ELSEWHERE)])
        await eventually(lambda: _answer(ELSEWHERE in carrier.begun), "the neighbour's attempt begins")
        assert carrier.begun == [ELSEWHERE]
        await eventually(lambda: _answer(executor.active == executor.waiting == 0), "nothing is held")


async def test_whoever_waits_for_the_fold_when_it_comes_to_a_standstill_is_let_go() -> None:
    bus = MemoryBus(SystemClock(), partition_count=PARTITIONS)
    not_a_record = NewRecord(topic=RUNS, key=routing_key(STUCK[0]), headers=(), value=b"?")
    async with following(bus) as (carrier, executor, approvals):
        await bus.append([matched(STUCK[1], 2, approval())])
        await eventually(lambda: _answer(approvals.pending == 1), "one waits for a person")
        append = bus.append

        async def with_nonsense(records: list[NewRecord]) -> list[Position]:
            _, *positions = await append([not_a_record, *records])
            return positions

        bus.append = with_nonsense  # type: ignore[assignment, method-assign]  # what is begun lies behind it
        await append([matched(STUCK[0])])
        await eventually(lambda: _answer(carrier.begun == STUCK[:1]), "its attempt begins")
        await eventually(lambda: _answer(executor.active == executor.waiting == 0), "its place is free again")
        assert approvals.pending == 0
