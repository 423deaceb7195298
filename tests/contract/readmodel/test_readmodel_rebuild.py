"""Fold(log) = live state: projected live and folded anew, by chance and by hand, the tables are equal row by row."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random

import pytest

from services.projector.service import Projector
from services.projector.service.rebuild import RebuildProgress, rebuild, verify
from services.projector.settings import ProjectorSettings
from shared.bus import codec, facts
from shared.bus.adapters.memory import MemoryBus
from shared.bus.facts import Cause
from shared.bus.topics import DEFINITIONS, EVENTS, RUNS
from shared.domain.envelope import Event
from shared.domain.records import (
    Command,
    EndpointCreated,
    EndpointDisabled,
    SourceCreated,
    TenantCreated,
    WorkflowSaved,
)
from shared.readmodel.checksums import checksums
from shared.readmodel.connect import ConnectParameters, connect
from shared.readmodel.generations import RebuildRunning, read_pointer, rebuilding
from shared.readmodel.store import ReadModel
from shared.runtime.clock import SystemClock
from shared.runtime.progress import ProjectionProgress
from shared.runtime.shards import RunsFollower
from shared.testing.folds import TENANT, RunsScenario, approval, limits, match, step
from shared.testing.limited_runs import limited_history
from tests.contract.readmodel.random_runs import record_of

CLOCK = SystemClock()
PARTITIONS = 4


class LogClock:
    """The bus's clock: stands where the test puts it."""

    def __init__(self) -> None:
        self.instant = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)

    def now(self) -> datetime:
        self.instant += timedelta(milliseconds=1)
        return self.instant

    def monotonic(self) -> float:
        return CLOCK.monotonic()


class Live:
    """A log and a live projector of all of it. `before`: the process whose log it takes over."""

    def __init__(self, readmodel: ReadModel, before: "Live | None" = None) -> None:
        self.clock = before.clock if before is not None else LogClock()
        self.bus = before.bus if before is not None else MemoryBus(self.clock, partition_count=PARTITIONS)
        self.readmodel = readmodel
        self.progress = ProjectionProgress()
        settings = ProjectorSettings(linger_idle_seconds=0.0, linger_busy_seconds=0.0)
        self.projector = Projector(
            self.bus,
            readmodel,
            self.progress,
            CLOCK,
            settings,
            on_lost=lambda partition: self.follower.restore_again(partition),
        )
        self.follower = RunsFollower(
            self.bus,
            readmodel,
            [self.projector],
            group="projector",
            member_id="one",
            may_read=self.projector.accepting,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Live"]:
        tasks = [asyncio.create_task(self.projector.run()), asyncio.create_task(self.follower.run())]
        try:
            yield self
        finally:
            for task in reversed(tasks):
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            assert [each for each in outcomes if not isinstance(each, asyncio.CancelledError)] == []

    async def define(self, tenant_id: str) -> None:
        """A tenant with a source, an endpoint that is then disabled, and a workflow of two revisions."""
        given = [
            TenantCreated(name=tenant_id.title(), plan="free", command=_command("t")),
            SourceCreated(
                source_id=f"src-{tenant_id}",
                name="shop",
                vendor="shopify",
                settings={"a": "\0"},
                secrets=("sealed:v1:k:x",),
                command=_command("s"),
            ),
            EndpointCreated(
                endpoint_id=f"ep-{tenant_id}",
                name="finance",
                url="https://example.com",
                secrets=(),
                command=_command("e"),
            ),
            EndpointDisabled(endpoint_id=f"ep-{tenant_id}", reason="it answered 410", command=_command("d")),
            *(
                WorkflowSaved(
                    workflow_id=f"w-{tenant_id}",
                    base_revision=base,
                    document={"name": f"Alert {base}", "steps": []},
                    steps=(step("a"),),
                    high_risk=False,
                    command=_command(f"w{base}"),
                )
                for base in (None, 1, 1)
            ),
        ]
        for number, fact in enumerate(given):
            event = facts.envelop(
                fact,
                id=f"{tenant_id}-d{number}",
                tenant_id=tenant_id,
                source="/upshot/api",
                at=self.clock.instant,
                cause=Cause(causation_id=None, correlation_id=None),
            )
            await self.bus.append([codec.encode(DEFINITIONS, event)])

    async def publish(self, tenant_id: str, count: int) -> None:
        """Platform events, every third of them twice."""
        for number in range(count):
            event = Event(
                id=f"event-{number}",
                source="shop",
                type=f"order.{'refunded' if number % 2 else 'created'}",
                tenant_id=tenant_id,
                data=b'{"n":%d}' % number,
                subject=f"order {number}",
                time=self.clock.instant,
            )
            await self.bus.append([codec.encode(EVENTS, event)] * (2 if number % 3 == 0 else 1))

    async def append(
        self,
        scenario: RunsScenario,
        tenant_id: str,
        start: int = 0,
        end: int | None = None,
        *,
        at_its_time: bool = False,
    ) -> None:
        """The scenario's log, as it stands, from `start` to `end`. `at_its_time`: recorded then, not now."""
        for entry in scenario.log[start:end]:
            if at_its_time:
                self.clock.instant = entry.recorded_at - timedelta(milliseconds=1)
            cause = Cause(causation_id="cause", correlation_id="correlation")
            await self.bus.append([record_of(entry, tenant_id, cause)])

    async def projected(self) -> None:
        """Return once the read model shows the whole log."""
        for topic in (RUNS, EVENTS, DEFINITIONS):
            for partition, marks in (await self.bus.watermarks(topic)).items():
                if marks.high:
                    shown = await self.progress.wait(topic, partition, marks.high - 1, timeout_seconds=20)
                    assert shown, (topic, partition, marks, self.projector.lag)


@pytest.fixture
async def live(readmodel: ReadModel) -> AsyncIterator[Live]:
    async with Live(readmodel).running() as running:
        yield running


def busy_scenario(name: str) -> RunsScenario:
    """Some of everything: bounds, cooldowns, approvals, retries, failures, a cancelled run, repeated records."""
    scenario = RunsScenario()
    bounded = match(f"{name}-bounded", limits=limits(max_concurrent=1, cooldown_seconds=1), cooldown_key="k")
    approved = match(f"{name}-approved", approval=approval(quorum=1), limits=limits(max_concurrent=1))
    dag = match(f"{name}-dag", steps=[step("a"), step("b", on_error="continue")])
    for number in range(6):
        first, waiting, both = scenario.happens(bounded, approved, dag, event_id=f"{name}-{number}")
        if number % 2:
            scenario.grants(waiting, command_id=f"{name}-g{number}")
        if number % 3 == 0:
            scenario.repeat(scenario.log[-1])
        scenario.completes(both, "a")
        scenario.starts(both, "b")
        scenario.fails(both, "b")
        if first in scenario.fold.runs and scenario.fold.runs[first].status == "running" and number != 4:
            scenario.completes(first)
    watch_in(scenario, name)
    asked = scenario.asks(dag, key=f"{name}-key", command_id=f"{name}-ask")
    scenario.asks(dag, key=f"{name}-key", command_id=f"{name}-ask-again")
    scenario.cancels(asked, command_id=f"{name}-cancel")
    return scenario


def watch_in(scenario: RunsScenario, name: str) -> None:
    """Counts and waits: complete, open, ended, elapsed, repeated and forgotten."""
    for number in range(7):
        scenario.counts(f"{name}-{number}", key="many")
        scenario.counts(f"{name}-{number}", key="many")
        scenario.opens(f"{name}-{number}", key=f"{number}")
    scenario.follows(f"{name}-f", key="1")
    scenario.wait(seconds=121)
    scenario.elapses(f"{name}-2", match("w1"), key="2")
    scenario.elapses(f"{name}-2", match("w1"), key="2")
    scenario.elapses(f"{name}-1", match("w1"), key="1")
    scenario.elapses(f"{name}-3", None, key="3")
    scenario.counts(f"{name}-later", key="later")


TENANTS = ("acme", "globex", "initech", "umbrella")


async def fill(live: Live, names: tuple[str, ...] = TENANTS) -> None:
    for name in names:
        await live.define(name)
        await live.publish(name, 20)
        await live.append(busy_scenario(name), name)
    await live.projected()


async def test_folded_anew_it_is_equal_and_becomes_current(live: Live) -> None:
    await fill(live)
    heard: list[RebuildProgress] = []
    report = await rebuild(live.bus, live.readmodel, CLOCK, heard.append)
    assert report.differences == ()
    assert report.equal
    assert report.switched
    assert report.tables["events"].rows == 20 * len(TENANTS)
    assert report.tables["workflow_revisions"].rows == 2 * len(TENANTS)
    assert report.tables["runs"].rows > 0
    assert report.tables["approvals"].rows > 0
    assert report.tables["commands"].rows > 0
    assert heard[-1].folded == heard[-1].total == report.records
    assert await live.readmodel.generation() in (1, report.generation)


async def test_the_live_projector_goes_on_in_the_new_generation(live: Live) -> None:
    await fill(live)
    first = await rebuild(live.bus, live.readmodel, CLOCK)
    more = busy_scenario("more")
    await live.append(more, "acme")
    await live.projected()
    second = await verify(live.bus, live.readmodel, CLOCK)
    assert second.equal
    assert not second.switched
    assert second.tables["runs"].rows > first.tables["runs"].rows
    assert await live.readmodel.generation() == first.generation
    assert await _generations(live.readmodel) == {1, first.generation} or await _generations(live.readmodel) == {
        first.generation
    }


async def test_equal_while_being_written(live: Live) -> None:
    await fill(live)
    stop = asyncio.Event()

    async def keep_writing() -> int:
        rounds = 0
        while not stop.is_set():
            await live.publish(f"tenant-{rounds}", 5)
            await live.append(busy_scenario(f"round-{rounds}"), TENANTS[rounds % len(TENANTS)])
            await asyncio.sleep(0)
            rounds += 1
        return rounds

    writer = asyncio.create_task(keep_writing())
    reports = [await rebuild(live.bus, live.readmodel, CLOCK) for _ in range(3)]
    stop.set()
    assert await writer > 0
    assert [each.differences for each in reports] == [(), (), ()]
    assert all(each.switched for each in reports)
    await live.projected()
    assert (await verify(live.bus, live.readmodel, CLOCK)).equal


async def test_what_differs_is_named_and_nothing_is_switched(live: Live) -> None:
    await fill(live)
    async with live.readmodel.pool.acquire() as connection:
        await connection.execute(
            "UPDATE rm_1.events SET subject = 'forged' WHERE tenant_id = 'acme' AND event_id = 'event-3'"
        )
        await connection.execute("DELETE FROM rm_1.runs WHERE tenant_id = 'globex'")
    report = await rebuild(live.bus, live.readmodel, CLOCK)
    assert not report.switched
    named = {(each.table, each.tenant_id): each.keys for each in report.differences}
    assert named["events", "acme"] == ("event-3",)
    assert len(named["runs", "globex"]) == 5
    assert set(named) == {("events", "acme"), ("runs", "globex")}
    assert await _generations(live.readmodel) == {1}
    assert await live.readmodel.generation() == 1


async def test_a_killed_rebuild_leaves_nothing_that_the_next_does_not_remove(live: Live, database: object) -> None:
    await fill(live)
    admin = await connect(_admin(database))
    holding = admin.transaction()
    await holding.start()
    await admin.execute("LOCK TABLE readmodel.current IN SHARE MODE")  # however quick it is, it cannot switch
    begun = asyncio.Event()
    rebuilding_now = asyncio.create_task(rebuild(live.bus, live.readmodel, CLOCK, lambda _: begun.set()))
    await begun.wait()
    await admin.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks WHERE locktype = 'advisory' "
        "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    await holding.rollback()
    await admin.close()
    with pytest.raises(Exception):  # noqa: B017  whatever a broken connection raises where it happened to be
        await rebuilding_now
    assert await _generations(live.readmodel) == {1, 2}
    report = await rebuild(live.bus, live.readmodel, CLOCK)
    assert report.equal
    assert report.switched
    assert await _generations(live.readmodel) == {1, report.generation}


async def test_only_one_rebuilds_at_a_time(live: Live) -> None:
    async with live.readmodel.pool.acquire() as connection, rebuilding(connection):
        with pytest.raises(RebuildRunning):
            await rebuild(live.bus, live.readmodel, CLOCK)


async def test_another_versions_read_model_is_replaced_without_comparing(
    readmodel: ReadModel, database: object
) -> None:
    live = Live(readmodel)
    async with live.running():
        await fill(live)
    admin = await connect(_admin(database))
    await admin.execute("UPDATE readmodel.current SET fold_version = 1")
    await admin.execute("DELETE FROM rm_1.runs")
    await admin.close()
    report = await rebuild(live.bus, readmodel, CLOCK)
    assert (report.comparable, report.switched) == (False, True)
    async with readmodel.pool.acquire() as connection:
        assert (await read_pointer(connection)).generation == report.generation
        assert (await checksums(connection, report.generation)) == report.tables
    assert report.tables["runs"].rows > 0


@pytest.mark.parametrize("seed", range(3))
async def test_admission_after_every_rebuild_is_the_one_that_was_never_interrupted(
    readmodel: ReadModel, seed: int
) -> None:
    """Every limit at work; rebuilt and restarted in between, every run is admitted, refused and started in the same words
    and at the same instant."""
    random, scenario = Random(seed), RunsScenario()
    told = sum(1 for _ in limited_history(scenario, random, 200))
    cuts = sorted(random.sample(range(1, len(scenario.log)), 3))
    live = Live(readmodel)
    for start, end in pairwise((0, *cuts, len(scenario.log))):
        live = Live(readmodel, live)
        async with live.running():
            await live.append(scenario, TENANT, start, end, at_its_time=True)
            await live.projected()
        report = await rebuild(live.bus, readmodel, CLOCK)
        assert (report.differences, report.switched) == ((), True)
    async with readmodel.pool.acquire() as connection:
        rows = await connection.fetch(
            f"SELECT run_id, status, reason_kind, reason, started_at, ended_at FROM rm_{report.generation}.runs"
        )
    assert told > 150
    assert {tuple(row) for row in rows} == {
        (
            *(run.id, run.status, run.reason.kind if run.reason else None, run.reason.detail if run.reason else None),
            *(run.started_at, run.ended_at),
        )
        for run in scenario.fold.runs.values()
    }
    kinds = {run.reason.kind for run in scenario.fold.runs.values() if run.reason is not None}
    assert len(kinds) > 6, "hardly any limit was at work"


async def _generations(readmodel: ReadModel) -> set[int]:
    async with readmodel.pool.acquire() as connection:
        found = await connection.fetch(
            r"SELECT substr(nspname, 4)::int AS n FROM pg_namespace WHERE nspname ~ '^rm_\d+$'"
        )
    return {row["n"] for row in found}


def _command(name: str) -> Command:
    return Command(id=name, payload_hash=f"hash of {name}", actor="ann")


def _admin(database: object) -> ConnectParameters:
    return database.admin  # type: ignore[attr-defined,no-any-return]  # the fixture's class lives in conftest.py
