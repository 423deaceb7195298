"""The projector between a log and PostgreSQL: nothing is lost or written twice, whoever else writes and whatever breaks."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest

from services.projector.service import Projector
from services.projector.settings import ProjectorSettings
from shared.bus import codec, facts
from shared.bus.adapters.memory import MemoryBus
from shared.bus.facts import Cause
from shared.bus.partitioner import partition_of
from shared.bus.topics import DEFINITIONS, EVENTS, RUNS
from shared.domain.envelope import Event
from shared.domain.records import Command, TenantCreated
from shared.domain.runs.delta import RunsDelta
from shared.domain.runs.fold import Known, Questions, RunsFold
from shared.readmodel.connect import ConnectParameters, connect
from shared.readmodel.errors import ReadModelAway, ReadModelWentBack
from shared.readmodel.rows import Rows
from shared.readmodel.store import ReadModel
from shared.readmodel.tenant_queries import TenantQueries
from shared.runtime.clock import SystemClock
from shared.runtime.former_matches import FormerMatches
from shared.runtime.progress import ProjectionProgress
from shared.runtime.shards import RunsFollower
from shared.testing.folds import TENANT, RunsScenario, match
from shared.testing.waiting import eventually
from tests.contract.readmodel.random_runs import record_of

CLOCK = SystemClock()
PARTITIONS = 4
HOME = partition_of(TENANT.encode(), PARTITIONS)
WAIT_SECONDS = 20.0


class Brittle(ReadModel):
    """A read model whose next writes fail as a test says: before anything was sent, or after it was committed."""

    fail_before = 0
    fail_after = 0

    async def write_to(self, generation: int, rows: Rows, *, only_if_current: bool) -> None:
        if self.fail_before:
            self.fail_before -= 1
            raise ReadModelAway("cut off before the write")
        await super().write_to(generation, rows, only_if_current=only_if_current)
        if self.fail_after:
            self.fail_after -= 1
            raise ReadModelAway("cut off after the commit, before the answer")


@dataclass
class Process:
    """One process's projector with its follower."""

    bus: MemoryBus
    readmodel: ReadModel
    name: str = "one"
    settings: ProjectorSettings = field(default_factory=lambda: ProjectorSettings(retry_seconds=0.01))
    lost: list[int] = field(default_factory=list)
    remembers: bool = True
    """Whether it knows of most matches that they are new, without asking the read model."""

    def __post_init__(self) -> None:
        self.progress = ProjectionProgress()
        self.projector = Projector(
            self.bus, self.readmodel, self.progress, CLOCK, self.settings, on_lost=self._restore_again
        )
        self.follower = RunsFollower(
            self.bus,
            self.readmodel,
            [self.projector],
            group="projector",
            member_id=self.name,
            may_read=self.projector.accepting,
            former=FormerMatches(self.readmodel, size_bytes=4_096, retry_seconds=0.01) if self.remembers else None,
        )

    async def _restore_again(self, partition: int) -> None:
        self.lost.append(partition)
        await self.follower.restore_again(partition)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Process"]:
        tasks = [asyncio.create_task(self.projector.run()), asyncio.create_task(self.follower.run())]
        try:
            yield self
        finally:
            for task in reversed(tasks):
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            assert [each for each in outcomes if not isinstance(each, asyncio.CancelledError)] == []

    async def shows_everything(self) -> None:
        for topic in (RUNS, EVENTS, DEFINITIONS):
            for partition, marks in (await self.bus.watermarks(topic)).items():
                if marks.high:
                    shown = await self.progress.wait(topic, partition, marks.high - 1, timeout_seconds=WAIT_SECONDS)
                    assert shown, (topic, partition, marks)


@pytest.fixture
def bus() -> MemoryBus:
    return MemoryBus(CLOCK, partition_count=PARTITIONS)


@pytest.fixture
async def brittle(database: object) -> AsyncIterator[Brittle]:
    opened = await Brittle.open(_parameters(database, "service"))
    assert isinstance(opened, Brittle)
    yield opened
    await opened.close()


async def append_runs(bus: MemoryBus, scenario: RunsScenario, start: int = 0) -> None:
    for entry in scenario.log[start:]:
        await bus.append([record_of(entry)])


def platform_event(event_id: str) -> Event:
    return Event(id=event_id, source="shop", type="order.created", tenant_id=TENANT, data=b"{}")


def tenant_created(command_id: str = "t") -> Event:
    return facts.envelop(
        TenantCreated(name="Acme", plan="free", command=Command(id=command_id, payload_hash="h", actor="ann")),
        id=command_id,
        tenant_id=TENANT,
        source="/upshot/api",
        at=CLOCK.now(),
        cause=Cause(causation_id=None, correlation_id=None),
    )


async def test_all_three_topics_reach_their_tables(
    bus: MemoryBus, readmodel: ReadModel, queries: TenantQueries
) -> None:
    async with Process(bus, readmodel).running() as process:
        scenario = RunsScenario()
        (run_id,) = scenario.happens(match("w"))
        scenario.completes(run_id)
        await append_runs(bus, scenario)
        await bus.append([codec.encode(EVENTS, platform_event("e1")), codec.encode(DEFINITIONS, tenant_created())])
        await process.shows_everything()
        found = await queries.get_run(TENANT, run_id)
        assert found is not None
        assert found.run.status == "succeeded"
        assert (await queries.list_events(TENANT)).items[0].event_id == "e1"
        assert await queries.get_tenant(TENANT) is not None
        assert process.projector.lag.rows == 0


async def test_what_is_written_is_forgotten_by_the_fold(bus: MemoryBus, readmodel: ReadModel) -> None:
    async with Process(bus, readmodel).running() as process:
        scenario = RunsScenario()
        (done,) = scenario.happens(match("w"))
        scenario.completes(done)
        (still_open,) = scenario.happens(match("w"))
        await append_runs(bus, scenario)
        await process.shows_everything()
        # The next batch lets go what the last write confirmed.
        scenario.happens(match("w"))
        await append_runs(bus, scenario, len(scenario.log) - 1)
        await process.shows_everything()
        fold = process.follower.shards[HOME].fold
        assert done not in fold.runs
        assert still_open in fold.runs


async def test_a_duplicate_of_what_memory_has_let_go_is_no_second_run(
    bus: MemoryBus, readmodel: ReadModel, queries: TenantQueries
) -> None:
    async with Process(bus, readmodel).running() as process:
        scenario = RunsScenario()
        (run_id,) = scenario.happens(match("w"), event_id="e1")
        scenario.completes(run_id)
        await append_runs(bus, scenario)
        await process.shows_everything()
        await append_runs(bus, scenario)
        await append_runs(bus, scenario)
        await process.shows_everything()
        found = await queries.get_run(TENANT, run_id)
        assert found is not None
        assert found.positions == (0, 1, 2)
        assert len((await queries.list_runs(TENANT)).items) == 1


@pytest.mark.parametrize("cut", ["fail_before", "fail_after"])
async def test_a_connection_cut_around_a_write_neither_loses_nor_repeats(
    bus: MemoryBus, brittle: Brittle, queries: TenantQueries, cut: str
) -> None:
    async with Process(bus, brittle).running() as process:
        scenario = RunsScenario()
        (run_id,) = scenario.happens(match("w"))
        await append_runs(bus, scenario)
        await process.shows_everything()
        setattr(brittle, cut, 3)
        scenario.completes(run_id)
        scenario.happens(match("w"))
        await append_runs(bus, scenario, 1)
        await bus.append([codec.encode(EVENTS, platform_event(f"e{number}")) for number in range(5)])
        await bus.append([codec.encode(DEFINITIONS, tenant_created())])
        await process.shows_everything()
        assert process.lost == []
        assert len((await queries.list_runs(TENANT)).items) == 2
        assert len((await queries.list_events(TENANT)).items) == 5


async def test_a_backlog_stops_the_reading_until_it_is_written(bus: MemoryBus, brittle: Brittle) -> None:
    settings = ProjectorSettings(retry_seconds=0.01, backlog_rows_max=100)
    async with Process(bus, brittle, settings=settings).running() as process:
        await bus.append([codec.encode(EVENTS, platform_event("first"))])
        await process.shows_everything()
        brittle.fail_before = 6
        for number in range(600):
            await bus.append([codec.encode(EVENTS, platform_event(f"e{number}"))])
        await process.shows_everything()
        assert process.projector.accepting.is_set()
    assert (await brittle.next_offsets(EVENTS))[HOME] == 601


async def test_a_partition_that_somebody_else_wrote_is_restored_anew(
    bus: MemoryBus, readmodel: ReadModel, queries: TenantQueries
) -> None:
    async with Process(bus, readmodel).running() as process:
        scenario = RunsScenario()
        (first,) = scenario.happens(match("w"))
        await append_runs(bus, scenario)
        await process.shows_everything()
        # Another owner, whom this one does not know of, has gone on meanwhile.
        (second,) = scenario.happens(match("w"))
        fold = await fold_of(readmodel)
        other = RunsDelta(partition=HOME, start=1, end=2, now=fold.now)
        await readmodel.write([other])
        scenario.completes(first)
        await append_runs(bus, scenario, 1)
        await process.shows_everything()
        assert process.lost == [HOME]
        found = await queries.get_run(TENANT, first)
        assert found is not None
        assert found.run.status == "succeeded"
        # What that owner skipped is its own affair: from its checkpoint on this one tells the truth.
        assert await queries.get_run(TENANT, second) is None


async def test_what_another_owner_wrote_ahead_is_counted_no_less(bus: MemoryBus, readmodel: ReadModel) -> None:
    """An owner that has not heard yet that it is none any more writes the very stretch that its successor is about to fold: to
    the successor, which asks the read model, its matches have been there before."""
    scenario = RunsScenario()
    scenario.happens(match("w"))
    async with Process(bus, readmodel, remembers=False).running() as process:
        await append_runs(bus, scenario)
        await process.shows_everything()
        former = await fold_of(readmodel)
        (second,) = scenario.happens(match("w"))
        scenario.completes(second)
        end = len(scenario.log)
        written = RunsDelta(partition=HOME, start=1, end=1, now=former.now)
        for entry in scenario.log[1:]:
            folded = former.apply(entry.event, entry.fact, CLOCK.now(), entry.offset, Known())
            written.include(folded, former, entry.offset + 1)
        await readmodel.write([written])
        await bus.append([record_of(entry) for entry in scenario.log[1:]])

        async def folded() -> bool:
            return HOME in process.follower.shards and process.follower.shards[HOME].next == end

        await eventually(folded, "the stretch is folded")
        await process.projector.flush()
        scenario.happens(match("w"))
        await append_runs(bus, scenario, end)
        await process.shows_everything()
    assert (await fold_of(readmodel)).activities[TENANT, "w"].runs_today == 3


async def fold_of(readmodel: ReadModel) -> RunsFold:
    fold = RunsFold()
    snapshot = (await readmodel.snapshot([HOME]))[HOME]
    fold.restore(snapshot.runs, snapshot.activities, snapshot.usage, snapshot.now or fold.now, snapshot.windows)
    return fold


async def test_two_processes_share_and_one_takes_over(
    bus: MemoryBus, readmodel: ReadModel, queries: TenantQueries
) -> None:
    scenario = RunsScenario()
    async with Process(bus, readmodel, "one").running():
        async with Process(bus, readmodel, "two").running():
            scenario.happens(match("w"))
            await append_runs(bus, scenario)
            await bus.append([codec.encode(EVENTS, platform_event("e1"))])
        scenario.happens(match("w"))
        await append_runs(bus, scenario, 1)
        await bus.append([codec.encode(EVENTS, platform_event("e2")), codec.encode(DEFINITIONS, tenant_created())])
        marks = {topic: (await bus.watermarks(topic))[HOME].high for topic in (RUNS, EVENTS, DEFINITIONS)}
        async with asyncio.timeout(WAIT_SECONDS):
            for topic, high in marks.items():
                while (await readmodel.next_offsets(topic)).get(HOME) != high:
                    await asyncio.sleep(0.01)
    assert len((await queries.list_runs(TENANT)).items) == 2
    assert {event.event_id for event in (await queries.list_events(TENANT)).items} == {"e1", "e2"}


async def test_a_restart_goes_on_where_the_checkpoints_stand(
    bus: MemoryBus, readmodel: ReadModel, queries: TenantQueries
) -> None:
    scenario = RunsScenario()
    (run_id,) = scenario.happens(match("w"))
    scenario.starts(run_id)
    async with Process(bus, readmodel).running() as process:
        await append_runs(bus, scenario)
        await bus.append([codec.encode(DEFINITIONS, tenant_created())])
        await process.shows_everything()
    scenario.succeeds(run_id)
    async with Process(bus, readmodel).running() as process:
        await append_runs(bus, scenario, 2)
        await bus.append([codec.encode(DEFINITIONS, tenant_created("again"))])
        await process.shows_everything()
    found = await queries.get_run(TENANT, run_id)
    assert found is not None
    assert (found.run.status, found.positions) == ("succeeded", (0, 1, 2))
    again = await queries.get_command(TENANT, "again")
    assert again is not None
    assert (again.verdict.status, again.verdict.body["kind"]) == (409, "tenant-exists")


async def test_a_definitions_record_that_nobody_understands_halts_its_partition(
    bus: MemoryBus, readmodel: ReadModel, queries: TenantQueries
) -> None:
    unknown = Event(id="x", source="/upshot/api", type="tenant.renamed", tenant_id=TENANT, data=b"{}")
    async with Process(bus, readmodel).running() as process:
        await bus.append([codec.encode(DEFINITIONS, tenant_created())])
        await process.shows_everything()
        await bus.append([codec.encode(DEFINITIONS, unknown), codec.encode(DEFINITIONS, tenant_created("later"))])
        async with asyncio.timeout(WAIT_SECONDS):
            while not process.projector.logs.halted:
                await asyncio.sleep(0.01)
        assert "offset 1" in process.projector.logs.halted[DEFINITIONS, HOME]
        await bus.append([codec.encode(EVENTS, platform_event("e1"))])
        assert await process.progress.wait(EVENTS, HOME, 0, WAIT_SECONDS)
        assert await queries.get_command(TENANT, "later") is None


async def test_a_terminated_backend_is_no_loss(
    bus: MemoryBus, readmodel: ReadModel, queries: TenantQueries, database: object
) -> None:
    async with Process(bus, readmodel).running() as process:
        admin = await connect(_parameters(database, "admin"))
        try:
            for number in range(20):
                await bus.append([codec.encode(EVENTS, platform_event(f"e{number}"))])
                if number % 5 == 0:
                    await admin.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'upshot_service'"
                    )
                with suppress(TimeoutError):
                    await asyncio.wait_for(process.projector.flush(), 0.005)
        finally:
            await admin.close()
        await process.shows_everything()
        assert len((await queries.list_events(TENANT)).items) == 20


async def test_what_a_crash_takes_back_is_written_again_although_nothing_comes_behind_it(
    bus: MemoryBus,
    readmodel: ReadModel,
    queries: TenantQueries,
    database: object,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("services.projector.service.projector.FLUSHED_SECONDS", 1.5)
    scenario = RunsScenario()
    (run_id,) = scenario.happens(match("w"))
    async with Process(bus, readmodel).running() as process, crashing(database) as crash:
        await append_runs(bus, scenario)
        await bus.append([codec.encode(EVENTS, platform_event("e1")), codec.encode(DEFINITIONS, tenant_created())])
        await process.shows_everything()
        await crash()
        assert await queries.get_run(TENANT, run_id) is None

        async def shown() -> bool:
            events = (await queries.list_events(TENANT)).items
            run, tenant = await queries.get_run(TENANT, run_id), await queries.get_tenant(TENANT)
            return bool(events) and run is not None and tenant is not None

        await eventually(shown, "all is there again")
        assert process.lost == [HOME]


async def test_what_was_written_without_an_answer_and_then_lost_is_not_taken_for_new(
    bus: MemoryBus, brittle: Brittle, database: object
) -> None:
    """The fold has let it go by then: the read model, which knows nothing of it any more, must not say so."""
    scenario = RunsScenario()
    async with Process(bus, brittle).running() as process:
        scenario.happens(match("w"))
        await append_runs(bus, scenario)
        await process.shows_everything()
        async with crashing(database) as crash:
            brittle.fail_after = 1
            (run_id,) = scenario.happens(match("w"))
            await append_runs(bus, scenario, 1)
            await process.shows_everything()
            await crash()
            asked = Questions(run_ids={run_id})
            with pytest.raises(ReadModelWentBack):
                await brittle.lookup(asked, folded_to={HOME: len(scenario.log)}, tenant_ids=[TENANT])


@asynccontextmanager
async def crashing(database: object) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """What is given takes the read model back to where it is now: as PostgreSQL does that crashes before it has flushed."""
    admin = await connect(_parameters(database, "admin"))
    try:
        tables = [row[0] for row in await admin.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'rm_1'")]
        for table in tables:
            await admin.execute(f"CREATE TABLE public.kept_{table} AS TABLE rm_1.{table}")

        async def crash() -> None:
            async with admin.transaction():
                for table in tables:
                    await admin.execute(f"DELETE FROM rm_1.{table}")
                    await admin.execute(f"INSERT INTO rm_1.{table} SELECT * FROM public.kept_{table}")

        yield crash
    finally:
        await admin.close()


def _parameters(database: object, role: str) -> ConnectParameters:
    return getattr(database, role)  # type: ignore[no-any-return]  # the fixture's class lives in conftest.py
