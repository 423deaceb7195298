"""The outgoing client against real receivers that behave and misbehave."""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest
from aiohttp import AddrInfoType, ClientTimeout
from aiohttp.abc import ResolveResult
from yarl import URL

from shared.runtime.clock import SystemClock
from shared.runtime.egress import (
    Answer,
    EgressRefused,
    EgressSettings,
    OutgoingClient,
    OutgoingRequest,
    ReceiverTimeout,
    ReceiverUnreachable,
)
from shared.runtime.egress.exchange import Destination, Exchange
from shared.runtime.egress.kept import KeepingConnector
from shared.testing.receivers import (
    Drip,
    Endless,
    Hang,
    Receiver,
    Reply,
    Reset,
    ScriptedNames,
    receiver,
    redirect_to,
)

CLOCK = SystemClock()


@asynccontextmanager
async def _client(allow: str, **settings: object) -> AsyncIterator[OutgoingClient]:
    names = settings.pop("names", None)
    assert names is None or isinstance(names, ScriptedNames)
    async with await OutgoingClient.open(
        EgressSettings.model_validate({"allow": allow, **settings}), clock=CLOCK, resolver=names
    ) as client:
        yield client


async def _post(
    client: OutgoingClient,
    url: str,
    *,
    body: bytes = b"{}",
    headers: Mapping[str, str] | None = None,
    timeout_seconds: float = 5.0,
    response_bytes_max: int | None = None,
    method: str = "POST",
) -> Answer:
    return await client.send(
        OutgoingRequest(
            method=method,
            url=url,
            headers=headers or {},
            body=body,
            timeout_seconds=timeout_seconds,
            response_bytes_max=response_bytes_max,
        )
    )


@pytest.fixture
async def it() -> AsyncIterator[Receiver]:
    async with receiver(CLOCK) as running:
        yield running


@pytest.fixture
async def client(it: Receiver) -> AsyncIterator[OutgoingClient]:
    async with _client(it.authority) as running:
        yield running


async def test_the_bytes_and_the_path_arrive_as_they_were_given(it: Receiver, client: OutgoingClient) -> None:
    body = '{"text":"ü","n":1.10,"n2":1e400}'.encode()
    path = "/a/../b%20c/%7e?x=[1]&y=%41|&z='"
    await _post(client, it.url(path), body=body, headers={"Webhook-Id": "msg_1", "Content-Type": "application/json"})
    [request] = it.requests
    assert (request.method, request.path_qs, request.body) == ("POST", path, body)
    # Nothing of ours beside what HTTP needs and who we are.
    assert request.headers == {
        "webhook-id": "msg_1",
        "content-type": "application/json",
        "host": it.authority,
        "user-agent": "Upshot",
        "content-length": str(len(body)),
    }


async def test_an_answer_carries_status_lower_case_headers_and_body_but_no_cookies(
    it: Receiver, client: OutgoingClient
) -> None:
    it.behave("/", Reply(status=503, headers={"Retry-After": "120", "Set-Cookie": "a=b"}, body=b"later"))
    answer = await _post(client, it.url())
    assert (answer.status, answer.body, answer.truncated) == (503, b"later", False)
    assert answer.headers["retry-after"] == "120"
    assert "set-cookie" not in answer.headers
    assert answer.elapsed_seconds > 0
    # And a cookie is never sent back.
    await _post(client, it.url())
    assert "cookie" not in it.requests[1].headers


async def test_calls_to_one_receiver_share_one_connection(it: Receiver, client: OutgoingClient) -> None:
    for _ in range(5):
        await _post(client, it.url())
    assert len(it.connections) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_an_answer(it: Receiver, client: OutgoingClient, status: int) -> None:
    it.behave("/hook", redirect_to(it.url("/elsewhere"), status))
    answer = await _post(client, it.url("/hook"))
    assert answer.status == status
    assert it.received("/elsewhere") == []


async def test_a_compressed_body_stays_as_it_came(it: Receiver, client: OutgoingClient) -> None:
    it.behave("/", Reply(headers={"Content-Encoding": "gzip"}, body=b"not gzip at all"))
    assert (await _post(client, it.url())).body == b"not gzip at all"


async def test_a_body_of_exactly_the_limit_is_whole_and_one_byte_more_is_cut(
    it: Receiver, client: OutgoingClient
) -> None:
    it.behave("/", Reply(body=b"x" * 1000))
    whole = await _post(client, it.url(), response_bytes_max=1000)
    assert (len(whole.body), whole.truncated) == (1000, False)
    cut = await _post(client, it.url(), response_bytes_max=999)
    assert (len(cut.body), cut.truncated) == (999, True)
    nothing = await _post(client, it.url(), response_bytes_max=0)
    assert (nothing.body, nothing.truncated) == (b"", True)


@pytest.mark.parametrize("declared_bytes", [5_000_000_000, None])
async def test_an_endless_body_is_cut_and_its_connection_closed(
    it: Receiver, client: OutgoingClient, declared_bytes: int | None
) -> None:
    it.behave("/", Endless(declared_bytes=declared_bytes))
    answer = await _post(client, it.url(), response_bytes_max=100_000)
    assert (answer.status, len(answer.body), answer.truncated) == (200, 100_000, True)
    await it.wait_for_stopped_streams()
    assert it.streamed_bytes < 32 * 1024 * 1024  # what socket buffers may hold, not gigabytes
    # And the next call has a connection of its own.
    it.behave("/", Reply())
    assert (await _post(client, it.url())).status == 200
    assert len(it.connections) == 2


async def test_a_receiver_that_hangs_is_a_timeout(it: Receiver, client: OutgoingClient) -> None:
    it.behave("/", Hang())
    with pytest.raises(ReceiverTimeout) as caught:
        await _post(client, it.url(), timeout_seconds=0.1)
    assert (caught.value.kind, caught.value.status) == ("timeout", None)
    assert len(it.requests) == 1


async def test_a_body_that_drips_is_a_timeout_that_knows_the_status(it: Receiver, client: OutgoingClient) -> None:
    it.behave("/", Drip())
    with pytest.raises(ReceiverTimeout) as caught:
        await _post(client, it.url(), timeout_seconds=0.3)
    assert (caught.value.kind, caught.value.status) == ("timeout", 200)
    await it.wait_for_stopped_streams()


@pytest.mark.parametrize("after_head", [False, True])
async def test_a_reset_is_told_as_one(it: Receiver, client: OutgoingClient, after_head: bool) -> None:
    it.behave("/", Reset(after_head=after_head))
    with pytest.raises(ReceiverUnreachable) as caught:
        await _post(client, it.url())
    assert caught.value.kind == "reset"
    assert len(it.requests) == 1, "a POST is never repeated behind the caller's back"


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_no_method_is_repeated_behind_the_callers_back(it: Receiver, client: OutgoingClient, method: str) -> None:
    # Given a kept connection, over which the next request is reset
    it.behave("/", Reply(), Reset(), Reply())
    await _post(client, it.url(), method=method, body=b"")
    with pytest.raises(ReceiverUnreachable):
        await _post(client, it.url(), method=method, body=b"")
    assert len(it.requests) == 2


async def test_a_closed_port_is_refused(client: OutgoingClient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    async with _client(f"127.0.0.1:{port}") as other:
        with pytest.raises(ReceiverUnreachable) as caught:
            await _post(other, f"http://127.0.0.1:{port}/")
    assert caught.value.kind == "refused"


async def test_an_unknown_name_is_dns_and_a_slow_one_a_timeout() -> None:
    class Stuck(ScriptedNames):
        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
        ) -> list[ResolveResult]:
            await asyncio.Event().wait()
            return await super().resolve(host, port, family)

    async with _client("", names=ScriptedNames({})) as client:
        with pytest.raises(ReceiverUnreachable) as unknown:
            await _post(client, "https://nowhere.example/")
    assert unknown.value.kind == "dns"
    async with _client("", names=Stuck({}), dns_timeout_seconds=0.05) as client:
        with pytest.raises(ReceiverTimeout) as slow:
            await _post(client, "https://slow.example/")
    assert slow.value.kind == "dns_timeout"


async def test_the_systems_resolver_finds_localhost_where_it_is_allowed(it: Receiver) -> None:
    async with _client(f"localhost:{it.port}") as client:
        assert (await _post(client, it.url(host="localhost"))).status == 200
    assert it.requests[0].headers["host"] == f"localhost:{it.port}"


@pytest.mark.parametrize("allow", ["", "127.0.0.1:1", "other.example:{port}", "10.0.0.0/8:{port}"])
async def test_loopback_is_refused_unless_host_and_port_are_allowed(it: Receiver, allow: str) -> None:
    names = ScriptedNames({"hooks.example.com": [["127.0.0.1"]]})
    async with _client(allow.format(port=it.port), names=names) as client:
        for host in ("127.0.0.1", "hooks.example.com"):
            with pytest.raises(EgressRefused):
                await _post(client, it.url(host=host))
    assert it.requests == []


@pytest.mark.parametrize("allow", ["hooks.example.com:{port}", "hooks.example.com:*", "127.0.0.0/8:{port}"])
async def test_an_allowed_name_or_network_is_let_through(it: Receiver, allow: str) -> None:
    names = ScriptedNames({"hooks.example.com": [["127.0.0.1"]]})
    async with _client(allow.format(port=it.port), names=names) as client:
        assert (await _post(client, it.url(host="hooks.example.com"))).status == 200


async def test_metadata_stays_refused_even_when_allowed() -> None:
    targets = {
        "http://169.254.169.254/": "169.254.169.254:*",
        "http://168.63.129.16/": "168.63.129.16:*",
        "http://[fd00:ec2::254]/": "[fd00:ec2::254]:*",
        "http://[::ffff:a9fe:a9fe]/": "[::ffff:a9fe:a9fe]:*",
        "http://metadata.google.internal/": "metadata.google.internal:*",
        "http://innocent.example/": "innocent.example:*",
    }
    names = ScriptedNames({"innocent.example": [["169.254.169.254"]]})
    async with _client(",".join(targets.values()), names=names) as client:
        for url in targets:
            with pytest.raises(EgressRefused):
                await _post(client, url)


async def test_proxies_of_the_environment_are_ignored(
    it: Receiver, client: OutgoingClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with _client(it.authority) as behind:
        assert (await _post(behind, it.url())).status == 200


@pytest.mark.parametrize(
    ("headers", "method", "body", "kind"),
    [
        ({"X": "a\r\nHost: internal"}, "POST", b"", "header"),
        ({"X\r\nY": "a"}, "POST", b"", "header"),
        ({"": "a"}, "POST", b"", "header"),
        ({"X": "\ud800"}, "POST", b"", "header"),
        ({"HOST": "internal"}, "POST", b"", "header"),
        ({"Transfer-Encoding": "chunked"}, "POST", b"", "header"),
        ({"Content-Length": "1"}, "POST", b"", "header"),
        ({}, "CONNECT", b"", "method"),
        ({}, "post", b"", "method"),
        ({}, "POST", bytes(1_048_577), "body"),
    ],
)
async def test_what_would_break_the_framing_is_refused(
    it: Receiver, client: OutgoingClient, *, headers: dict[str, str], method: str, body: bytes, kind: str
) -> None:
    with pytest.raises(EgressRefused) as caught:
        await _post(client, it.url(), headers=headers, method=method, body=body)
    assert caught.value.kind == kind
    assert it.requests == []


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 20_000 + b"\r\n\r\n", "too_large_headers"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 5000 + b"\r\n", "too_large_headers"),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "bad_response"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "bad_response"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", "reset"),
        (b"", "reset"),
    ],
)
async def test_an_answer_that_is_not_one_is_told_by_kind(raw: bytes, kind: str) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(raw)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, _client(f"127.0.0.1:{port}") as client:
        with pytest.raises(ReceiverUnreachable) as caught:
            await _post(client, f"http://127.0.0.1:{port}/", body=b"")
    assert caught.value.kind == kind


async def test_header_bytes_that_are_no_text_come_back_as_text() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nX-A: \xff\r\nX-B: \xc3\xbc\r\nX-B: 2\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, _client(f"127.0.0.1:{port}") as client:
        headers = (await _post(client, f"http://127.0.0.1:{port}/", body=b"")).headers
    assert (headers["x-a"], headers["x-b"]) == ("\ufffd", "ü, 2")


@pytest.mark.parametrize("timeout_seconds", [0.0, -1.0, float("nan"), float("inf")])
async def test_a_call_without_a_time_limit_is_a_mistake_of_the_caller(
    it: Receiver, client: OutgoingClient, timeout_seconds: float
) -> None:
    with pytest.raises(ValueError, match="time limit"):
        await _post(client, it.url(), timeout_seconds=timeout_seconds)
    assert it.requests == []


async def test_a_cancelled_call_leaves_no_connection_behind(it: Receiver, client: OutgoingClient) -> None:
    it.behave("/", Hang())
    call = asyncio.create_task(_post(client, it.url()))
    await it.wait_for(1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    it.behave("/", Reply())
    await _post(client, it.url())
    assert len(it.connections) == 2


async def test_a_connection_whose_request_was_not_wholly_taken_is_not_used_again() -> None:
    """Else the rest of one body would be read as the beginning of the next request."""
    connections = 0
    over = asyncio.Event()

    def with_small_buffer(address: AddrInfoType) -> socket.socket:
        made = socket.socket(address[0], address[1], address[2])
        made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        return made

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        await over.wait()
        writer.transport.abort()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, limit=1024)
    server.sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    url = URL(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
    connector = KeepingConnector(socket_factory=with_small_buffer)
    async with server, connector:
        try:
            for _ in range(2):
                exchange = await Exchange.open(connector, Destination.of(url), ClientTimeout(sock_connect=5))
                async with asyncio.timeout(5):
                    assert (await exchange.begin("POST", {}, bytes(8 * 1024 * 1024))).code == 413
                    assert await exchange.body(10) == (b"", False)
                exchange.end(whole=True)
            assert connections == 2
        finally:
            over.set()
