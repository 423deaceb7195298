"""Below the routes: how many connections there may be, how long they may do nothing, and what is no request."""

import asyncio
import contextlib
import gzip
import logging
import re
import socket
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import process_time

import orjson
import pytest
import uvloop
from aiohttp import web

from shared.runtime.descriptors import connections_within
from shared.runtime.http import (
    About,
    Call,
    HttpDependencies,
    HttpServer,
    Returns,
    Route,
    TokenVerifier,
    build_app,
    connection_limits,
    connections,
    reply,
)
from shared.runtime.http.connections import ConnectionLimits
from shared.runtime.settings import UpshotSettings
from shared.telemetry.collecting import MetricsPage
from shared.telemetry.metrics import HTTP_CONNECTIONS, HTTP_CONNECTIONS_CLOSED, Metrics

GET = b"GET /well HTTP/1.1\r\nHost: x\r\n\r\n"
OK = {200: Returns(description="Fine.")}
BOMB_BYTES = 100_000_000
MUCH_BYTES = 12_000_000
"""More than the system holds for a caller who does not read."""


@pytest.fixture(scope="module")
def event_loop_policy() -> uvloop.EventLoopPolicy:
    """What processes run on: it differs from asyncio's own where connections are refused."""
    return uvloop.EventLoopPolicy()


Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def well(call: Call) -> web.Response:
    return reply(200, {})


async def take(call: Call) -> web.Response:
    return reply(200, {"bytes": len(await call.body())})


async def much(call: Call) -> web.Response:
    return web.Response(body=bytes(MUCH_BYTES))


ROUTES = [
    Route(method="GET", path="/much", handler=much, summary="s", tag="t", responses=OK),
    Route(method="GET", path="/well", handler=well, summary="s", tag="t", responses=OK),
    Route(method="POST", path="/take", handler=take, summary="s", tag="t", responses=OK, request_is_raw=True),
]


class Served:
    """A server on loopback, and raw connections to it."""

    def __init__(self, server: HttpServer, metrics: Metrics) -> None:
        self.server = server
        self._metrics = metrics
        self._connections: list[Connection] = []
        self._callers: list[socket.socket] = []

    async def connect(self) -> Connection:
        connection = await asyncio.open_connection(self.server.host, self.server.port)
        self._connections.append(connection)
        return connection

    async def ask_and_take_nothing(
        self, request: bytes = b"GET /much HTTP/1.1\r\nHost: x\r\n\r\n", *, receive_bytes: int = 4096
    ) -> socket.socket:
        """Once the answer has begun to come."""
        loop, caller = asyncio.get_running_loop(), socket.socket()
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        caller.setblocking(False)
        self._callers.append(caller)
        await loop.sock_connect(caller, (self.server.host, self.server.port))
        await loop.sock_sendall(caller, request)
        assert await loop.sock_recv(caller, 1)
        return caller

    async def say(self, data: bytes, connection: Connection | None = None) -> tuple[int, bytes, bytes]:
        """Status, head and body of the answer."""
        reader, writer = connection or await self.connect()
        writer.write(data)
        async with asyncio.timeout(10):
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"Content-Length: (\d+)", head)
            assert length is not None
            return int(head.split()[1]), head, await reader.readexactly(int(length[1]))

    def counted(self, name: str, reason: str = "") -> float:
        labels = re.escape(f'{{reason="{reason}"}}') if reason else ""
        found = re.search(rf"^{name}{labels} (\S+)$", MetricsPage(self._metrics).text(), re.MULTILINE)
        return float(found[1]) if found else 0

    async def hang_up(self) -> None:
        for _, writer in self._connections:
            writer.close()
        for caller in self._callers:
            caller.close()


@pytest.fixture
def served(clock, randomness):
    @asynccontextmanager
    async def start(**limits: float) -> AsyncIterator[Served]:
        about = About(title="Upshot", version="0", description="For tests.")
        verifier = TokenVerifier(b"a secret for tests, long enough.", clock=clock)
        metrics = Metrics()
        server = await HttpServer.start(
            build_app(ROUTES, HttpDependencies(verifier=verifier, randomness=randomness, about=about)),
            host="127.0.0.1",
            port=0,
            limits=ConnectionLimits(**limits),
            metrics=metrics,
        )
        it = Served(server, metrics)
        try:
            yield it
        finally:
            await it.hang_up()
            await server.close()

    return start


async def is_closed(connection: Connection) -> bool:
    async with asyncio.timeout(10):
        try:
            return await connection[0].read(1) == b""
        except ConnectionError:
            return True


def request(line: str, body: bytes, *headers: str) -> bytes:
    head = [f"{line} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*head, "", ""]).encode() + body


# ---------------------------------------------------------------- bodies


def _bomb() -> bytes:
    packing = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(packing.compress(bytes(1_000_000)) for _ in range(BOMB_BYTES // 1_000_000)) + packing.flush()


def _seconds_to_unfold(bomb: bytes) -> float:
    begun, stream = process_time(), zlib.decompressobj(31)
    while bomb:
        stream.decompress(bomb, 1_000_000)
        bomb = stream.unconsumed_tail
    return process_time() - begun


@pytest.mark.parametrize(("line", "status"), [("POST /take", 413), ("GET /well", 200), ("POST /nothing", 404)])
async def test_a_bomb_costs_next_to_nothing_whether_it_is_refused_or_not_looked_at(served, line, status):
    bomb = _bomb()
    unfolding_seconds = _seconds_to_unfold(bomb)
    async with served() as it:
        connection = await it.connect()
        begun = process_time()
        answered, head, _ = await it.say(request(line, bomb, "Content-Encoding: gzip"), connection)
        assert answered == status
        if b"Connection: close" in head:
            assert await is_closed(connection)
        assert (await it.say(GET))[0] == 200
        assert process_time() - begun < unfolding_seconds / 3


async def test_a_body_that_nobody_reads_is_not_unpacked(served):
    async with served() as it:
        assert (await it.say(request("GET /well", b"no gzip", "Content-Encoding: gzip")))[0] == 200


async def test_compressed_bodies_are_taken_whole_or_refused(served):
    async with served() as it:
        packed = gzip.compress(b"x" * 500)
        assert (await it.say(request("POST /take", packed, "Content-Encoding: gzip")))[2] == b'{"bytes":500}'
        status, _, body = await it.say(request("POST /take", packed[:-1], "Content-Encoding: gzip"))
        assert (status, orjson.loads(body)["type"]) == (400, "urn:upshot:problem:unreadable-body")
        status, head, body = await it.say(request("POST /take", b"x", "Content-Encoding: br"))
        assert (status, orjson.loads(body)["type"]) == (415, "urn:upshot:problem:unsupported-content-encoding")
        assert b"Accept-Encoding: gzip, deflate" in head


async def test_who_announces_more_than_is_taken_is_told_and_let_go(served):
    async with served(unread_seconds_max=0.1) as it:
        connection = await it.connect()
        head = b"POST /take HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\nand so on"
        status, answer, _ = await it.say(head, connection)
        assert status == 413
        assert b"Connection: close" in answer
        assert await is_closed(connection)


async def test_closing_the_server_waits_for_no_body_that_nobody_reads(served):
    async with served(unread_seconds_max=60) as it:
        status, _, _ = await it.say(b"POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nand so on")
        assert status == 404
        async with asyncio.timeout(5):
            await it.server.close()


# ---------------------------------------------------------------- how many, how long


async def test_one_connection_too_many_takes_the_place_of_the_one_idle_longest(served, caplog):
    async with served(connections_max=2) as it:
        first, second = await it.connect(), await it.connect()
        await it.say(GET, first)
        await it.say(GET, second)
        await it.say(GET, first)
        third = await it.connect()
        assert (await it.say(GET, third))[0] == 200
        assert await is_closed(second)
        assert (await it.say(GET, first))[0] == 200
        assert (await it.say(GET))[0] == 200
        assert await is_closed(third)
        assert it.counted(HTTP_CONNECTIONS.name) == 2
        assert it.counted(f"{HTTP_CONNECTIONS_CLOSED.name}_total", "limit") == 2
        assert caplog.text.count("UPSHOT_HTTP_CONNECTIONS_MAX") == 1


async def test_where_all_are_at_work_the_new_connection_is_closed(served):
    async with served(connections_max=1) as it:
        at_work = await it.connect()
        at_work[1].write(b"POST /take HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        assert b"100" in await at_work[0].readuntil(b"\r\n\r\n")
        assert await is_closed(await it.connect())
        assert (await it.say(b"hello", at_work))[0] == 200


async def test_who_takes_nothing_of_an_answer_makes_room_where_nobody_waits(served, monkeypatch):
    monkeypatch.setattr(connections, "LOOK_SECONDS", 0.01)
    async with served(connections_max=2) as it:
        first, second = await it.ask_and_take_nothing(), await it.ask_and_take_nothing()
        async with asyncio.timeout(10):
            while await answered_after_a_while(it) != 200:
                pass
        taken = await taken_by(first), await taken_by(second)
        assert min(taken) < MUCH_BYTES  # one of them was let go of, and what it had not taken with it
        assert max(taken) > MUCH_BYTES
        assert it.counted(f"{HTTP_CONNECTIONS_CLOSED.name}_total", "untaken") == 0


@pytest.mark.parametrize("ending", ["Connection: keep-alive", "Connection: close"])
async def test_who_takes_nothing_of_an_answer_for_long_is_let_go(served, monkeypatch, ending):
    monkeypatch.setattr(connections, "LOOK_SECONDS", 0.01)
    async with served(untaken_seconds_max=0.1) as it:
        caller = await it.ask_and_take_nothing(f"GET /much HTTP/1.1\r\nHost: x\r\n{ending}\r\n\r\n".encode())
        async with asyncio.timeout(10):
            while it.counted(HTTP_CONNECTIONS.name):
                await asyncio.sleep(0.01)
        assert await taken_by(caller) < MUCH_BYTES
        assert it.counted(f"{HTTP_CONNECTIONS_CLOSED.name}_total", "untaken") == 1


async def test_who_takes_an_answer_slowly_gets_all_of_it(served, monkeypatch):
    monkeypatch.setattr(connections, "LOOK_SECONDS", 0.01)
    async with served(untaken_seconds_max=0.5) as it:
        caller = await it.ask_and_take_nothing(receive_bytes=65_536)
        assert await taken_by(caller, pause_seconds=0.005) > MUCH_BYTES


async def answered_after_a_while(it: Served) -> int:
    """0: the connection was refused."""
    try:
        return (await it.say(GET))[0]
    except (ConnectionError, asyncio.IncompleteReadError):
        return 0


async def taken_by(caller: socket.socket, *, pause_seconds: float = 0.0) -> int:
    """Bytes until the connection ends, or the answer does."""
    loop, taken = asyncio.get_running_loop(), 1
    async with asyncio.timeout(20):
        with contextlib.suppress(ConnectionError):
            while taken <= MUCH_BYTES and (data := await loop.sock_recv(caller, 65_536)):
                taken += len(data)
                await asyncio.sleep(pause_seconds)
    return taken


@pytest.mark.parametrize("sent", [b"", b"POST /take HTTP/1.1\r\nHost: x\r\n", GET + b"GET /we"])
async def test_a_head_that_does_not_come_in_time_ends_the_connection(served, sent):
    async with served(head_timeout_seconds=0.2) as it:
        connection = await it.connect()
        if sent.startswith(GET):
            assert (await it.say(GET, connection))[0] == 200
        connection[1].write(sent.removeprefix(GET))
        assert await is_closed(connection)
        assert it.counted(f"{HTTP_CONNECTIONS_CLOSED.name}_total", "slow_head") == 1


def test_descriptors_are_left_for_everything_else():
    assert connections_within(10_000, 65_536) == 10_000
    assert connections_within(10_000, 4_096) == 3_584
    assert connections_within(10_000, 600) == 300
    limits = connection_limits(UpshotSettings(http_connections_max=7, http_head_timeout_seconds=3))
    assert (limits.connections_max, limits.head_timeout_seconds) == (7, 3)


# ---------------------------------------------------------------- what is no request


@pytest.mark.parametrize(
    "sent",
    [
        b"hunter2\r\n\r\n",
        b"\x16\x03\x01\x02hunter2\x00\r\n\r\n",
        b"GET /well HTTP/1.1\r\nHost: x\r\nhunter2\x00: y\r\n\r\n",
        b"GET /well HTTP/1.1\r\nHost: x\r\nX: " + b"hunter2" * 5000 + b"\r\n\r\n",
        b"GET /well HTTP/1.1\r\nHost: x\r\n" + b"hunter2: y\r\n" * 1000 + b"\r\n",
        b"GET http://[hunter2/well HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /take HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nhunter2\r\n",
    ],
    ids=["no request line", "TLS", "a header's name", "a long header", "many headers", "an address", "a chunk"],
)
async def test_what_is_no_http_is_a_problem_and_leaves_no_byte_in_the_log(served, caplog, sent):
    caplog.set_level(logging.DEBUG)
    async with served() as it:
        connection = await it.connect()
        status, head, body = await it.say(sent, connection)
        assert (status, orjson.loads(body)["status"]) == (400, 400)
        assert b"Content-Type: application/problem+json" in head
        assert b"Connection: close" in head
        assert await is_closed(connection)
        assert it.counted(f"{HTTP_CONNECTIONS_CLOSED.name}_total", "malformed") == 1
    assert b"hunter2" not in head + body
    assert "hunter2" not in caplog.text
    assert not [each for each in caplog.records if each.levelno >= logging.INFO]


async def test_an_expectation_that_nobody_can_meet_is_a_problem(served):
    async with served() as it:
        status, _, body = await it.say(request("POST /take", b"x", "Expect: banana"))
        assert (status, orjson.loads(body)["type"]) == (417, "urn:upshot:problem:expectation-failed")


async def test_a_server_that_closes_answers_until_what_is_under_way_has_ended(served):
    async with served() as it:
        slow = await it.connect()
        slow[1].write(request("POST /take", b"half")[:-2])
        assert (await it.say(GET))[0] == 200  # it has seen the other one, too
        idle = await it.connect()
        await it.say(GET, idle)

        closing = asyncio.create_task(it.server.close())
        assert [(await it.say(GET))[0] for _ in range(3)] == [200, 200, 200]
        assert not closing.done()
        assert (await it.say(b"lf", slow))[0] == 200

        await closing
        assert await is_closed(idle)
        with pytest.raises(ConnectionRefusedError):
            await it.connect()


async def test_a_server_with_no_request_under_way_closes_at_once(served):
    async with served() as it:
        idle, silent = await it.connect(), await it.connect()
        await it.say(GET, idle)
        silent[1].write(b"GET /well HT")  # no request yet, and nobody knows whether it will be one
        async with asyncio.timeout(1):
            await it.server.close()
