"""Whoever waits for definitions learns that nobody reads them any more, and so does the process."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from services.running import Running
from services.wiring.showing import show_definitions
from shared.bus import codec, facts
from shared.bus.adapters.memory import MemoryBus, MemoryReader
from shared.bus.facts import Cause
from shared.bus.partitioner import partition_of
from shared.bus.port import Record
from shared.bus.topics import DEFINITIONS
from shared.domain.envelope import Event
from shared.domain.errors import PermanentError
from shared.domain.plans import UNBOUNDED
from shared.domain.records import Command, DefinitionsFact, TenantCreated, TenantPlanChanged
from shared.domain.verdicts import COMMAND_MEMORY
from shared.runtime.clock import SystemClock
from shared.runtime.definitions import DefinitionsFollower
from shared.telemetry.metrics import Metrics

CLOCK = SystemClock()


class Refusing(MemoryBus):
    """Refuses one read, once it is told to."""

    refused = False

    def reader(self, topic: str) -> MemoryReader:
        return _RefusingReader(self, topic)


class _RefusingReader(MemoryReader):
    async def poll(self, *, timeout_seconds: float, records_max: int = 1000) -> Mapping[int, Sequence[Record]]:
        found = await super().poll(timeout_seconds=timeout_seconds, records_max=records_max)
        bus: Any = self._bus
        if bus.refused:
            bus.refused = False
            raise PermanentError("Kafka refuses upshot.definitions")
        return found


async def define(bus: MemoryBus, tenant_id: str) -> None:
    await append(bus, tenant_id, TenantCreated(name=tenant_id, plan="free", command=command(tenant_id)))


async def append(bus: MemoryBus, tenant_id: str, fact: DefinitionsFact) -> None:
    cause = Cause(causation_id=None, correlation_id=None)
    event = facts.envelop(fact, id=fact.command.id, tenant_id=tenant_id, source="/x", at=CLOCK.now(), cause=cause)
    await bus.append([codec.encode(DEFINITIONS, event)])


def command(command_id: str) -> Command:
    return Command(id=command_id, payload_hash="", actor="ann")


async def test_what_ends_the_following_is_raised_to_all_who_wait_and_ends_the_process() -> None:
    bus = Refusing(CLOCK, partition_count=1)
    await define(bus, "acme")
    followed = DefinitionsFollower(bus)
    await followed.start()
    ground: Any = SimpleNamespace(server=None, bus=bus, refusal=lambda: None, metrics=Metrics())
    running = Running(ground=ground, name="matcher")
    show_definitions(running, followed)
    try:
        assert running.unreadiness() == []
        bus.refused = True
        await define(bus, "later")
        with pytest.raises(PermanentError, match="Kafka refuses"):
            await asyncio.wait_for(followed.catch_up(), 5)
        await asyncio.wait(running.tasks, timeout=5)
        assert running.unreadiness() == ["the service definitions has ended"]
        with pytest.raises(PermanentError, match="Kafka refuses"):
            running.tasks[0].result()
    finally:
        await running.end()
        await followed.close()


async def test_whoever_stops_asking_whether_it_ended_does_not_end_it() -> None:
    bus = MemoryBus(CLOCK, partition_count=1)
    followed = DefinitionsFollower(bus)
    await followed.start()
    asking = asyncio.create_task(followed.followed())
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await define(bus, "acme")
    await asyncio.wait_for(followed.catch_up(), 5)
    await followed.close()


class InOrder(MemoryBus):
    """Gives the partitions in the order of their numbers."""

    def reader(self, topic: str) -> MemoryReader:
        return _OrderedReader(self, topic)


class _OrderedReader(MemoryReader):
    async def poll(self, *, timeout_seconds: float, records_max: int = 1000) -> Mapping[int, Sequence[Record]]:
        found = await super().poll(timeout_seconds=timeout_seconds, records_max=records_max)
        return dict(sorted(found.items()))


async def test_a_partition_that_halts_has_no_other_one_folded_twice() -> None:
    # given: more than commands are remembered for lies between the changes of the second tenant
    bus = InOrder(CLOCK, partition_count=2)
    first, second = (next(each for each in map(str, range(99)) if partition_of(each.encode(), 2) == n) for n in (0, 1))
    await bus.append([codec.encode(DEFINITIONS, Event(id="x", source="/x", type="later", tenant_id=first, data=b"{}"))])
    await define(bus, second)
    for plan in ("team", "business"):
        await append(bus, second, TenantPlanChanged(plan=plan, quotas=UNBOUNDED, command=command(plan)))
    log = bus.log(DEFINITIONS, 1)
    log[2] = replace(log[2], recorded_at=log[2].recorded_at + COMMAND_MEMORY + timedelta(days=1))
    followed = DefinitionsFollower(bus)
    heard: list[str] = []
    followed.listen(lambda change: heard.append(change.verdict.command_id))

    # when
    await followed.start()
    await define(bus, second)
    await asyncio.wait_for(followed.catch_up([1]), 5)

    # then
    try:
        tenant = followed.tenant(second)
        assert tenant is not None
        assert (tenant.plan, tenant.version, heard) == ("business", 3, [second, "team", "business"])
        assert followed.halted.keys() == {0}
    finally:
        await followed.close()
