"""`make bench`: from a vendor's signed delivery to the signed webhook that follows, at saturation and at two fixed rates.

One real platform on a fresh data folder; generator and receiver are processes of their own, written on raw asyncio protocols,
and their CPU is printed apart. The same load through a forwarder that stores nothing gives the scale. Under 90 seconds.
Run: python tests/bench/bench_delivery.py [--count N] [--profile]
"""

import argparse
import asyncio
import os
import pstats
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from shared.testing.platform import UP, RunningPlatform, running_platform
from shared.testing.workspace import Workspace, workspace
from tests.bench.delivery.measuring import CONNECTIONS, TENANTS, Bench, Target, measure, set_up
from tests.bench.delivery.usage import resident_mb
from tests.bench.delivery.wire import Helper

HERE = Path(__file__).resolve().parent / "delivery"


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
        target = await set_up(platform, receiver_port)
        print(f"start-up: {fresh:.2f} s on a fresh data folder, {warm:.2f} s on a used one")
        await measure(bench, target, count)
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
        target = Target(ports=[port], paths=["/hook"], secrets=["irrelevant"], app=[forwarder.pid])
        await measure(bench, target, count)
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
            print(f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.2f} before")
            print(f"Python {sys.version.split()[0]}, {Path(sys.executable).resolve()}")
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
