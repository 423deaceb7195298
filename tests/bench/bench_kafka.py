"""`make bench-kafka`: services apart on a real Kafka, as one machine shows them. Prints, asserts nothing; some five minutes.

1. The same deliveries as `bench_delivery.py`, through 1, 2 and 4 processes of each service.
2. Each service alone, one process: the others stand still meanwhile, so what one leaves behind is the next one's work.
3. How long a service takes until it acts again after a start, against the number of runs that are under way.

One broker, one PostgreSQL, all on this machine: so processes share its cores, and a second process of a service shows what it
costs, not what it brings. `docs/scale.md` says what follows from the figures. `--only deliveries|alone|restore` runs one part.
"""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from services.foundation import Foundation
from services.matcher.service.matcher import GROUP as MATCHER_GROUP
from shared.bus import codec, facts
from shared.bus.facts import Cause
from shared.bus.port import NewRecord
from shared.bus.topics import EVENTS, RUNS
from shared.domain.ids import derive, match_id, matched_run_id
from shared.domain.records import EventMatched, SourceEvent
from shared.domain.workflow import ApprovalRule, Match, StepPlan
from shared.runtime.clock import SystemClock
from shared.testing.kafka import KafkaCluster, kafka_cluster
from shared.testing.platform import RunningPlatform
from shared.testing.services import RunningServices, running_services
from shared.testing.tenant_client import ALL_ROLES, TenantClient, client_session, make_tenant, make_token
from shared.testing.waiting import eventually
from shared.testing.workspace import Workspace, workspace
from tests.bench.delivery.measuring import (
    CONNECTIONS,
    TENANTS,
    WARM_UP,
    Bench,
    Target,
    measure,
    set_up,
    tenants_on_different_partitions,
)
from tests.bench.delivery.usage import cpu_of, postgres_cpu, resident_mb
from tests.bench.delivery.wire import Helper
from tests.chaos.verdict import ground_of

HERE = Path(__file__).resolve().parent / "delivery"
PROCESSES = (1, 2, 4)
ACTIVE_RUNS = (1_000, 10_000, 100_000)
PATIENCE_SECONDS = 180.0
_APPEND_RECORDS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What all parts run on."""

    space: Workspace
    cluster: KafkaCluster
    bench: Bench
    receiver_port: int

    @property
    def brokers(self) -> list[int]:
        return [node.pid for node in self.cluster.nodes]

    @asynccontextmanager
    async def services(self, name: str, each: int = 1) -> AsyncIterator[RunningServices]:
        environment = {
            "UPSHOT_EGRESS_ALLOW": f"127.0.0.1:{self.receiver_port}",
            "UPSHOT_LOG_LEVEL": "WARNING",
            "UPSHOT_BUS": "kafka",
            "UPSHOT_KAFKA_BOOTSTRAP_SERVERS": self.cluster.bootstrap_servers,
            "UPSHOT_KAFKA_TOPIC_PREFIX": f"{name}.",
        }
        async with running_services(self.space, name, environment=environment) as services:
            for service in ("ingest", "matcher", "executor", "projector"):
                await asyncio.gather(*(services.add(service) for _ in range(each - 1)))
            yield services

    async def target(self, services: RunningServices) -> Target:
        made = await set_up(services, self.receiver_port)
        return replace(
            made,
            ports=[process.port for process in services.of("ingest")],
            app=[process.pid for process in services.all],
            brokers=self.brokers,
        )


async def deliveries(setting: Setting, count: int) -> None:
    for each in PROCESSES:
        print(f"\n== deliveries: {each} of ingest, matcher, executor, projector; one api, one approvals ==")
        async with setting.services(f"deliver{each}", each) as services:
            target = await setting.target(services)
            await measure(setting.bench, target, count)
            print(f"memory: {resident_mb(target.app):.0f} MB in {len(target.app)} processes of ours")


async def alone(setting: Setting, count: int) -> None:
    print(f"\n== each service alone, one process, {count} deliveries ==")
    async with setting.services("alone") as services, ground_of(services) as ground:
        target = await setting.target(services)
        await setting.bench.load(target, WARM_UP)
        await setting.bench.generator.ask(do="saturate", connections=CONNECTIONS, timeout=10.0)
        await setting.bench.receiver.ask(do="wait", count=WARM_UP, timeout=10.0)
        await _until_projected(ground)
        print("each starts one run with one webhook")
        await _in_turns(setting, services, ground, target, count)
        await _disable_workflows(services)
        await _until_projected(ground)
        print("none matches anything")
        await _in_turns(setting, services, ground, target, count, matching=False)


async def _in_turns(
    setting: Setting,
    services: RunningServices,
    ground: Foundation,
    target: Target,
    count: int,
    *,
    matching: bool = True,
) -> None:
    """One service after the other takes up what the one before has left; the others stand still."""
    (ingest,), (matcher,) = services.of("ingest"), services.of("matcher")
    (executor,), (projector,) = services.of("executor"), services.of("projector")
    still = [matcher, executor, projector, *services.of("approvals"), *services.of("api")]
    for process in still:
        process.freeze()
    before = {topic: await _bytes_of(setting, topic) for topic in (EVENTS, RUNS)}
    await setting.bench.load(target, count)

    async def all_sent() -> None:
        await setting.bench.generator.ask(do="saturate", connections=CONNECTIONS, timeout=60.0, timeout_seconds=90)

    async def all_matched() -> None:
        async def level() -> bool:
            committed = await ground.bus.committed(MATCHER_GROUP, EVENTS)
            marks = await ground.bus.watermarks(EVENTS)
            return all(each.high <= committed.get(number, each.low) for number, each in marks.items())

        await eventually(level, "all is matched", timeout_seconds=PATIENCE_SECONDS, interval_seconds=0.05)

    async def all_arrived() -> None:
        came = await setting.bench.receiver.ask(do="wait", count=count, timeout=PATIENCE_SECONDS, timeout_seconds=200)
        assert came["count"] == count, came

    await _one(setting, services, "ingest", ingest, count, all_sent)
    await _one(setting, services, "matcher", matcher, count, all_matched)
    if matching:
        await _one(setting, services, "executor", executor, count, all_arrived)
        executor.freeze()
    await _one(setting, services, "projector", projector, count, lambda: _until_projected(ground))
    for topic, bytes_before in before.items():
        grown = await _bytes_of(setting, topic) - bytes_before
        print(f"  {topic}: {grown / count:,.0f} bytes each on the broker's disk")
    for process in still:
        process.thaw()


async def _disable_workflows(services: RunningServices) -> None:
    async with client_session() as session:
        for name in tenants_on_different_partitions(TENANTS):
            client = TenantClient(services, session, name, make_token(services, name, *ALL_ROLES, subject="bench"))
            for workflow in await client.every("/api/v1/workflows"):
                (await client.command("POST", f"/api/v1/workflows/{workflow['id']}/disable")).expect(200)


async def _one(
    setting: Setting,
    services: RunningServices,
    name: str,
    process: RunningPlatform,
    count: int,
    done: Callable[[], Awaitable[None]],
) -> None:
    """What it costs until `done` returns, by whom; a process that stood still joins its group first."""
    data = services.postgres_data()
    begin, own = time.monotonic(), cpu_of(process.pid)
    brokers, postgres = sum(map(cpu_of, setting.brokers)), postgres_cpu(data)
    process.thaw()
    await done()
    seconds, own = time.monotonic() - begin, cpu_of(process.pid) - own
    brokers, postgres = sum(map(cpu_of, setting.brokers)) - brokers, postgres_cpu(data) - postgres
    print(
        f"  {name:10} {count / seconds:7.0f}/s by the clock, {count / own:7.0f} per CPU-second of its own; per 1,000: "
        f"own {1000 * own / count:.3f}, PostgreSQL {1000 * postgres / count:.3f}, Kafka {1000 * brokers / count:.3f} CPU-s"
    )


async def _until_projected(ground: Foundation) -> None:
    async def level() -> bool:
        for topic in (EVENTS, RUNS):
            written = await ground.readmodel.next_offsets(topic)
            marks = await ground.bus.watermarks(topic)
            if any(written.get(number, 0) < each.high for number, each in marks.items()):
                return False
        return True

    await eventually(level, "all is projected", timeout_seconds=PATIENCE_SECONDS, interval_seconds=0.05)


async def _bytes_of(setting: Setting, topic: str) -> int:
    """Of all segments of `alone`'s topics, on every broker."""
    return sum(
        file.stat().st_size
        for node in setting.cluster.nodes
        for file in (node.folder / "data").glob(f"alone.{topic}-*/*.log")
    )


async def restore(setting: Setting) -> None:
    print("\n== from a process' start to acting again, by the number of runs that wait for a person ==")
    async with setting.services("restore") as services, ground_of(services) as ground:
        tenants = [(await make_tenant(services, f"restore-{number}"))[0] for number in range(TENANTS)]
        await _restarts(services, 0)
        there = 0
        for wanted in ACTIVE_RUNS:
            begin = time.monotonic()
            while there < wanted:
                batch = range(there, min(there + _APPEND_RECORDS, wanted))
                await ground.bus.append([_held_run(tenants[number % TENANTS], number) for number in batch])
                there = batch.stop
            appended = time.monotonic() - begin
            await _until_projected(ground)
            written = time.monotonic() - begin
            print(
                f"  {wanted:7} runs there: appended in {appended:.1f} s, in the tables {written:.1f} s after the first"
            )
            await _restarts(services, wanted)


async def _restarts(services: RunningServices, runs: int) -> None:
    for service in ("executor", "projector", "matcher"):
        (process,) = services.of(service)
        await process.kill9()
        begin = time.monotonic()
        await process.restart()
        await _ready(process)
        print(
            f"  {runs:7} runs: {service:9} acts again {time.monotonic() - begin:5.2f} s after its start, "
            f"{cpu_of(process.pid):5.2f} CPU-seconds, {resident_mb([process.pid]):4.0f} MB"
        )


def _held_run(tenant_id: str, number: int) -> NewRecord:
    """One event's match whose run waits for a person, as the matcher appends it."""
    event_id = derive("bench", tenant_id, number)
    at = SystemClock().now()
    rule = ApprovalRule(
        roles=("approve",),
        quorum=1,
        expires_in_seconds=30 * 86_400,
        self_approval=False,
        author=None,
        subject_hash="0" * 64,
    )
    match = Match(
        run_id=matched_run_id(match_id(event_id, None), "w1"),
        workflow_id="w1",
        workflow_name="Refunds",
        revision=1,
        steps=(StepPlan(id="tell", uses="notify.webhook"),),
        approval=rule,
    )
    source = SourceEvent(
        id=event_id,
        source="/bench",
        type="order.refunded",
        data={"amount_minor": number, "currency": "EUR", "note": "x" * 200},
        subject=f"orders/{number}",
        time=at,
    )
    fact = EventMatched(event=source, definitions_version=1, matches=(match,))
    event = facts.envelop(
        fact,
        id=match_id(event_id, None),
        tenant_id=tenant_id,
        source=facts.SOURCES["matcher"],
        at=at,
        cause=Cause(causation_id=event_id, correlation_id=event_id),
    )
    return codec.encode(RUNS, event)


async def _ready(process: RunningPlatform) -> None:
    async with aiohttp.ClientSession() as session:

        async def is_ready() -> bool:
            async with session.get(f"{process.url}/readyz") as answer:
                return answer.status == 200

        await eventually(is_ready, "it acts again", timeout_seconds=PATIENCE_SECONDS, interval_seconds=0.02)


async def main(parts: Sequence[str], count: int) -> None:
    generator = await Helper.start(str(HERE / "generator.py"))
    receiver = await Helper.start(str(HERE / "receiver.py"))
    try:
        print(f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.2f} before; Python {sys.version.split()[0]}")
        with workspace() as space:
            async with kafka_cluster(space.folder / "kafka", heap_mb=512) as cluster:
                setting = Setting(
                    space=space,
                    cluster=cluster,
                    bench=Bench(generator, receiver),
                    receiver_port=(await receiver.ask(do="port"))["port"],
                )
                if "deliveries" in parts:
                    await deliveries(setting, count)
                if "alone" in parts:
                    await alone(setting, count)
                if "restore" in parts:
                    await restore(setting)
    finally:
        await generator.close()
        await receiver.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=5_000, help="deliveries at saturation, and for each service alone")
    parser.add_argument("--only", choices=("deliveries", "alone", "restore"), help="one part")
    options = parser.parse_args()
    asyncio.run(main([options.only] if options.only else ("deliveries", "alone", "restore"), options.count))
