"""The memory adapter under the bus contract."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from shared.bus.adapters.memory import MemoryBus
from shared.bus.port import Bus
from shared.runtime.clock import SystemClock
from shared.testing.bus import PARTITION_COUNT, RECORD_BYTES_MAX, Variant


def variants() -> Sequence[Variant]:
    return [Variant(name="memory", adapter="memory", start=_start, lacks=frozenset({"processes", "restart"}))]


class _Log:
    address = "nowhere else"

    def __init__(self) -> None:
        self._bus = MemoryBus(SystemClock(), partition_count=PARTITION_COUNT, record_bytes_max=RECORD_BYTES_MAX)

    async def client(self, **settings: float) -> Bus:
        del settings
        return self._bus

    async def kill_server(self) -> None:
        raise NotImplementedError("there is no server")


class _Server:
    @asynccontextmanager
    async def log(self) -> AsyncIterator[_Log]:
        yield _Log()


@asynccontextmanager
async def _start(tmp: Path) -> AsyncIterator[_Server]:
    del tmp
    yield _Server()


async def open_at(address: str) -> Bus:
    raise NotImplementedError(f"memory cannot be shared: {address}")
