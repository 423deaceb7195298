"""One load on one target, measured: at saturation, then at two fixed rates. For `bench_delivery.py` and `bench_kafka.py`."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.bus.partitioner import partition_of
from shared.domain.envelope import routing_key
from shared.testing.platform import RunningPlatform
from shared.testing.tenant_client import TenantClient, client_session, make_tenant
from tests.bench.delivery.usage import Cpu, busy_seconds, cpu_of, postgres_cpu, quiet
from tests.bench.delivery.wire import Helper

TENANTS = 4
CONNECTIONS = 32
WARM_UP = 400
SATURATION_SECONDS_MAX = 20.0
RATES = ((50.0, 400), (200.0, 2000))


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where the generator sends to, in turns, and whose CPU counts: pids of ours, the database's folder, the brokers' pids."""

    ports: Sequence[int]
    paths: Sequence[str]
    secrets: Sequence[str]
    app: Sequence[int]
    postgres_data: Path | None = None
    brokers: Sequence[int] = ()


class Bench:
    """The generator, the receiver, and numbers that are never used twice."""

    def __init__(self, generator: Helper, receiver: Helper) -> None:
        self.generator = generator
        self.receiver = receiver
        self._next = 1

    async def load(self, target: Target, count: int) -> None:
        await self.receiver.ask(do="reset")
        await self.generator.ask(
            do="load",
            host="127.0.0.1",
            ports=list(target.ports),
            paths=list(target.paths),
            secrets=list(target.secrets),
            first=self._next,
            count=count,
        )
        self._next += count

    def cpu(self, target: Target) -> Cpu:
        return Cpu(
            app=sum(map(cpu_of, target.app)),
            postgres=postgres_cpu(target.postgres_data) if target.postgres_data is not None else 0.0,
            brokers=sum(map(cpu_of, target.brokers)),
            generator=cpu_of(self.generator.pid),
            receiver=cpu_of(self.receiver.pid),
        )

    async def saturate(self, target: Target, count: int) -> None:
        await self.load(target, count)
        before, machine = self.cpu(target), busy_seconds()
        sent = await self.generator.ask(
            do="saturate", connections=CONNECTIONS, timeout=SATURATION_SECONDS_MAX, timeout_seconds=60
        )
        taken = sum(sent["statuses"].values())
        came = await self.receiver.ask(do="wait", count=taken, timeout=SATURATION_SECONDS_MAX, timeout_seconds=60)
        at_arrival, machine = self.cpu(target), busy_seconds() - machine
        tail_seconds = await quiet(lambda: self.cpu(target).platform)
        used = self.cpu(target) - before
        shown = at_arrival - before
        at = [instant for _, instant in (await self.receiver.ask(do="arrivals"))["at"]]
        seconds = max(at) - sent["first_send"] if at else float("nan")
        accepted_seconds = sent["last_answer"] - sent["first_send"]
        n = max(came["count"], 1)
        print(f"  sent {taken}, answers {sent['statuses']}, arrived {came['count']}, again {came['again']}")
        print(f"  accepted/s  {taken / accepted_seconds:8.0f}    (last answer - first send: {accepted_seconds:.2f} s)")
        print(f"  delivered/s {came['count'] / seconds:8.0f}    (last arrival - first send: {seconds:.2f} s)")
        print(
            f"  CPU-seconds per 1,000 delivered: {1000 * shown.platform / n:.2f} until the last arrival "
            f"({shown.parts(n)}); {1000 * used.platform / n:.2f} until quiet again, {tail_seconds:.1f} s later ({used.parts(n)})"
        )
        print(
            f"  beside it: generator {1000 * used.generator / n:.2f}, receiver {1000 * used.receiver / n:.2f} "
            f"CPU-seconds per 1,000; other programs took {max(0.0, machine - shown.total) / seconds:.2f} cores"
        )

    async def pace(self, target: Target, per_second: float, count: int) -> None:
        await self.load(target, count)
        before, machine = self.cpu(target), busy_seconds()
        first = self._next - count
        sent = await self.generator.ask(
            do="pace", connections=CONNECTIONS, per_second=per_second, timeout=10.0, timeout_seconds=60
        )
        came = await self.receiver.ask(do="wait", count=count, timeout=10.0)
        used, machine = self.cpu(target) - before, busy_seconds() - machine
        at = dict((await self.receiver.ask(do="arrivals"))["at"])
        latencies = [1000 * (at[first + n] - due) for n, due in enumerate(sent["due"]) if first + n in at]
        print(
            f"  {per_second:4.0f}/s: {_spread(latencies)} ms from scheduled send to arrival; "
            f"{came['count']} of {count} arrived; CPU-seconds per 1,000: {used.parts(count)}; other programs took "
            f"{max(0.0, machine - used.total) * per_second / count:.2f} cores"
        )


def _spread(latencies: Sequence[float]) -> str:
    if len(latencies) < 2:
        return "nothing arrived"
    cuts = statistics.quantiles(latencies, n=1000, method="inclusive")
    return f"p50 {cuts[499]:.2f}, p95 {cuts[949]:.2f}, p99 {cuts[989]:.2f}, max {max(latencies):.2f}"


def tenants_on_different_partitions(count: int) -> list[str]:
    """Names whose partitions are all different (of 32, the default)."""
    found: dict[int, str] = {}
    number = 0
    while len(found) < count:
        name = f"bench-{number}"
        found.setdefault(partition_of(routing_key(name), 32), name)
        number += 1
    return list(found.values())


async def set_up(platform: RunningPlatform, receiver_port: int) -> Target:
    paths, secrets = [], []
    async with client_session() as session:
        for name in tenants_on_different_partitions(TENANTS):
            tenant_id, token = await make_tenant(platform, name)
            client = TenantClient(platform, session, tenant_id, token)
            source = await client.make_source("github")
            await client.make_endpoint("sink", f"http://127.0.0.1:{receiver_port}/{name}")
            await client.make_workflow(_workflow())
            paths.append(source.hook_path)
            secrets.append(source.secret)
    return Target(
        ports=[platform.port],
        paths=paths,
        secrets=secrets,
        app=[platform.pid],
        postgres_data=platform.postgres_data(),
    )


def _workflow() -> dict[str, Any]:
    return {
        "name": "Tell of new issues",
        "trigger": {
            "pattern": {
                "type": ["github.issues.opened"],
                "data": {"raw": {"issue": {"state": ["open"], "comments": [{"numeric": ["<", 10]}]}}},
            }
        },
        "if": "event.data.raw.repository.private == false && event.data.raw.issue.number > 1000",
        "steps": [{"id": "tell", "uses": "notify.webhook", "with": {"endpoint": "sink"}}],
    }


async def measure(bench: Bench, target: Target, count: int) -> None:
    await bench.load(target, WARM_UP)
    await bench.generator.ask(do="saturate", connections=CONNECTIONS, timeout=10.0)
    await bench.receiver.ask(do="wait", count=WARM_UP, timeout=10.0)
    print("at saturation")
    await bench.saturate(target, count)
    print("open loop")
    for per_second, number in RATES:
        await bench.pace(target, per_second, number)
