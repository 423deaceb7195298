"""What the matcher cannot go on with is on /readyz, with the reason; partitions that stand still hold up no other."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from services.foundation import Foundation
from services.matcher.service import Matcher, Matching
from services.matcher.settings import MatcherSettings
from services.running import Running
from services.wiring.showing import UNANSWERED, show_matcher
from shared.bus import codec
from shared.bus.adapters.memory import MemoryBus, MemoryMembership, MemoryReader
from shared.bus.partitioner import partition_of
from shared.bus.port import NewRecord, PartitionUnreadable, Record
from shared.bus.topics import EVENTS, RUNS
from shared.domain.envelope import Event
from shared.runtime.clock import SystemClock
from shared.runtime.definitions import DefinitionsFollower
from shared.telemetry.metrics import Metrics
from shared.testing.folds import NothingRemembered
from shared.testing.waiting import eventually
from tests.unit.matcher.conftest import CATALOGUE

NAMES = {partition_of(name.encode(), 2): name for name in ("a", "b", "c", "d", "e", "f")}
"""A tenant of each partition."""


def appended(topic: str, partition: int) -> NewRecord:
    tenant_id = NAMES[partition]
    return codec.encode(topic, Event(id="e", source="/s", type="shop.sold", tenant_id=tenant_id, data=b"{}"))


class Damaged(MemoryBus):
    """Events of partition 0 cannot be read as long as `damaged`."""

    damaged = True

    def reader(self, topic: str) -> MemoryReader:
        return _DamagedReader(self, topic) if topic == EVENTS else super().reader(topic)


class _DamagedReader(MemoryReader):
    async def poll(self, *, timeout_seconds: float, records_max: int = 1000) -> Mapping[int, Sequence[Record]]:
        bus = cast(Damaged, self._bus)
        if bus.damaged and 0 in self.positions():
            raise PartitionUnreadable(f"{EVENTS}/0 is damaged", partitions=frozenset({0}))
        return await super().poll(timeout_seconds=timeout_seconds, records_max=records_max)


@contextlib.asynccontextmanager
async def matching_on(bus: MemoryBus) -> AsyncIterator[Running]:
    clock, settings = SystemClock(), MatcherSettings(retry_seconds=0.01)
    followed = DefinitionsFollower(bus)
    await followed.start()
    matching = Matching(
        followed.definitions, CATALOGUE, settings, clock, partition_count=2, record_bytes_max=bus.record_bytes_max
    )
    matcher = Matcher(bus, followed, matching, settings, member_id="m", snapshots=NothingRemembered(), clock=clock)
    ground: Any = SimpleNamespace(server=None, bus=bus, refusal=lambda: None, metrics=Metrics())
    running = Running(ground=cast(Foundation, ground), name="matcher")
    show_matcher(running, matcher, matching)
    task = asyncio.create_task(matcher.run())
    try:
        yield running
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await followed.close()


async def told(running: Running, *reasons: str) -> None:
    async def is_told() -> bool:
        found = running.unreadiness()
        return len(found) == len(reasons) and all(a in b for a, b in zip(reasons, found, strict=True))

    await eventually(is_told, f"/readyz says {reasons}", explain=lambda: str(running.unreadiness()), timeout_seconds=10)


async def test_a_member_whose_heartbeats_go_unanswered_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async with matching_on(MemoryBus(SystemClock(), partition_count=2)) as running:
        await told(running)
        monkeypatch.setattr(MemoryMembership, "alive", lambda self: False)
        await told(running, UNANSWERED)
        page = await running.metrics_page()
        assert f'upshot_member_alive{{topic="{EVENTS}",group="matcher"}} 0\n' in page


async def test_a_partition_whose_memory_cannot_be_restored_is_told() -> None:
    bus = MemoryBus(SystemClock(), partition_count=2)
    record = appended(RUNS, 0)
    later = NewRecord(topic=RUNS, key=record.key, headers=(*record.headers, ("ce_recordversion", b"9")), value=b"{}")
    await bus.append([later])
    async with matching_on(bus) as running:
        await told(running, f"{RUNS}/0 cannot be understood")
        page = await running.metrics_page()
        assert f'upshot_partitions{{topic="{EVENTS}",group="matcher",state="halted"}} 1\n' in page


async def test_a_partition_that_cannot_be_read_is_told_until_it_can() -> None:
    bus = Damaged(SystemClock(), partition_count=2)
    async with matching_on(bus) as running:
        await told(running, f"{EVENTS}/0 is damaged")
        bus.damaged = False
        await bus.append([appended(EVENTS, 0)])
        await told(running)
