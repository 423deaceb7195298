"""Two processes that each take a partition for their own, and a PostgreSQL that loses its newest commits: whoever writes, and
whenever, the read model is what the log says."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from random import Random

import asyncpg
import pytest

from services.projector.service import Projector
from services.projector.service.rebuild import verify
from services.projector.settings import ProjectorSettings
from shared.bus.adapters.memory import MemoryBus
from shared.bus.partitioner import partition_of
from shared.bus.topics import RUNS
from shared.readmodel.connect import ConnectParameters, Pool, connect
from shared.readmodel.rows import Rows
from shared.readmodel.store import ReadModel
from shared.runtime.clock import SystemClock
from shared.runtime.former_matches import FormerMatches
from shared.runtime.progress import ProjectionProgress
from shared.runtime.shards import RunsFollower
from shared.testing.folds import TENANT
from shared.testing.waiting import eventually
from tests.contract.readmodel.random_runs import random_log, record_of

CLOCK = SystemClock()
SEEDS = (2,)
"""One that tells a fold apart which takes another owner's rows for answers. Any other does, for a longer look."""


class Gated(ReadModel):
    """Writes only while a test lets it: its process is slow, or frozen."""

    def __init__(self, pool: Pool) -> None:
        super().__init__(pool)
        self.may_write = asyncio.Event()
        self.may_write.set()

    async def write_rows(self, rows: Rows) -> None:
        await self.may_write.wait()
        await super().write_rows(rows)


class Owner:
    """A process in a group of its own, which owns every partition whatever others believe."""

    def __init__(self, bus: MemoryBus, readmodel: Gated, name: str) -> None:
        self.readmodel = readmodel
        settings = ProjectorSettings(retry_seconds=0.01, linger_idle_seconds=0.0, linger_busy_seconds=0.0)
        self.projector = Projector(
            bus, readmodel, ProjectionProgress(), CLOCK, settings, on_lost=lambda it: self.follower.restore_again(it)
        )
        self.follower = RunsFollower(
            bus,
            readmodel,
            [self.projector],
            group=name,
            member_id=name,
            may_read=self.projector.accepting,
            former=FormerMatches(readmodel, size_bytes=4_096, retry_seconds=0.01),
        )

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.projector.run())
            group.create_task(self.follower.run())


@asynccontextmanager
async def owner(bus: MemoryBus, service: ConnectParameters, name: str) -> AsyncIterator[Owner]:
    readmodel = await Gated.open(service)
    assert isinstance(readmodel, Gated)
    it = Owner(bus, readmodel, name)
    running = asyncio.create_task(it.run())
    try:
        yield it
    finally:
        running.cancel()
        outcome = (await asyncio.gather(running, return_exceptions=True))[0]
        await readmodel.close()
        assert isinstance(outcome, asyncio.CancelledError)


class Disk:
    """What of all that was written PostgreSQL still knows after a crash."""

    def __init__(self, admin: asyncpg.Connection, tables: Sequence[str]) -> None:
        self._admin = admin
        self._tables = tables

    @classmethod
    async def of(cls, admin: asyncpg.Connection) -> "Disk":
        rows = await admin.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'rm_1' ORDER BY tablename")
        await admin.execute("CREATE SCHEMA disk")
        it = cls(admin, [row["tablename"] for row in rows])
        await it.flush()
        return it

    async def flush(self) -> None:
        """All of it, by now."""
        async with self._admin.transaction(isolation="repeatable_read"):
            for table in self._tables:
                await self._admin.execute(f"DROP TABLE IF EXISTS disk.{table}")
                await self._admin.execute(f"CREATE TABLE disk.{table} AS TABLE rm_1.{table}")

    async def crash(self) -> None:
        """PostgreSQL is back, and knows no more than was flushed. Connections stay: that they break is tried elsewhere."""
        while True:
            with suppress(asyncpg.DeadlockDetectedError):
                return await self._go_back()

    async def _go_back(self) -> None:
        async with self._admin.transaction():
            await self._admin.execute(f"LOCK TABLE {', '.join(f'rm_1.{each}' for each in self._tables)}")
            for table in self._tables:
                await self._admin.execute(f"DELETE FROM rm_1.{table}")
                await self._admin.execute(f"INSERT INTO rm_1.{table} SELECT * FROM disk.{table}")


@pytest.mark.parametrize("seed", SEEDS)
async def test_whoever_writes_it_is_what_the_log_says(database, seed: int) -> None:
    random = Random(seed)
    bus = MemoryBus(CLOCK, partition_count=2)
    home = partition_of(TENANT.encode(), bus.partition_count)
    entries = random_log(random, TENANT)
    admin = await connect(database.admin)
    async with owner(bus, database.service, "one") as one, owner(bus, database.service, "two") as two:
        disk = await Disk.of(admin)
        while entries:
            match random.randrange(10):
                case 0:
                    await disk.flush()
                case 1:
                    await disk.crash()
                case 2 | 3:
                    may_write = random.choice([one, two]).readmodel.may_write
                    (may_write.clear if may_write.is_set() else may_write.set)()
                case 4:
                    await asyncio.sleep(random.choice([0.005, 0.02, 0.05]))  # some of it is folded, some written
                case _:
                    count = random.randrange(1, 6)
                    await bus.append([record_of(each) for each in entries[:count]])
                    del entries[:count]
                    await asyncio.sleep(0)
        one.readmodel.may_write.set()
        two.readmodel.may_write.set()

        async def level() -> bool:
            return (await one.readmodel.next_offsets(RUNS)).get(home) == len(bus.log(RUNS, home))

        await eventually(level, "all is written")
        await disk.crash()
        await eventually(level, "what was lost is written again, with nothing new behind it")
        report = await verify(bus, one.readmodel, CLOCK)
    await admin.close()
    assert report.differences == ()
