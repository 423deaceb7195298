"""Real HTTP receivers on 127.0.0.1 for tests and the demo: they record what came and misbehave as told.

Guarantee: `wait_for` and `wait_for_stopped_streams` are signals, so no test needs a sleep; the signature check is
written from the Standard Webhooks text alone and shares nothing with the code that signs.
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from shared.domain.clock import Clock
from shared.testing.waiting import PATIENCE_SECONDS

_FOR_EVER = 1 << 40
_REQUEST_BYTES_MAX = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One request as it came; header names in lower case, `at_seconds` by the receiver's monotonic clock."""

    method: str
    path_qs: str
    headers: Mapping[str, str]
    body: bytes
    at_seconds: float

    @property
    def webhook_id(self) -> str:
        return self.headers.get("webhook-id", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An ordinary answer."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hang:
    """No answer until `release` is called for the path; then `then`."""

    then: Reply = field(default_factory=Reply)


@dataclass(frozen=True, slots=True, kw_only=True)
class Late:
    """An ordinary answer after `seconds`: what is under way when a process dies, is under way here."""

    seconds: float
    then: Reply = field(default_factory=Reply)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reset:
    """The connection is torn down with a TCP reset: before any answer, or after the head of one."""

    after_head: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Drip:
    """Status 200 at once, then one byte each `interval_seconds` for as long as anybody listens."""

    interval_seconds: float = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Endless:
    """Status 200 and a body of `declared_bytes` (None: chunked, without end), sent as fast as it is read."""

    declared_bytes: int | None = None


Behaviour = Reply | Hang | Late | Reset | Drip | Endless


def redirect_to(location: str, status: int = 302) -> Reply:
    """An answer that sends its client elsewhere."""
    return Reply(status=status, headers={"Location": location})


class Receiver:
    """One server. Open with `async with receiver(clock) as it`; unless told otherwise every path answers 200."""

    def __init__(self, clock: Clock, *, scheme: str, port: int) -> None:
        self.scheme = scheme
        self.port = port
        self.requests: list[Received] = []
        self.connections: set[int] = set()  # the client's port of each connection that brought a request
        self.streamed_bytes = 0  # written by Drip and Endless
        self._clock = clock
        self._script: dict[str, list[Behaviour]] = {}
        self._changed = asyncio.Condition()
        self._streams_stopped = 0
        self._released: dict[str, asyncio.Event] = {}

    @property
    def authority(self) -> str:
        """`127.0.0.1:port`, as the allow-list of outgoing calls wants it."""
        return f"127.0.0.1:{self.port}"

    def url(self, path: str = "/", *, host: str = "127.0.0.1") -> str:
        return f"{self.scheme}://{host}:{self.port}{path}"

    def behave(self, path: str, *behaviours: Behaviour) -> None:
        """What requests to `path` meet, one after the other; the last one stays."""
        assert behaviours, "say at least one behaviour"
        self._script[path] = list(behaviours)

    def release(self, path: str) -> None:
        """Let every request that hangs on `path`, now or later, have its answer."""
        self._released.setdefault(path, asyncio.Event()).set()

    def received(self, path: str) -> list[Received]:
        return [request for request in self.requests if request.path_qs.partition("?")[0] == path]

    async def wait_for(
        self, count: int, timeout_seconds: float = PATIENCE_SECONDS, *, path: str | None = None
    ) -> list[Received]:
        """The first `count` requests (to `path`), as soon as they have come; TimeoutError says how many had."""

        def arrived() -> list[Received]:
            return self.requests if path is None else self.received(path)

        try:
            async with asyncio.timeout(timeout_seconds), self._changed:
                await self._changed.wait_for(lambda: len(arrived()) >= count)
        except TimeoutError:
            raise TimeoutError(f"{len(arrived())} of {count} requests came within {timeout_seconds:g} s") from None
        return arrived()[:count]

    async def wait_for_stopped_streams(self, count: int = 1, timeout_seconds: float = PATIENCE_SECONDS) -> None:
        """Until `count` clients of Drip or Endless have hung up."""
        async with asyncio.timeout(timeout_seconds), self._changed:
            await self._changed.wait_for(lambda: self._streams_stopped >= count)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """The server's one route."""
        body = await request.read()
        peer = request.transport.get_extra_info("peername") if request.transport is not None else None
        async with self._changed:
            if peer is not None:
                self.connections.add(peer[1])
            self.requests.append(
                Received(
                    method=request.method,
                    path_qs=request.raw_path,
                    headers={name.lower(): value for name, value in request.headers.items()},
                    body=body,
                    at_seconds=self._clock.monotonic(),
                )
            )
            self._changed.notify_all()
        return await self._perform(request, self._next(request.path))

    def _next(self, path: str) -> Behaviour:
        script = self._script.get(path)
        if script is None:
            return Reply()
        return script.pop(0) if len(script) > 1 else script[0]

    async def _perform(self, request: web.Request, behaviour: Behaviour) -> web.StreamResponse:
        match behaviour:
            case Reply():
                return _respond(behaviour)
            case Hang():
                await self._released.setdefault(request.path, asyncio.Event()).wait()
                return _respond(behaviour.then)
            case Late():
                await asyncio.sleep(behaviour.seconds)
                return _respond(behaviour.then)
            case Reset():
                return await _reset(request, after_head=behaviour.after_head)
            case Drip():
                return await self._stream(request, None, b".", behaviour.interval_seconds)
            case Endless():
                return await self._stream(request, behaviour.declared_bytes, bytes(65_536), 0.0)

    async def _stream(
        self, request: web.Request, declared_bytes: int | None, chunk: bytes, interval_seconds: float
    ) -> web.StreamResponse:
        response = web.StreamResponse()
        if declared_bytes is None:
            response.enable_chunked_encoding()
        else:
            response.content_length = declared_bytes
        await response.prepare(request)
        left = _FOR_EVER if declared_bytes is None else declared_bytes
        try:
            while left > 0:
                await response.write(chunk[:left])
                left -= len(chunk)
                self.streamed_bytes += len(chunk)
                await asyncio.sleep(interval_seconds)
        finally:
            async with self._changed:
                self._streams_stopped += 1
                self._changed.notify_all()
        return response


@asynccontextmanager
async def receiver(clock: Clock, *, tls: ssl.SSLContext | None = None, port: int = 0) -> AsyncIterator[Receiver]:
    """A running receiver on 127.0.0.1; `port` 0 is any free one, `tls` makes it https."""
    listening = socket.create_server(("127.0.0.1", port))
    it = Receiver(clock, scheme="http" if tls is None else "https", port=listening.getsockname()[1])
    application = web.Application(client_max_size=_REQUEST_BYTES_MAX)
    application.router.add_route("*", "/{path:.*}", it.handle)
    # Handlers are cancelled when their client hangs up, and at once when the receiver stops: hanging is their job.
    runner = web.AppRunner(application, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.SockSite(runner, listening, ssl_context=tls).start()
        yield it
    finally:
        await runner.cleanup()


class ScriptedNames(AbstractResolver):
    """Name resolution by a table, so that names lead to local receivers and nothing asks the network.

    Each name has one or more answers, given one after the other; the last one stays. No addresses: no such name.
    """

    def __init__(self, answers: Mapping[str, Sequence[Sequence[str]]]) -> None:
        self.asked: list[str] = []
        self._answers = {name: list(sequence) for name, sequence in answers.items()}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        del family  # a table answers with all it has
        self.asked.append(host)
        sequence = self._answers.get(host)
        if sequence is None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        addresses = sequence.pop(0) if len(sequence) > 1 else sequence[0]
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in addresses
        ]

    async def close(self) -> None:
        """Nothing is held."""


def signature_flaws(
    secrets: Sequence[str], received: Received, now_seconds: float, *, tolerance_seconds: int = 300
) -> list[str]:
    """What is wrong with a delivery's Standard Webhooks signature, judged with `whsec_` secrets; empty: all is well."""
    identity, stamp = received.webhook_id, received.headers.get("webhook-timestamp", "")
    flaws = []
    if not identity or "." in identity:
        flaws.append(f"webhook-id is {identity!r}")
    if not (stamp.isascii() and stamp.isdigit()):
        flaws.append(f"webhook-timestamp is {stamp!r}")
    elif abs(int(stamp) - now_seconds) > tolerance_seconds:
        flaws.append(f"webhook-timestamp is {abs(int(stamp) - now_seconds):g} s away")
    content = f"{identity}.{stamp}.".encode() + received.body
    expected = {hmac.new(_key(secret), content, hashlib.sha256).digest() for secret in secrets}
    offered = [
        _decoded(part.removeprefix("v1,"))
        for part in received.headers.get("webhook-signature", "").split(" ")
        if part.startswith("v1,")
    ]
    if not any(hmac.compare_digest(one, other) for one in offered for other in expected):
        flaws.append("no signature of webhook-signature fits")
    return flaws


def _key(secret: str) -> bytes:
    text = secret.removeprefix("whsec_")
    return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return b""


def _respond(reply: Reply) -> web.Response:
    return web.Response(status=reply.status, headers=dict(reply.headers), body=reply.body)


async def _reset(request: web.Request, *, after_head: bool) -> web.StreamResponse:
    response = web.StreamResponse()
    transport = request.transport
    assert transport is not None
    if after_head:
        response.content_length = 1000
        await response.prepare(request)
        await response.write(b"half")
    connection = transport.get_extra_info("socket")
    # Lingering for zero seconds turns the close into a reset.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
    return response
