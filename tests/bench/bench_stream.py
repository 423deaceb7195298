"""What an event that matches nothing costs the matcher's stream on Kafka: `make bench-stream`. Prints, asserts nothing.

Events as upstream services send them, some 300 bytes with their headers on top, and 1,000 workflows for each tenant, which look
at the same types of event and at two fields of its data. The same topic is read by Faust agents that are handed one message
after another; the rounds take turns, so that a busy moment of a shared machine hits all alike. CPU seconds are this process's,
all threads; the broker's are not in them. KAFKA_BOOTSTRAP_SERVERS names a broker, else one is started.
"""

import argparse
import asyncio
import gc
import logging
import os
import random
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import orjson
import uvloop

_ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(_ROOT))

from services.executor.actions import discover_actions  # noqa: E402
from services.matcher.service import Matching  # noqa: E402
from services.matcher.settings import MatcherSettings  # noqa: E402
from services.matcher.stream import MatcherStream  # noqa: E402
from services.matcher.triggers import discover_triggers  # noqa: E402
from shared.bus import codec, facts  # noqa: E402
from shared.bus.adapters.kafka import KafkaBus, KafkaSettings  # noqa: E402
from shared.bus.facts import Cause  # noqa: E402
from shared.bus.partitioner import partition_of  # noqa: E402
from shared.bus.port import NewRecord  # noqa: E402
from shared.bus.seal import Seal, SealedBus, seal_key  # noqa: E402
from shared.bus.sizes import RECORD_BYTES_MAX_DEFAULT  # noqa: E402
from shared.bus.topics import DEFINITIONS, EVENTS  # noqa: E402
from shared.domain.envelope import Event  # noqa: E402
from shared.domain.records import Command, DefinitionsFact, TenantCreated, WorkflowSaved  # noqa: E402
from shared.runtime.clock import SystemClock  # noqa: E402
from shared.runtime.definitions import DefinitionsFollower  # noqa: E402
from shared.testing.folds import NothingRemembered  # noqa: E402
from shared.testing.kafka import BOOTSTRAP_VARIABLE, kafka_cluster  # noqa: E402
from shared.workflows.catalogue import Catalogue  # noqa: E402
from shared.workflows.check import check_document  # noqa: E402
from shared.workflows.document import parse_document  # noqa: E402
from tests.bench.stream.per_message import PerMessage, Work, matches, parses  # noqa: E402

_PARTITIONS = 4
_WORKFLOWS = 1_000
_AT = datetime(2026, 3, 1, tzinfo=UTC)
_TYPES = [f"{a}.{b}" for a in ("order", "refund", "cart", "stock", "user") for b in ("created", "updated", "closed")]
_CATALOGUE = Catalogue(actions=discover_actions(), triggers=discover_triggers(), event_schemas={})
_WARM_UP = 0.2
"""The share of events that is read before the clock runs: what starts once is not in the figures."""


@dataclass(frozen=True, slots=True)
class Round:
    events: int
    cpu_seconds: float
    seconds: float

    @property
    def per_cpu_second(self) -> float:
        return self.events / self.cpu_seconds


async def main() -> None:
    """Print every figure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=120_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # Faust leaves tasks behind when it is stopped
    async with _broker() as servers:
        kafka = KafkaSettings(
            bootstrap_servers=servers, topic_prefix=f"bench-{uuid.uuid4().hex[:8]}.", partition_count=_PARTITIONS
        )
        bus = SealedBus(await KafkaBus.open(kafka, SystemClock()), Seal(seal_key(b"bench")))
        try:
            await _compare(kafka, bus, options.events, options.rounds)
        finally:
            await bus.close()


async def _compare(kafka: KafkaSettings, bus: SealedBus, events: int, rounds: int) -> None:
    tenants = _tenants()
    for tenant_id in tenants:
        await bus.append(_definitions(tenant_id))
    dice = random.Random(7)
    each = 1000
    for begin in range(0, events, each):
        await bus.append([_event(dice, begin + n, tenants[n % _PARTITIONS]) for n in range(each)])
    followed = DefinitionsFollower(bus)
    settings = MatcherSettings()
    matching = Matching(
        followed.definitions,
        _CATALOGUE,
        settings,
        SystemClock(),
        partition_count=_PARTITIONS,
        record_bytes_max=RECORD_BYTES_MAX_DEFAULT,
    )
    followed.listen(matching.definition_changed)
    await followed.start()
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)  # as every process of ours

    async def stream(number: int) -> Round:
        shell = MatcherStream(
            bus,
            followed,
            matching,
            settings,
            kafka=kafka,
            member_id=f"bench-{number}",
            snapshots=NothingRemembered(),
            clock=SystemClock(),
            group=f"matcher-{number}",
        )
        before = matching.counts["events"]
        running = asyncio.create_task(shell.run())
        try:
            return await _timed(lambda: matching.counts["events"] - before, events, running)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    def agent(name: str, work: Work, share: int) -> Callable[[int], Awaitable[Round]]:
        async def one_by_one(number: int) -> Round:
            async with PerMessage(kafka, f"{kafka.topic_prefix}{name}-{number}", work) as agent:
                return await _timed(lambda: agent.count, events // share)

        return one_by_one

    measured = {
        "the matcher's stream": stream,
        "a Faust agent that matches each message": agent("matches", matches(matching, bus.seal), 6),
        "a Faust agent that parses each message, no more": agent("parses", parses, 6),
    }
    found: dict[str, list[Round]] = {name: [] for name in measured}
    for number in range(rounds):
        for name, run in measured.items():
            found[name].append(await run(number))
    await followed.close()
    assert matching.counts["matches"] == 0, "an event has matched"
    print(f"== {events:,} events that match nothing, {_WORKFLOWS:,} workflows each of {_PARTITIONS} tenants")
    best = {name: max(each.per_cpu_second for each in of_it) for name, of_it in found.items()}
    for name, of_it in found.items():
        walls = max(each.events / each.seconds for each in of_it)
        print(
            f"   {name:<50} {best[name]:>9,.0f} events/CPU-second  {1e6 / best[name]:>6.1f} µs an event"
            f"  {walls:>9,.0f}/s by the clock"
        )
    stream_name, matching_name, parsing_name = measured
    print(f"   the stream, against the agent that matches: {best[stream_name] / best[matching_name]:.1f} times")
    print(f"   the stream, against the agent that parses:  {best[stream_name] / best[parsing_name]:.1f} times")


async def _timed(count: Callable[[], int], events: int, running: asyncio.Task[None] | None = None) -> Round:
    """From `_WARM_UP` to the end."""

    async def reach(wanted: int) -> tuple[int, float, float]:
        while count() < wanted:
            if running is not None and running.done():
                running.result()
            await asyncio.sleep(0.005)
        return count(), time.process_time(), time.perf_counter()

    async with asyncio.timeout(60):
        begun, cpu_before, at = await reach(int(events * _WARM_UP))
        done, cpu_after, until = await reach(events)
    return Round(events=done - begun, cpu_seconds=cpu_after - cpu_before, seconds=until - at)


@asynccontextmanager
async def _broker() -> AsyncIterator[str]:
    if (servers := os.environ.get(BOOTSTRAP_VARIABLE)) is not None:
        yield servers
        return
    async with kafka_cluster() as cluster:
        yield cluster.bootstrap_servers


def _tenants() -> list[str]:
    """One of each partition."""
    found: dict[int, str] = {}
    number = 0
    while len(found) < _PARTITIONS:
        found.setdefault(partition_of(b"tenant-%d" % number, _PARTITIONS), f"tenant-{number}")
        number += 1
    return list(found.values())


def _definitions(tenant_id: str) -> list[NewRecord]:
    dice = random.Random(1)
    written: list[DefinitionsFact] = [TenantCreated(name=tenant_id, plan="standard", command=_command(tenant_id))]
    for number in range(_WORKFLOWS):
        pattern = {
            "customer_id": [f"nobody-{dice.randrange(10**6)}"],
            "amount_minor": [{"numeric": [">", dice.randrange(10**5)]}],
        }
        document = {
            "name": f"w{number}",
            "trigger": {"event": dice.choice(_TYPES), "pattern": {"data": pattern}},
            "steps": [{"id": "a", "uses": "wait", "with": {"seconds": 1}}],
        }
        checked = check_document(parse_document(document), _CATALOGUE)
        written.append(
            WorkflowSaved(
                workflow_id=f"{tenant_id}-{number}",
                base_revision=None,
                document=checked.document,
                steps=checked.steps,
                high_risk=checked.high_risk,
                command=_command(f"{tenant_id}-{number}"),
            )
        )
    cause = Cause(causation_id=None, correlation_id=None)
    return [
        codec.encode(
            DEFINITIONS,
            facts.envelop(fact, id=f"{tenant_id}-{number}", tenant_id=tenant_id, source="/bench", at=_AT, cause=cause),
        )
        for number, fact in enumerate(written)
    ]


def _command(command_id: str) -> Command:
    return Command(id=command_id, payload_hash="", actor="bench")


def _event(dice: random.Random, number: int, tenant_id: str) -> NewRecord:
    data = {
        "order_id": f"o-{number}",
        "customer_id": f"c-{dice.randrange(10**6)}",
        "amount_minor": dice.randrange(10**5),
        "currency": "EUR",
        "email": "someone@shop.example",
        "items": [
            {"sku": "abc-1", "quantity": 2, "price_minor": 1200},
            {"sku": "abd-2", "quantity": 1, "price_minor": 800},
        ],
        "address": {"country": "FR", "city": "Paris", "postcode": "75001"},
        "note": "please ring twice",
    }
    event = Event(
        id=str(uuid.UUID(int=dice.getrandbits(128))),
        source="https://shop.example/orders",
        type=dice.choice(_TYPES),
        tenant_id=tenant_id,
        subject=f"o-{number}",
        data=orjson.dumps(data),
        time=_AT,
        correlation_id=str(uuid.UUID(int=dice.getrandbits(128))),
    )
    return codec.encode(EVENTS, event)


if __name__ == "__main__":
    uvloop.run(main())
