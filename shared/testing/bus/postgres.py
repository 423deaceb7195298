"""The PostgreSQL adapter under the bus contract, on the embedded server and on the system's PostgreSQL 15."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path

import asyncpg

from shared.bus.adapters.postgres import BusSettings, PostgresBus, install
from shared.bus.adapters.postgres.link import Connection
from shared.runtime.clock import SystemClock
from shared.runtime.embedded_postgres import ServerHandle
from shared.testing.bus import (
    HEARTBEAT_SECONDS,
    PARTITION_COUNT,
    RECORD_BYTES_MAX,
    SESSION_TIMEOUT_SECONDS,
    TOPICS,
    Variant,
)
from shared.testing.postgres import debian_installation, debian_postgres, embedded_postgres

SEGMENT_RECORDS = 500
_INSTALLED = "installed"
COMPANIONS = {TOPICS[0]: TOPICS[1]}


def variants() -> Sequence[Variant]:
    missing = None if debian_installation() else "PostgreSQL 15 is not installed"
    return [
        Variant(name="postgres-embedded", adapter="postgres", start=_starter(embedded_postgres)),
        Variant(name="postgres-15", adapter="postgres", start=_starter(debian_postgres), missing=missing),
    ]


def settings_of(**overrides: float) -> BusSettings:
    """The contract's settings."""
    values: dict[str, float] = {
        "partition_count": PARTITION_COUNT,
        "record_bytes_max": RECORD_BYTES_MAX,
        "segment_records": SEGMENT_RECORDS,
        "heartbeat_interval_seconds": HEARTBEAT_SECONDS,
        "session_timeout_seconds": SESSION_TIMEOUT_SECONDS,
        "reconnect_seconds_max": 0.2,
    }
    return BusSettings.model_validate(values | overrides)


class PostgresLog:
    """A log in a database of its own."""

    def __init__(self, handle: ServerHandle, restarted: asyncio.Event, address: str) -> None:
        self.handle = handle
        self._restarted = restarted
        self.address = address
        self._clients: list[PostgresBus] = []

    async def connect(self) -> Connection:
        """A connection of the owner."""
        return await asyncpg.connect(self.address)

    async def client(self, **settings: float) -> PostgresBus:
        bus = await PostgresBus.open(self.connect, settings_of(**settings), SystemClock(), companions=COMPANIONS)
        self._clients.append(bus)
        return bus

    async def kill_server(self) -> None:
        self._restarted.clear()
        os.kill(self.handle.pid, signal.SIGKILL)
        await self._restarted.wait()

    async def close(self) -> None:
        """Close all clients."""
        for bus in self._clients:
            await bus.close()


class _Server:
    def __init__(self, handle: ServerHandle, restarted: asyncio.Event) -> None:
        self._handle = handle
        self._restarted = restarted
        self._names = (f"log_{number}" for number in count())

    async def install(self) -> None:
        """Make the empty log that each test gets a copy of."""
        owner = await asyncpg.connect(self._handle.connection.dsn())
        await owner.execute(f"create database {_INSTALLED}")
        await owner.close()
        owner = await asyncpg.connect(self._address(_INSTALLED))
        await install(owner, topics=TOPICS, partition_count=PARTITION_COUNT, segment_records=SEGMENT_RECORDS)
        await owner.close()

    def _address(self, database: str) -> str:
        return replace(self._handle.connection, database=database).dsn()

    @asynccontextmanager
    async def log(self) -> AsyncIterator[PostgresLog]:
        name = next(self._names)
        owner = await asyncpg.connect(self._handle.connection.dsn())
        # Copying files costs half of what copying by way of the log does.
        await owner.execute(f"create database {name} template {_INSTALLED} strategy file_copy")
        await owner.close()
        log = PostgresLog(self._handle, self._restarted, self._address(name))
        try:
            yield log
        finally:
            await log.close()
            owner = await asyncpg.connect(self._handle.connection.dsn())
            # Recovery after a kill syncs every file there is: with forty databases that takes a minute.
            await owner.execute(f"drop database {name} with (force)")
            await owner.close()


Start = Callable[[Path], AbstractAsyncContextManager[ServerHandle]]


def _starter(start: Start) -> Callable[[Path], AbstractAsyncContextManager[_Server]]:
    @asynccontextmanager
    async def started(tmp: Path) -> AsyncIterator[_Server]:
        async with start(tmp) as handle:
            restarted = asyncio.Event()
            watch = asyncio.create_task(handle.watch(lambda _: restarted.set()))
            try:
                server = _Server(handle, restarted)
                await server.install()
                yield server
            finally:
                watch.cancel()
                await asyncio.wait([watch])

    return started


async def open_at(address: str) -> PostgresBus:
    """Another bus on the log at `address`."""

    async def connect() -> Connection:
        return await asyncpg.connect(address)

    return await PostgresBus.open(connect, settings_of(), SystemClock())
