"""A kept outgoing connection belongs to no call: what comes over it meanwhile is nobody's answer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from aiohttp import ClientResponseError, ClientTimeout
from yarl import URL

from shared.runtime.clock import SystemClock
from shared.runtime.egress import Answer, EgressSettings, OutgoingClient, OutgoingRequest
from shared.runtime.egress.exchange import Destination, Exchange
from shared.runtime.egress.kept import KeepingConnector

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
STALE = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstale"
REAL = b"HTTP/1.1 500 No\r\nContent-Length: 4\r\n\r\nreal"

Peer = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Peers:
    """A receiver whose part the test plays: each connection as it comes, and what is said over it."""

    def __init__(self, client: OutgoingClient, url: str, connections: "asyncio.Queue[Peer]") -> None:
        self._client = client
        self.url = url
        self.connections = connections

    def call(self) -> "asyncio.Task[Answer]":
        request = OutgoingRequest(method="POST", url=self.url, body=b"{}", timeout_seconds=5)
        return asyncio.create_task(self._client.send(request))

    async def asked(self) -> Peer:
        """The next new connection, once a request has come over it."""
        async with asyncio.timeout(5):
            peer = await self.connections.get()
            await peer[0].readuntil(b"{}")
        return peer


@asynccontextmanager
async def _peers() -> AsyncIterator[Peers]:
    connections: asyncio.Queue[Peer] = asyncio.Queue()

    async def took(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await connections.put((reader, writer))

    server = await asyncio.start_server(took, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    settings = EgressSettings.model_validate({"allow": f"127.0.0.1:{port}"})
    async with server, await OutgoingClient.open(settings, clock=SystemClock()) as client:
        yield Peers(client, f"http://127.0.0.1:{port}/", connections)


async def _closed(peer: Peer) -> None:
    async with asyncio.timeout(5):
        with suppress(ConnectionError):
            await peer[0].read()


@pytest.mark.parametrize("noticed", [False, True])
@pytest.mark.parametrize(
    "unasked",
    [STALE, STALE[:25], b"\r\n", b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"],
)
async def test_what_comes_over_an_idle_connection_is_never_the_next_calls_answer(unasked: bytes, noticed: bool) -> None:
    async with _peers() as peers:
        # Given a kept connection, over which the receiver says something more
        first = peers.call()
        kept = await peers.asked()
        kept[1].write(OK)
        assert (await first).body == b"ok"
        kept[1].write(unasked)
        if noticed:  # by the loop, which closes it; else the bytes lie in the kernel when the next call begins
            await _closed(kept)
        # When the next call is made
        second = peers.call()
        other = await peers.asked()
        # Then it has a connection and an answer of its own
        other[1].write(REAL)
        answer = await second
        assert (answer.status, answer.body) == (500, b"real")
        await _closed(kept)


async def test_a_connection_that_the_receiver_has_ended_is_not_used_again() -> None:
    async with _peers() as peers:
        first = peers.call()
        kept = await peers.asked()
        kept[1].write(OK)
        await first
        kept[1].write_eof()  # the kernel knows, the loop not yet
        second = peers.call()
        other = await peers.asked()
        other[1].write(REAL)
        assert (await second).status == 500


async def test_what_is_said_before_the_first_request_is_no_answer() -> None:
    connector = KeepingConnector()
    async with _peers() as peers, connector:
        exchange = await Exchange.open(connector, Destination.of(URL(peers.url)), ClientTimeout(sock_connect=5))
        peer = await peers.connections.get()
        peer[1].write(OK)
        await _closed(peer)
        with pytest.raises(ClientResponseError, match="before it was asked"):
            await exchange.begin("POST", {}, b"{}")
        exchange.abandon()
