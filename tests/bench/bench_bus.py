"""How fast the log is on each adapter: `python -m tests.bench.bench_bus [seconds per figure]`, from the repository's root.

Typical records (about 550 bytes with their headers); a fresh embedded PostgreSQL with fsync on, and a Kafka of one node, which
leaves syncing to its replicas. Read the figures as ratios: they depend on the disk and on what else runs.
"""

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import asyncpg
import psutil

from shared.bus.adapters.kafka import KafkaBus, KafkaSettings
from shared.bus.adapters.postgres import BusSettings, PostgresBus, install
from shared.bus.adapters.postgres.link import Connection
from shared.bus.codec import decode, encode
from shared.bus.port import Bus, NewRecord, Reader
from shared.bus.topics import EVENTS, PARTITION_COUNT_DEFAULT
from shared.domain.envelope import Event
from shared.runtime.clock import SystemClock
from shared.testing.kafka import kafka_cluster
from shared.testing.kafka_jars import kafka_missing
from shared.testing.postgres import embedded_postgres

_numbers = count()


def record(key_count: int = 200) -> NewRecord:
    number = next(_numbers)
    event = Event(
        id=f"0b8e3a1e-7b9a-5a55-9c0e-{number:012d}",
        source="https://shop.example/orders",
        type="order.refunded",
        tenant_id=f"tenant-{number % key_count}",
        data=b'{"amount_minor":12345,"currency":"EUR","customer":"c-1","lines":[{"sku":"a-1","quantity":2}]}' * 2,
        time=datetime(2026, 1, 1, tzinfo=UTC),
        subject=f"order-{number}",
        correlation_id=f"0b8e3a1e-7b9a-5a55-9c0e-{number:012d}",
        causation_id="0b8e3a1e-7b9a-5a55-9c0e-3a2b1c4d5e6f",
        traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    )
    return encode(EVENTS, event)


class Cpu:
    """CPU seconds of this process and of the server's processes."""

    def __init__(self, server_pid: int) -> None:
        self._server = psutil.Process(server_pid)
        self._start = self._now()

    def _now(self) -> dict[int, float]:
        processes = [psutil.Process(), self._server, *self._server.children(recursive=True)]
        return {process.pid: sum(process.cpu_times()[:2]) for process in processes}

    def spent(self) -> float:
        return sum(after - self._start.get(pid, 0.0) for pid, after in self._now().items())


async def appends(bus: Bus, seconds: float, callers: int, batch: int) -> float:
    """Records a second."""
    deadline = time.perf_counter() + seconds
    done = 0

    async def caller() -> None:
        nonlocal done
        while time.perf_counter() < deadline:
            await bus.append([record() for _ in range(batch)])
            done += batch

    start = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(callers)))
    return done / (time.perf_counter() - start)


async def reads(reader: Reader, total: int, *, decoding: bool = False) -> float:
    start, left = time.perf_counter(), total
    while left > 0:
        for records in (await reader.poll(timeout_seconds=5, records_max=5_000)).values():
            left -= len(records)
            if decoding:
                for each in records:
                    decode(each)
    return total / (time.perf_counter() - start)


async def latencies(writer: PostgresBus, reader_bus: Bus, seconds: float) -> Iterator[float]:
    """Milliseconds from calling append to having the record in the reader's hands, at 200 a second."""
    reader = reader_bus.reader(EVENTS)
    marks = await reader_bus.watermarks(EVENTS)
    reader.assign({partition: mark.high for partition, mark in marks.items()})
    sent: dict[str, float] = {}
    taken: list[float] = []
    total = int(seconds * 200)

    async def follow() -> None:
        while len(taken) < total:
            for records in (await reader.poll(timeout_seconds=5)).values():
                now = time.perf_counter()
                taken.extend((now - sent[dict(each.headers)["ce_id"].decode()]) * 1000 for each in records)

    following = asyncio.create_task(follow())
    start = time.perf_counter()
    for number in range(total):
        await asyncio.sleep(max(0.0, start + number / 200 - time.perf_counter()))
        new = record()
        sent[dict(new.headers)["ce_id"].decode()] = time.perf_counter()
        await writer.append([new])
    await following
    await reader.close()
    return iter(taken)


def percentiles(values: Iterator[float]) -> str:
    cuts = statistics.quantiles(values, n=100)
    return f"p50 {cuts[49]:.2f} ms, p99 {cuts[98]:.2f} ms"


def everything(bus: Bus) -> Reader:
    reader = bus.reader(EVENTS)
    reader.assign(dict.fromkeys(range(bus.partition_count), 0))
    return reader


@asynccontextmanager
async def on_postgres() -> AsyncIterator[tuple[Bus, Bus, int]]:
    """Two clients of a fresh log, and the server's process id."""
    with tempfile.TemporaryDirectory() as folder:
        async with embedded_postgres(Path(folder)) as server:

            async def connect() -> Connection:
                return await asyncpg.connect(server.connection.dsn())

            owner = await connect()
            await install(owner, partition_count=PARTITION_COUNT_DEFAULT, segment_records=1_000_000)
            await owner.close()
            bus, other = [await PostgresBus.open(connect, BusSettings(), SystemClock()) for _ in range(2)]
            yield bus, other, server.pid
            await bus.close()
            await other.close()


@asynccontextmanager
async def on_kafka() -> AsyncIterator[tuple[Bus, Bus, int]]:
    """As above."""
    # As tests start it: the better compiler would be at work for most of so short a run.
    async with kafka_cluster(heap_mb=1024) as cluster:
        settings = KafkaSettings(bootstrap_servers=cluster.bootstrap_servers)
        bus, other = [await KafkaBus.open(settings, SystemClock()) for _ in range(2)]
        yield bus, other, cluster.nodes[0].pid
        await bus.close()
        await other.close()


async def measure(name: str, bus: Bus, other: Bus, server_pid: int, seconds: float) -> None:
    async def figure(what: str, work: Callable[[], Awaitable[float]]) -> None:
        cpu, start = Cpu(server_pid), time.perf_counter()
        rate = await work()
        per_thousand = cpu.spent() / (rate * (time.perf_counter() - start)) * 1000
        print(f"{name:<9}{what:<50}{rate:>10,.0f}/s {per_thousand:>8.3f} CPU-s per 1,000", flush=True)

    await appends(bus, 1.5, 32, 1)  # connect, plan, compile
    await figure("append, 1 caller, 1 record", lambda: appends(bus, seconds, 1, 1))
    await figure("append, 32 callers, 1 record each", lambda: appends(bus, seconds, 32, 1))
    await figure("append, 256 callers, 1 record each", lambda: appends(bus, seconds, 256, 1))
    await figure("append, 1 caller, 100 records", lambda: appends(bus, seconds, 1, 100))
    await figure("append, 8 callers, 100 records each", lambda: appends(bus, seconds, 8, 100))
    total = sum(mark.high for mark in (await bus.watermarks(EVENTS)).values())
    await figure("read from the server, 32 partitions", lambda: reads(everything(other), total))
    await figure("read and decode", lambda: reads(everything(other), total, decoding=True))
    readers = [everything(bus) for _ in range(3)]
    for reader in readers:
        await reads(reader, total)
    await figure("append, 32 callers, with 3 idle readers", lambda: appends(bus, seconds, 32, 1))
    added = sum(mark.high for mark in (await bus.watermarks(EVENTS)).values()) - total
    await figure("read by one of them", lambda: reads(readers[0], added))
    print(f"{name:<9}append to reader, same process:  ", percentiles(await latencies(bus, bus, seconds)))
    print(f"{name:<9}append to reader, another client:", percentiles(await latencies(bus, other, seconds)), flush=True)


async def main(seconds: float) -> None:
    async with on_postgres() as (bus, other, pid):
        await measure("postgres", bus, other, pid, seconds)
    if (missing := kafka_missing()) is not None:
        print(missing)
        return
    async with on_kafka() as (bus, other, pid):
        await measure("kafka", bus, other, pid, seconds)


if __name__ == "__main__":
    if os.environ.get("UPSHOT_BENCH_LOOP") != "asyncio":
        import uvloop

        uvloop.install()
    asyncio.run(main(float(sys.argv[1]) if len(sys.argv) > 1 else 2.0))
