"""What writing the read model costs: CPU of this process and of PostgreSQL, per pair of an event and its run.

    python -m tests.bench.bench_projector [seconds]

Each batch is what one write holds at 1,500 events a second with the projector's busy linger. `once`: every run begins and
ends within its batch; `twice`: every run is written while it runs, and again when it has ended, two batches later.
"""

import asyncio
import sys
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil

from services.projector.core import include_events
from shared.bus import codec
from shared.bus.partitioner import partition_of
from shared.bus.port import Record
from shared.bus.topics import EVENTS, RUNS
from shared.domain.envelope import Event
from shared.domain.ids import derive, match_id, matched_run_id
from shared.domain.records import AttemptFinished, AttemptStarted, EventMatched, SourceEvent
from shared.domain.runs.delta import RunsDelta
from shared.domain.runs.fold import Known, RunsFold
from shared.domain.workflow import Match, StepPlan
from shared.readmodel.bootstrap import bootstrap
from shared.readmodel.connect import SERVICE, ConnectParameters, as_role, connect
from shared.readmodel.deltas import EventsDelta
from shared.readmodel.rows import build_rows
from shared.readmodel.store import ReadModel
from shared.runtime.embedded_postgres.processes import parent_among, server_processes
from shared.testing.postgres import embedded_postgres

MASTER_KEY = b"a master key of no consequence.."
PARTITIONS = 32
TENANTS = 20
BATCH = 75
STEPS = (StepPlan(id="tell", uses="notify.webhook"),)
DATA = {"id": 12345678, "currency": "EUR", "amount_minor": 12345, "customer": {"id": 7, "email": "a@example.com"}} | {
    f"field_{number}": "some text of a middling length" for number in range(10)
}


class Load:
    """Makes batches: events to list, runs' facts folded."""

    def __init__(self, states: int) -> None:
        self._states = states
        self._folds = {partition: RunsFold() for partition in range(PARTITIONS)}
        self._next: dict[tuple[str, int], int] = {}
        self._now = datetime(2026, 1, 1, tzinfo=UTC)
        self._number = 0
        self._unfinished: list[list[tuple[str, str, int]]] = []

    def batch(self) -> tuple[list[Record], dict[int, RunsDelta]]:
        self._now += timedelta(milliseconds=50)
        records: list[Record] = []
        deltas: dict[int, RunsDelta] = {}
        begun = []
        for _ in range(BATCH):
            self._number += 1
            tenant_id = f"tenant-{self._number % TENANTS}"
            partition = partition_of(tenant_id.encode(), PARTITIONS)
            event_id = derive("bench", self._number)
            event = Event(
                id=event_id,
                source="/shops/7",
                type="order.refunded",
                tenant_id=tenant_id,
                data=b'{"n":1}',
                subject=f"orders/{self._number}",
                time=self._now,
                correlation_id=event_id,
            )
            records.append(self._record(EVENTS, event, partition))
            run_id = matched_run_id(match_id(event_id, None), "w1")
            match = Match(run_id=run_id, workflow_id="w1", workflow_name="Refund alert", revision=1, steps=STEPS)
            source = SourceEvent(
                id=event_id, source="/shops/7", type="order.refunded", data=DATA, subject=event.subject, time=self._now
            )
            self._fold(
                deltas, tenant_id, partition, EventMatched(event=source, definitions_version=1, matches=(match,))
            )
            begun.append((tenant_id, run_id, partition))
        self._unfinished.append(begun)
        if len(self._unfinished) >= self._states * 2 - 1:
            for tenant_id, run_id, partition in self._unfinished.pop(0):
                request: dict[str, object] = {"url": "https://example.com/hook", "body": {"text": "Refund of 123.45"}}
                self._fold(
                    deltas,
                    tenant_id,
                    partition,
                    AttemptStarted(run_id=run_id, step_id="tell", number=1, request=request),
                )
                finished = AttemptFinished(
                    run_id=run_id,
                    step_id="tell",
                    number=1,
                    outcome="succeeded",
                    output={"status": 200},
                    elapsed_seconds=0.01,
                )
                self._fold(deltas, tenant_id, partition, finished)
        return records, deltas

    def written(self, deltas: dict[int, RunsDelta]) -> None:
        for partition, delta in deltas.items():
            self._folds[partition].forget(list(delta.runs), self._folds[partition].match_ids.copy(), ())

    def _fold(
        self,
        deltas: dict[int, RunsDelta],
        tenant_id: str,
        partition: int,
        fact: EventMatched | AttemptStarted | AttemptFinished,
    ) -> None:
        fold = self._folds[partition]
        offset = self._next.get((RUNS, partition), 0)
        self._next[RUNS, partition] = offset + 1
        if partition not in deltas:
            deltas[partition] = RunsDelta(partition=partition, start=offset, end=offset, now=fold.now)
        event = Event(
            id=derive("record", partition, offset),
            source="/upshot/matcher",
            type=fact.TYPE,
            tenant_id=tenant_id,
            data=None,
            correlation_id="c" * 36,
            traceparent="00-" + "a" * 32 + "-" + "b" * 16 + "-01",
        )
        deltas[partition].include(fold.apply(event, fact, self._now, offset, Known()), fold, offset + 1)

    def _record(self, topic: str, event: Event, partition: int) -> Record:
        offset = self._next.get((topic, partition), 0)
        self._next[topic, partition] = offset + 1
        new = codec.encode(topic, event)
        return Record(
            topic=topic,
            partition=partition,
            offset=offset,
            recorded_at=self._now,
            key=new.key,
            headers=new.headers,
            value=new.value,
        )


async def measure(name: str, states: int, readmodel: ReadModel, server: psutil.Process, seconds: float) -> None:
    load = Load(states)
    reading = building = writing = wall = 0.0
    pairs = 0
    ends: dict[int, int] = {}
    before = _cpu_seconds(server)
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        records, deltas = load.batch()
        begun = time.perf_counter()
        cpu = [time.process_time()]
        events: dict[int, EventsDelta] = {}
        for record in records:
            start = ends.get(record.partition, 0)
            delta = events.setdefault(record.partition, EventsDelta(partition=record.partition, start=start, end=start))
            include_events(delta, [record], PARTITIONS)
        ends.update({partition: delta.end for partition, delta in events.items()})
        cpu.append(time.process_time())
        rows = build_rows(list(deltas.values()), list(events.values()))
        cpu.append(time.process_time())
        await readmodel.write_rows(rows)
        cpu.append(time.process_time())
        wall += time.perf_counter() - begun
        load.written(deltas)
        pairs += BATCH
        reading += cpu[1] - cpu[0]
        building += cpu[2] - cpu[1]
        writing += cpu[3] - cpu[2]
    spent = _cpu_seconds(server) - before

    def each(total: float) -> str:
        return f"{total / pairs * 1e6:6.1f}"

    print(
        f"{name:8} {pairs:7} pairs | app µs: events {each(reading)}, rows {each(building)}, write {each(writing)}, "
        f"all {each(reading + building + writing)} | PostgreSQL µs {each(spent)} | ms a write {wall / (pairs / BATCH) * 1e3:.2f}"
    )


def _cpu_seconds(server: psutil.Process) -> float:
    """Of the server and all its processes, those that have ended included."""
    times = server.cpu_times()
    total = times.user + times.system + times.children_user + times.children_system
    for process in server.children(recursive=True):
        times = process.cpu_times()
        total += times.user + times.system
    return total


async def main(seconds: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with embedded_postgres(Path(folder)) as handle:
            known = handle.connection
            admin = ConnectParameters(
                host=str(known.host), port=known.port, user=known.user, password=known.password, database=known.database
            )
            connection = await connect(admin)
            pids = server_processes(Path(await connection.fetchval("SHOW data_directory")))
            postmaster = psutil.Process(parent_among(pids) or 0)
            for number, (name, states) in enumerate((("once", 1), ("twice", 2))):
                database = f"bench_{number}"
                await connection.execute(f"CREATE DATABASE {database}")
                admin = replace(admin, database=database)
                await bootstrap(admin, MASTER_KEY)
                readmodel = await ReadModel.open(as_role(admin, MASTER_KEY, SERVICE))
                await readmodel.snapshot(range(PARTITIONS))
                await readmodel.ensure_checkpoints(EVENTS, range(PARTITIONS))
                await measure(name, states, readmodel, postmaster, seconds)
                await readmodel.close()
            await connection.close()


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]) if len(sys.argv) > 1 else 5.0))
