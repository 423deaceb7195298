"""`make bench`: from a vendor's signed delivery to the signed webhook that follows, at saturation and at two fixed rates.

One real platform on a fresh data folder; generator and receiver are processes of their own, written on raw asyncio protocols,
and their CPU is printed apart. The same load through a forwarder that stores nothing gives the scale. Under 90 seconds.
Run: python tests/bench/bench_delivery.py [--count N] [--profile]
"""

import argparse
import asyncio
import os
import pstats
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from shared.bus.partitioner import partition_of
from shared.domain.envelope import routing_key
from shared.testing.platform import UP, RunningPlatform, running_platform
from shared.testing.tenant_client import TenantClient, client_session, make_tenant
from shared.testing.workspace import Workspace, workspace
from tests.bench.delivery.usage import Cpu, busy_seconds, cpu_of, postgres_cpu, quiet, resident_mb
from tests.bench.delivery.wire import Helper

HERE = Path(__file__).resolve().parent / "delivery"
TENANTS = 4
CONNECTIONS = 32
WARM_UP = 400
SATURATION_SECONDS_MAX = 20.0
RATES = ((50.0, 400), (200.0, 2000))


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where the generator sends to, and whose CPU counts."""

    port: int
    paths: list[str]
    secrets: list[str]
    app_pid: int
    postgres_data: Path | None


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
            port=target.port,
            paths=target.paths,
            secrets=target.secrets,
            first=self._next,
            count=count,
        )
        self._next += count

    def cpu(self, target: Target) -> Cpu:
        return Cpu(
            app=cpu_of(target.app_pid),
            postgres=postgres_cpu(target.postgres_data) if target.postgres_data is not None else 0.0,
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
        tail_seconds = await quiet(lambda: self.cpu(target).app + self.cpu(target).postgres)
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
            f"  CPU-seconds per 1,000 delivered: {1000 * (shown.app + shown.postgres) / n:.2f} until the last arrival "
            f"(app {1000 * shown.app / n:.2f}, PostgreSQL {1000 * shown.postgres / n:.2f}); "
            f"{1000 * (used.app + used.postgres) / n:.2f} until quiet again, {tail_seconds:.1f} s later "
            f"(app {1000 * used.app / n:.2f}, PostgreSQL {1000 * used.postgres / n:.2f})"
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
            f"{came['count']} of {count} arrived; CPU-seconds per 1,000: app {1000 * used.app / count:.2f}, "
            f"PostgreSQL {1000 * used.postgres / count:.2f}; other programs took "
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


async def _set_up(platform: RunningPlatform, receiver_port: int) -> Target:
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
        port=platform.port,
        paths=paths,
        secrets=secrets,
        app_pid=platform.pid,
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


async def _measure(bench: Bench, target: Target, count: int) -> None:
    await bench.load(target, WARM_UP)
    await bench.generator.ask(do="saturate", connections=CONNECTIONS, timeout=10.0)
    await bench.receiver.ask(do="wait", count=WARM_UP, timeout=10.0)
    print("at saturation")
    await bench.saturate(target, count)
    print("open loop")
    for per_second, number in RATES:
        await bench.pace(target, per_second, number)


async def _platform(space: Workspace, bench: Bench, receiver_port: int, count: int, profile: Path | None) -> None:
    environment = {
        "UPSHOT_EGRESS_ALLOW": f"127.0.0.1:{receiver_port}",
        "UPSHOT_LOG_LEVEL": "WARNING",
    }
    command = UP if profile is None else (sys.executable, str(HERE / "profiled.py"), str(profile))
    begin = time.monotonic()
    async with running_platform(space, "bench", environment=environment, command=command) as platform:
        fresh = time.monotonic() - begin
        await platform.stop()
        begin = time.monotonic()
        await platform.restart()
        warm = time.monotonic() - begin
        target = await _set_up(platform, receiver_port)
        print(f"start-up: {fresh:.2f} s on a fresh data folder, {warm:.2f} s on a used one")
        await _measure(bench, target, count)
        postgres = [each.pid for each in _processes_of(platform)]
        print(
            f"memory: app {resident_mb([platform.pid]):.0f} MB, PostgreSQL {resident_mb(postgres):.0f} MB (shared pages once)"
        )


def _processes_of(platform: RunningPlatform) -> list[Any]:
    import psutil

    from shared.runtime.embedded_postgres.processes import server_processes

    return [psutil.Process(pid) for pid in server_processes(platform.postgres_data())]


async def _forwarder(bench: Bench, receiver_port: int, count: int) -> None:
    forwarder = await Helper.start(str(HERE / "forwarder.py"), f"http://127.0.0.1:{receiver_port}/")
    try:
        port = (await forwarder.ask(do="port"))["port"]
        target = Target(port=port, paths=["/hook"], secrets=["irrelevant"], app_pid=forwarder.pid, postgres_data=None)
        await _measure(bench, target, count)
        print(f"memory: {resident_mb([forwarder.pid]):.0f} MB")
    finally:
        await forwarder.close()


async def main(count: int, profile: bool) -> None:
    generator = await Helper.start(str(HERE / "generator.py"))
    receiver = await Helper.start(str(HERE / "receiver.py"))
    try:
        bench = Bench(generator, receiver)
        receiver_port = (await receiver.ask(do="port"))["port"]
        with workspace() as space:
            file = space.folder / "profile" if profile else None
            print(
                f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.2f} before; Python {sys.version.split()[0]}"
            )
            print(f"\n== Upshot: {TENANTS} tenants, {CONNECTIONS} connections, bodies of 2,028 bytes ==")
            await _platform(space, bench, receiver_port, count, file)
            if file is not None:
                pstats.Stats(str(file)).sort_stats("tottime").print_stats(40)
        if not profile:
            print("\n== bare aiohttp forwarder: verifies nothing, stores nothing ==")
            await _forwarder(bench, receiver_port, count)
    finally:
        await generator.close()
        await receiver.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000, help="deliveries at saturation")
    parser.add_argument(
        "--profile", action="store_true", help="run the platform under cProfile; its figures are slower"
    )
    options = parser.parse_args()
    asyncio.run(main(options.count, options.profile))
