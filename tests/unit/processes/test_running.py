"""What a process says of itself: why it is not ready, whatever is away, and numbers also where the log does not answer."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from aiohttp import ClientSession

from services import levelling, processes
from services.foundation import Foundation
from services.levelling import read_definitions
from services.projector.service.projector import Projector
from services.running import Followed, Running
from services.wiring import showing
from shared.bus import codec, facts
from shared.bus.adapters.memory import MemoryBus
from shared.bus.facts import Cause
from shared.bus.port import Reader, Record
from shared.bus.topics import DEFINITIONS, EVENTS, RUNS
from shared.domain.errors import TransientError
from shared.domain.plans import Quotas
from shared.domain.records import Command, TenantCreated
from shared.runtime.clock import SystemClock, SystemRandomness
from shared.runtime.definitions import DefinitionsFollower
from shared.runtime.settings import UpshotSettings
from shared.runtime.shards import RunsFollower
from shared.telemetry.metrics import Metrics
from shared.testing.ports import free_port


class Away:
    """A log, and a read model, that may be away."""

    def __init__(self) -> None:
        self.trouble: Exception | None = None

    async def watermarks(self, topic: str, partitions: object) -> Mapping[int, object]:
        if self.trouble is not None:
            raise self.trouble
        return {0: SimpleNamespace(high=10)}

    async def next_offsets(self, topic: str) -> Mapping[int, int]:
        if self.trouble is not None:
            raise self.trouble
        return {}


def running(log: Away, readmodel: Away) -> Running:
    ground = SimpleNamespace(server=None, bus=log, refusal=lambda: None, readmodel=readmodel, metrics=Metrics())
    it = Running(ground=cast(Foundation, ground), name="executor")
    it.measure()
    return it


async def test_whatever_is_away_is_named() -> None:
    log, readmodel = Away(), Away()
    it = running(log, readmodel)
    reasons = ["2 of 8 partitions are being restored"]
    it.checks.append(lambda: reasons)
    assert await it.readiness() == reasons
    log.trouble = TransientError("no broker")
    readmodel.trouble = TransientError("no server")
    reasons.clear()
    assert await it.readiness() == ["the log does not answer: no broker", "PostgreSQL does not answer: no server"]
    log.trouble = readmodel.trouble = None
    assert await it.readiness() == []
    it.draining = True
    assert await it.readiness() == ["this process is draining: it was told to stop"]


async def test_a_process_that_serves_nothing_else_shows_its_health_until_its_services_have_ended(
    tmp_path: Path,
) -> None:
    it = running(Away(), Away())
    settings = UpshotSettings(http_port=0, data_dir=tmp_path)
    it.ground = cast(Foundation, SimpleNamespace(**vars(it.ground), **_listening(settings, tmp_path)))
    ending, ended = asyncio.Event(), asyncio.Event()

    async def slow_to_end() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ending.set()
            await ended.wait()

    stack = AsyncExitStack()
    await processes._with_health(stack, it)
    it.start("slow", slow_to_end())
    async with ClientSession() as session:
        async with session.get(f"{it.url}/readyz") as answer:
            assert answer.status == 200
        it.draining = True
        closing = asyncio.create_task(stack.aclose())
        await ending.wait()
        async with session.get(f"{it.url}/readyz") as answer:
            assert answer.status == 503
            assert "this process is draining: it was told to stop" in await answer.text()
        ended.set()
        await closing


def _listening(settings: UpshotSettings, data_dir: Path) -> Mapping[str, object]:
    return {"settings": settings, "data_dir": data_dir, "clock": SystemClock(), "randomness": SystemRandomness()}


async def test_lag_is_what_the_log_holds_beyond_the_position_and_left_out_where_the_log_is_away() -> None:
    log = Away()
    it = running(log, Away())

    async def positions() -> Mapping[int, int]:
        return {0: 7}

    it.followed.append(Followed(RUNS, "executor", positions))
    lag = f'upshot_lag_records{{topic="{RUNS}",group="executor",partition="0"}} 3\n'
    page = await it.metrics_page()
    assert lag in page
    assert "upshot_ready 1\n" in page
    log.trouble = TransientError("no broker")
    assert "upshot_lag_records{" not in await it.metrics_page()
    log.trouble = None
    assert lag in await it.metrics_page()


async def test_partitions_of_every_topic_that_stand_still_are_counted_and_named() -> None:
    it = running(Away(), Away())
    stuck = {3: "upshot.definitions/3 stands still"}
    lost = {(EVENTS, 1): "upshot.events/1 is damaged", (DEFINITIONS, 3): stuck[3]}
    follower = SimpleNamespace(halted=stuck, followed=asyncio.Event().wait)
    showing.show_definitions(it, cast(DefinitionsFollower, follower))
    projector = SimpleNamespace(logs=SimpleNamespace(halted=lost), lag=SimpleNamespace(rows=0, seconds=0))
    showing.show_projector(it, cast(Projector, projector), cast(RunsFollower, SimpleNamespace(shards={})), "projector")

    page = await it.metrics_page()
    for topic, group in ((DEFINITIONS, ""), (DEFINITIONS, "projector"), (EVENTS, "projector")):
        assert f'upshot_partitions{{topic="{topic}",group="{group}",state="halted"}} 1\n' in page
    assert it.unreadiness() == ["upshot.definitions/3 stands still", "upshot.events/1 is damaged"]
    for task in it.tasks:
        task.cancel()


class GatedBus(MemoryBus):
    """Hands over nothing until the test says so."""

    def __init__(self) -> None:
        super().__init__(SystemClock(), partition_count=2)
        self.gate = asyncio.Event()

    def reader(self, topic: str) -> Reader:  # type: ignore[override]  # the port's, not memory's own
        return _Gated(super().reader(topic), self.gate)


class _Gated:
    def __init__(self, reader: Reader, gate: asyncio.Event) -> None:
        self.assign, self.positions, self.close = reader.assign, reader.positions, reader.close
        self._reader, self._gate = reader, gate

    async def poll(self, *, timeout_seconds: float, records_max: int = 1000) -> Mapping[int, list[Record]]:
        await self._gate.wait()
        found = await self._reader.poll(timeout_seconds=timeout_seconds, records_max=records_max)
        return {partition: list(records) for partition, records in found.items()}


@asynccontextmanager
async def reading(bus: GatedBus, port: int) -> AsyncIterator[tuple[DefinitionsFollower, asyncio.Task[None]]]:
    settings = UpshotSettings(http_port=port)
    definitions = DefinitionsFollower(bus)
    task = asyncio.create_task(
        read_definitions(cast(Foundation, SimpleNamespace(settings=settings, metrics=Metrics())), definitions)
    )
    try:
        yield definitions, task
    finally:
        bus.gate.set()
        await task
        await definitions.close()


async def test_a_long_reading_of_definitions_is_told_and_nobody_takes_the_process_for_dead(monkeypatch) -> None:
    monkeypatch.setattr(levelling, "SHORT_SECONDS", 0.0)
    bus, port = GatedBus(), free_port()
    for name in ("acme", "shop", "news"):
        command = Command(id=name, payload_hash="", actor="operator")
        fact = TenantCreated(name=name, plan="free", quotas=Quotas(), command=command)
        cause = Cause(causation_id=None, correlation_id=None)
        event = facts.envelop(fact, id=name, tenant_id=name, source="/c", at=SystemClock().now(), cause=cause)
        await bus.append([codec.encode(DEFINITIONS, event)])
    async with reading(bus, port) as (definitions, task), ClientSession() as session:
        url = f"http://127.0.0.1:{port}"
        async with asyncio.timeout(10):
            while not definitions.remaining:
                await asyncio.sleep(0)
            while True:
                try:
                    async with session.get(f"{url}/readyz") as answer:
                        assert answer.status == 503
                        assert "3 records to go" in (await answer.json())["detail"]
                        break
                except OSError:
                    await asyncio.sleep(0.01)
            async with session.get(f"{url}/healthz") as answer:
                assert answer.status == 200
        bus.gate.set()
        await task
        assert definitions.remaining == 0
        assert definitions.tenant("acme") is not None
