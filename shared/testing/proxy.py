"""A network that a test can break: TCP proxies between a client and the ports behind them.

`async with tcp_proxies(cluster.detours) as network:` stands in front of every node of a Kafka; clients that begin with
`cluster.detour_servers` meet only these proxies. What flows is never lost inside one connection: as with TCP itself, bytes
are late or the connection ends. Next: `kafka.py`, which advertises the proxies' ports.
"""

import asyncio
import socket
import struct
from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager

from shared.runtime.clock import SystemClock
from shared.testing.kafka import Detour
from shared.testing.kafka_properties import HOST

_CHUNK_BYTES = 65_536
_IN_FLIGHT_CHUNKS = 64
_LINGER_NOT = struct.pack("ii", 1, 0)  # SO_LINGER with 0 s: closing sends RST
_CLOCK = SystemClock()


class TcpProxy:
    """Listens on one port and forwards each connection to another. Healthy when made."""

    def __init__(self, detour: Detour) -> None:
        self._detour = detour
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        self._flows = asyncio.Event()
        self._flows.set()
        self._delay_seconds = 0.0

    @property
    def port(self) -> int:
        """Where clients connect."""
        return self._detour.advertised

    @property
    def connections(self) -> int:
        """How many are open now."""
        return len(self._connections)

    async def open(self) -> None:
        """Listen; also again, after `drop`."""
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, HOST, self._detour.advertised)

    async def close(self) -> None:
        """Nobody listens any more, and every connection has ended."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        for connection in tuple(self._connections):
            connection.end(reset=False)
        await asyncio.gather(*(connection.ended.wait() for connection in tuple(self._connections)))

    def hang(self) -> None:
        """As a cable pulled out: connections stay open, and nothing arrives; new ones are taken, and stay silent."""
        self._flows.clear()

    def forget(self) -> None:
        """As a firewall that began anew: on the connections that there are nothing arrives any more, and no end is told."""
        for connection in self._connections:
            connection.flows = asyncio.Event()

    def reset(self) -> None:
        """RST to both ends of every connection; new ones are forwarded."""
        for connection in tuple(self._connections):
            connection.end(reset=True)

    async def drop(self) -> None:
        """As a host whose process ended: connections are closed, new ones refused."""
        await self.close()

    def delay(self, milliseconds: float) -> None:
        """Every byte arrives that much later, in each direction; throughput is unharmed."""
        self._delay_seconds = milliseconds / 1000

    async def heal(self) -> None:
        """As when made. What a hang held back arrives now."""
        self._delay_seconds = 0.0
        self._flows.set()
        await self.open()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(asyncio.current_task(), self._flows)
        self._connections.add(connection)
        connection.add(writer)
        try:
            await connection.flows.wait()
            onward_reader, onward_writer = await asyncio.open_connection(HOST, self._detour.target)
            connection.add(onward_writer)
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(self._pump(connection, reader, onward_writer))
                pumps.create_task(self._pump(connection, onward_reader, writer))
        except* (OSError, asyncio.CancelledError):
            pass  # one end is gone, or both were ended: nobody awaits this task, and asyncio would tell of it
        finally:
            connection.abort(reset=False)
            connection.ended.set()
            self._connections.discard(connection)

    async def _pump(
        self, connection: "_Connection", reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """One direction, with a queue of what is due later; ends with the sender's end."""
        due: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_IN_FLIGHT_CHUNKS)

        async def send() -> None:
            while True:
                at, data = await due.get()
                if (rest := at - _CLOCK.monotonic()) > 0:
                    await asyncio.sleep(rest)
                await connection.flows.wait()
                if not data:
                    writer.write_eof()
                    return
                writer.write(data)
                await writer.drain()

        async with asyncio.TaskGroup() as both:
            both.create_task(send())
            while data := await reader.read(_CHUNK_BYTES):
                await due.put((_CLOCK.monotonic() + self._delay_seconds, data))
            await due.put((_CLOCK.monotonic() + self._delay_seconds, b""))


class _Connection:
    """Both ends of one forwarded connection, and the task that forwards."""

    def __init__(self, task: "asyncio.Task[None] | None", flows: asyncio.Event) -> None:
        """`flows`: cleared while nothing passes."""
        self.flows = flows
        self.ended = asyncio.Event()
        self._task = task
        self._writers: deque[asyncio.StreamWriter] = deque()

    def add(self, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)

    def end(self, *, reset: bool) -> None:
        """Also while it hangs, or connects: then the task waits for what does not come."""
        self.abort(reset=reset)
        if self._task is not None:
            self._task.cancel()

    def abort(self, *, reset: bool) -> None:
        """Close both ends at once, by RST or plainly; what was not sent yet is gone."""
        for writer in self._writers:
            if reset and not writer.transport.is_closing():
                end: socket.socket = writer.get_extra_info("socket")
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
            writer.transport.abort()


class Network:
    """Proxies that are broken and healed together: all ways from one client to one cluster."""

    def __init__(self, proxies: Iterable[TcpProxy]) -> None:
        self.proxies = tuple(proxies)

    def hang(self) -> None:
        for proxy in self.proxies:
            proxy.hang()

    def reset(self) -> None:
        for proxy in self.proxies:
            proxy.reset()

    async def drop(self) -> None:
        await asyncio.gather(*(proxy.drop() for proxy in self.proxies))

    def delay(self, milliseconds: float) -> None:
        for proxy in self.proxies:
            proxy.delay(milliseconds)

    async def heal(self) -> None:
        await asyncio.gather(*(proxy.heal() for proxy in self.proxies))


@asynccontextmanager
async def tcp_proxies(detours: Iterable[Detour]) -> AsyncIterator[Network]:
    """One proxy for each, listening; all are closed on the way out."""
    async with AsyncExitStack() as stack:
        network = Network([TcpProxy(detour) for detour in detours])
        for proxy in network.proxies:
            stack.push_async_callback(proxy.close)
            await proxy.open()
        yield network
