"""How fast a backtest goes over the log: `make bench-backtest`, or `python tests/bench/bench_backtest.py [events]`.

A real log on PostgreSQL, the real process, its own account of its CPU time; `events/s a core` is events over that. Beside it
what PostgreSQL spent on handing the records over, and what the wall clock says with the process allowed a whole core and with
the share that is the default. The pattern rejects 99 of 100 events before the condition: by their type, or only by their data.
"""

import asyncio
import os
import sys
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import psutil

_ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(_ROOT))

from services import backtest_worker  # noqa: E402  the path above comes first
from services.backtests.service.processes import ProcessRunner  # noqa: E402
from services.backtests.service.protocol import Ended, Failed, Job  # noqa: E402
from services.executor.actions import discover_actions  # noqa: E402
from services.matcher.triggers import discover_triggers  # noqa: E402
from shared.bus import codec  # noqa: E402
from shared.bus.adapters.postgres import BusSettings, PostgresBus, install  # noqa: E402
from shared.bus.partitioner import partition_of  # noqa: E402
from shared.bus.topics import EVENTS  # noqa: E402
from shared.domain.envelope import Event  # noqa: E402
from shared.domain.ids import derive  # noqa: E402
from shared.readmodel.connect import ConnectParameters, connect  # noqa: E402
from shared.runtime.clock import SystemClock  # noqa: E402
from shared.runtime.embedded_postgres.processes import parent_among, server_processes  # noqa: E402
from shared.testing.documents import tell, workflow  # noqa: E402
from shared.testing.postgres import embedded_postgres  # noqa: E402
from shared.testing.workflows import save, tenant_with  # noqa: E402
from shared.workflows.catalogue import Catalogue  # noqa: E402

TENANT = "acme"
PARTITIONS = 32
PARTITION = partition_of(TENANT.encode(), PARTITIONS)
NEIGHBOUR = next(f"shop-{n}" for n in range(1000) if partition_of(f"shop-{n}".encode(), PARTITIONS) == PARTITION)
DEFAULT_SHARE = 0.5
CATALOGUE = Catalogue(actions=discover_actions(), triggers=discover_triggers(), event_schemas={})


def event(number: int, tenant_id: str) -> Event:
    """About 330 bytes of data; one in a hundred is a refund, one in a hundred is dear."""
    data = {
        "order_id": f"{number:08}",
        "amount_minor": 50_000 if number % 100 == 0 else number % 10_000,
        "currency": "EUR" if number % 200 else "USD",
        "customer": {"id": f"customer-{number}", "email": f"person{number}@example.com", "tags": ["new", "web"]},
        "lines": [
            {"sku": "A-1", "quantity": 2, "price_minor": 1999},
            {"sku": "B-7", "quantity": 1, "price_minor": 250},
        ],
        "note": "leave it at the door, please, and ring the bell twice",
    }
    event_id = derive("bench-backtest", number)
    return Event(
        id=event_id,
        source="/shops/7",
        type="order.refunded" if number % 100 == 50 else ("order.created", "order.paid", "order.shipped")[number % 3],
        tenant_id=tenant_id,
        data=orjson.dumps(data),
        time=datetime.now(UTC),
        subject=f"order-{number}",
        correlation_id=event_id,
        traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    )


def documents() -> dict[str, dict[str, Any]]:
    """What is tried, by what rejects."""
    step = tell("finance", body={"minor": "{{ event.data.amount_minor }}"})
    condition = {"if": "event.data.currency == 'EUR'"}
    by_type = workflow("By type", "order.refunded", step, **condition)
    by_data = workflow("By data", "order.*", step, **condition)
    by_data["trigger"]["pattern"] = {"data": {"amount_minor": [{"numeric": [">", 20_000]}]}}
    return {"99 % rejected by type": by_type, "99 % rejected by data": by_data}


async def fill(bus: PostgresBus, count: int) -> None:
    """`count` events of the tenant, and a quarter as many of a neighbour in the same partition."""
    for start in range(0, count, 2000):
        records = [codec.encode(EVENTS, event(number, TENANT)) for number in range(start, min(start + 2000, count))]
        records += [codec.encode(EVENTS, event(number, NEIGHBOUR)) for number in range(start, start + 500)]
        await bus.append(records)


def job_of(document: dict[str, Any], *, share: float, compared: bool) -> Job:
    """The job that the API would make of it."""
    tenant = tenant_with("finance")
    candidate = save(tenant, document, CATALOGUE)
    other = {**document, "if": "event.data.currency == 'USD'", "name": "Other"}
    live = replace(save(tenant, other, CATALOGUE), id=candidate.id) if compared else None
    now = datetime.now(UTC)
    return Job(
        tenant_id=TENANT,
        plan=tenant.plan,
        quotas=tenant.quotas,
        definitions_version=1,
        endpoints=tuple(replace(each, secrets=()) for each in tenant.endpoints.values()),
        candidate=candidate,
        is_draft=True,
        saved_id=None,
        live=live,
        partition=PARTITION,
        since=now - timedelta(days=1),
        until=now + timedelta(days=1),
        samples_max=5,
        samples_bytes_max=1_048_576,
        waits_bytes_max=268_435_456,
        batch_records=2000,
        cpu_share_max=share,
        nice=0,
        progress_interval_seconds=0.5,
    )


async def measure(runner: ProcessRunner, data_dir: Path, name: str, job: Job) -> None:
    """One line."""
    server = psutil.Process(parent_among(server_processes(data_dir)) or 0)
    before, began = _server_cpu(server), time.perf_counter()
    first: float | None = None
    async for message in runner.run(job):
        if first is None:
            first = time.perf_counter() - began
        if isinstance(message, Failed):
            raise SystemExit(message.detail)
        if isinstance(message, Ended):
            wall = time.perf_counter() - began
            report, cpu = message.report, message.cpu_seconds
            print(
                f"  {name:<58} {report.events / cpu:>9,.0f} {report.events / wall:>9,.0f} {cpu:>7.2f} "
                f"{_server_cpu(server) - before:>7.2f} {wall:>6.2f} {first:>6.2f} {report.matches:>8,}"
            )


def _server_cpu(server: psutil.Process) -> float:
    spent = 0.0
    for process in (server, *server.children()):
        times = process.cpu_times()
        spent += times.user + times.system
    times = server.cpu_times()
    return spent + times.children_user + times.children_system


async def main(count: int) -> None:
    """Print every figure."""
    with tempfile.TemporaryDirectory(prefix="upshot-bench-") as folder:
        Path(folder).chmod(0o711)
        async with embedded_postgres(Path(folder)) as handle:
            found = handle.connection
            at = ConnectParameters(
                host=found.host, port=found.port, user=found.user, password=found.password, database=found.database
            )
            owner = await connect(at)
            await install(owner, partition_count=PARTITIONS, segment_records=1_000_000)
            data_dir = Path(await owner.fetchval("show data_directory"))
            await owner.close()
            bus = await PostgresBus.open(lambda: connect(at), BusSettings(), SystemClock())
            await fill(bus, count)
            await bus.close()
            runner = ProcessRunner(
                backtest_worker.COMMAND,
                backtest_worker.environment(os.environ),
                backtest_worker.preamble(backtest_worker.LogAccess(connection=at)),
            )
            bytes_each = len(event(1, TENANT).data or b"")
            print(f"{count:,} events of one tenant, {count // 4:,} of its neighbour; {bytes_each} bytes of data each")
            print(
                f"  {'':<58} {'ev/s/core':>9} {'ev/s':>9} {'CPU s':>7} {'PG CPU':>7} {'wall':>6} {'first':>6} {'matches':>8}"
            )
            for name, document in documents().items():
                for compared in (False, True):
                    beside = ", beside a live revision" if compared else ""
                    await measure(runner, data_dir, name + beside, job_of(document, share=1.0, compared=compared))
            by_type = documents()["99 % rejected by type"]
            held = job_of(by_type, share=DEFAULT_SHARE, compared=False)
            await measure(runner, data_dir, f"99 % rejected by type, {DEFAULT_SHARE:.0%} of a core", held)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 200_000))
