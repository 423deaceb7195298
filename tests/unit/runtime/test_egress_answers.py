"""What an outgoing connection makes of an answer's bytes, wherever packets cut them."""

import asyncio
import socket
from collections.abc import Iterator

import pytest
from aiohttp.http_exceptions import HttpProcessingError

from shared.runtime.egress.kept import ANSWER_HEADS_MAX, AnswerProtocol

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Wire(asyncio.Transport):
    """Of a real socket; only what becomes of it is looked at."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__({"socket": sock})
        self.closed = False

    def close(self) -> None:
        self.closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.closed


@pytest.fixture
def wire() -> Iterator[Wire]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Wire(ours)


def _asked(wire: Wire, method: str) -> AnswerProtocol:
    protocol = AnswerProtocol(asyncio.get_running_loop())
    wire.closed = False
    protocol.connection_made(wire)
    protocol.expect(head_only=method == "HEAD")
    return protocol


def _kept(protocol: AnswerProtocol) -> bool:
    return protocol.is_connected() and not protocol.should_close


async def _answer(protocol: AnswerProtocol) -> tuple[int, bytes]:
    async with asyncio.timeout(5):
        while True:
            message, body = await protocol.read()
            if message.code >= 200:
                return message.code, await body.read()


async def _in_two_packets(wire: Wire, raw: bytes, method: str = "POST") -> list[tuple[int, bytes, bool]]:
    """(status, body, kept) of each way to cut `raw` in two, and of `raw` as one."""
    found = []
    for at in range(len(raw)):
        protocol = _asked(wire, method)
        for packet in (raw[:at], raw[at:]):
            if packet:
                protocol.data_received(packet)
        found.append((*await _answer(protocol), _kept(protocol)))
    return found


@pytest.mark.parametrize(
    ("method", "raw", "status", "body"),
    [
        ("POST", OK, 200, b"ok"),
        ("POST", CHUNKED + b"\r\n", 200, b"ok"),
        ("POST", CHUNKED + b"X: y\r\n\r\n", 200, b"ok"),
        ("POST", b"HTTP/1.1 100 Continue\r\n\r\n" + OK, 200, b"ok"),
        ("POST", b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", 204, b""),
        ("POST", b"HTTP/1.1 204 No Content\n\n", 204, b""),
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", 200, b""),
    ],
)
async def test_an_answer_that_ends_where_it_says_leaves_the_connection_fit(
    wire: Wire, method: str, raw: bytes, status: int, body: bytes
) -> None:
    assert set(await _in_two_packets(wire, raw, method)) == {(status, body, True)}


@pytest.mark.parametrize(
    ("method", "raw", "status", "body"),
    [
        ("POST", OK + b"xyz", 200, b"ok"),
        ("POST", OK + b"HTT", 200, b"ok"),
        ("POST", OK + OK, 200, b"ok"),
        ("POST", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nsurplus", 200, b""),
        ("POST", b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nokxyz", 200, b"ok"),
        ("POST", CHUNKED + b"\r\nxyz", 200, b"ok"),
        ("POST", CHUNKED + b"\r\nHTTP/1.1 200 OK\r\n", 200, b"ok"),
        ("POST", CHUNKED + b"\r\n" + OK, 200, b"ok"),
        ("POST", b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok", 204, b""),
        ("POST", b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 204, b""),
        ("POST", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\nok", 304, b""),
        ("POST", b"HTTP/1.1 204 No Content\n\nok", 204, b""),
        ("HEAD", OK, 200, b""),
    ],
)
async def test_the_head_decides_whatever_follows_the_answer_and_the_connection_is_not_kept(
    wire: Wire, method: str, raw: bytes, status: int, body: bytes
) -> None:
    assert set(await _in_two_packets(wire, raw, method)) == {(status, body, False)}


async def test_a_body_that_cannot_be_read_is_its_own_trouble(wire: Wire) -> None:
    raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"
    for at in range(1, len(raw)):
        protocol = _asked(wire, "POST")
        protocol.data_received(raw[:at])
        protocol.data_received(raw[at:])
        with pytest.raises(HttpProcessingError):
            await _answer(protocol)
        assert not _kept(protocol)


@pytest.mark.parametrize("as_one", [True, False])
async def test_interim_answers_without_end_are_no_answer(wire: Wire, as_one: bool) -> None:
    interim = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"

    async def asked(count: int) -> tuple[int, bytes]:
        protocol = _asked(wire, "POST")
        packets = [interim * count + OK] if as_one else [*[interim] * count, OK]
        for packet in packets:
            protocol.data_received(packet)
        return await _answer(protocol)

    assert await asked(ANSWER_HEADS_MAX - 1) == (200, b"ok")
    with pytest.raises(HttpProcessingError, match="interim answers without end"):
        await asked(100_000)
    assert wire.closed
