"""An event that was read while the definitions could not be: it is matched late, never passed over."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime

from services.executor.actions import discover_actions
from services.matcher.service import Matcher, Matching
from services.matcher.settings import MatcherSettings
from services.matcher.triggers import discover_triggers
from shared.bus import codec, facts
from shared.bus.adapters.memory import MemoryBus
from shared.bus.facts import Cause
from shared.bus.port import NewRecord, Record, Watermarks
from shared.bus.topics import DEFINITIONS, EVENTS, RUNS
from shared.domain.envelope import Event
from shared.domain.errors import TransientError
from shared.domain.records import Command, DefinitionsFact, TenantCreated, WorkflowSaved
from shared.runtime.clock import SystemClock
from shared.runtime.definitions import DefinitionsFollower
from shared.testing.folds import NothingRemembered
from shared.workflows.catalogue import Catalogue
from shared.workflows.check import check_document
from shared.workflows.document import parse_document

CATALOGUE = Catalogue(actions=discover_actions(), triggers=discover_triggers(), event_schemas={})
AT = datetime(2026, 3, 1, tzinfo=UTC)


class AwayNowAndThen(MemoryBus):
    """A log whose answer about `upshot.definitions` fails `refusals` times, as while PostgreSQL is being restarted."""

    refusals = 0

    async def watermarks(
        self,
        topic: str,
        partitions: Sequence[int] | None = None,
        *,
        as_of: Mapping[int, Sequence[Record]] | None = None,
    ) -> Mapping[int, Watermarks]:
        if topic == DEFINITIONS and self.refusals:
            self.refusals -= 1
            raise TransientError("the server is away")
        return await super().watermarks(topic, partitions, as_of=as_of)


def _command(number: int) -> Command:
    return Command(id=f"c{number}", payload_hash="", actor="ann")


def _record(number: int, tenant_id: str, fact: DefinitionsFact) -> NewRecord:
    cause = Cause(causation_id=None, correlation_id=None)
    event = facts.envelop(fact, id=f"d{number}", tenant_id=tenant_id, source="/test", at=AT, cause=cause)
    return codec.encode(DEFINITIONS, event)


def _definitions(tenant_id: str) -> list[NewRecord]:
    document = {
        "name": "any",
        "trigger": {"event": "shop.sold"},
        "steps": [{"id": "a", "uses": "wait", "with": {"seconds": 1}}],
    }
    checked = check_document(parse_document(document), CATALOGUE)
    saved = WorkflowSaved(
        workflow_id=f"w-{tenant_id}",
        base_revision=None,
        document=checked.document,
        steps=checked.steps,
        high_risk=checked.high_risk,
        command=_command(2),
    )
    created = TenantCreated(name=tenant_id, plan="standard", command=_command(1))
    return [_record(1, tenant_id, created), _record(2, tenant_id, saved)]


def _sold(tenant_id: str, number: int) -> NewRecord:
    event = Event(id=f"e{number}", source="/shop", type="shop.sold", tenant_id=tenant_id, data=b"{}", time=AT)
    return codec.encode(EVENTS, event)


@contextlib.asynccontextmanager
async def _matching(bus: AwayNowAndThen) -> AsyncIterator[DefinitionsFollower]:
    clock = SystemClock()
    definitions = DefinitionsFollower(bus)
    matching = Matching(
        definitions.definitions,
        CATALOGUE,
        MatcherSettings(),
        clock,
        partition_count=bus.partition_count,
        record_bytes_max=bus.record_bytes_max,
    )
    definitions.listen(matching.definition_changed)
    await definitions.start()
    matcher = Matcher(
        bus,
        definitions,
        matching,
        MatcherSettings(retry_seconds=0.01),
        member_id="m1",
        snapshots=NothingRemembered(),
        clock=clock,
    )
    running = asyncio.create_task(matcher.run())
    try:
        yield definitions
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await definitions.close()
        await bus.close()


async def _matched(bus: MemoryBus, count: int) -> list[str]:
    """The ids of the first `count` events that were matched."""
    reader = bus.reader(RUNS)
    reader.assign(dict.fromkeys(range(bus.partition_count), 0))
    found: list[str] = []
    async with asyncio.timeout(20):
        while len(found) < count:
            for records in (await reader.poll(timeout_seconds=1.0)).values():
                found += [str(codec.decode(record).causation_id) for record in records]
    await reader.close()
    return found


async def test_a_batch_is_kept_until_its_definitions_can_be_read() -> None:
    bus = AwayNowAndThen(SystemClock(), partition_count=4)
    await bus.append(_definitions("acme"))
    async with _matching(bus):
        bus.refusals = 3
        await bus.append([_sold("acme", 1)])
        assert await _matched(bus, 1) == ["e1"]
        await bus.append([_sold("acme", 2)])
        assert await _matched(bus, 2) == ["e1", "e2"]
