"""Connections below the routes: how many, how long they may do nothing, and what is answered to what is no request.

Guarantees: never more than `connections_max` are open, and one more takes the place of the one that has waited longest for a
request, or else of the one whose caller has longest left something of an answer untaken; who takes nothing of one for
`untaken_seconds_max` is let go; a request's head is whole within `head_timeout_seconds` of its first byte, the first one's of
connecting, and one begun while another request was answered within `KEEPALIVE_SECONDS`; a body that nobody read is neither
unpacked nor waited for at length; what is no HTTP is answered with a problem, and no byte of it is logged.
Next: aiohttp's `web_protocol.py`, whose `RequestHandler` this stands on.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from aiohttp import ClientError, StreamReader, web
from aiohttp.http_exceptions import LineTooLong

from shared.runtime.http.problems import HttpProblem, render_problem
from shared.telemetry.metrics import HTTP_CONNECTIONS, HTTP_CONNECTIONS_CLOSED, Metrics

HEADER_BYTES_MAX = 16_384
KEEPALIVE_SECONDS = 75.0

UNREAD_BYTES_MAX = 16 * 1024 * 1024
"""What of an unread body is taken off the line after the answer. Closing at once would reset the connection, and a caller who
is still sending would lose the answer that tells it to stop."""

LOOK_SECONDS = 5.0
"""So often it is looked at what callers have not taken."""

LATE_SECONDS = 0.5
"""What came last still has this long to end. Above 0: to aiohttp that means for ever."""

_LOG = logging.getLogger("upshot.http")
_CLOSE = {"Connection": "close"}  # aiohttp answers these as HTTP/1.0, where it leaves the header out
_BROKEN = (ClientError, web.RequestPayloadError, web.PayloadAccessError, ConnectionError)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """`connections_max`: of one server; `head_timeout_seconds`: from a head's first byte to its last; `unread_seconds_max`: how
    long the rest of an unread body may come after the answer; `untaken_seconds_max`: how long a caller may take nothing of
    an answer."""

    connections_max: int = 10_000
    head_timeout_seconds: float = 10.0
    unread_seconds_max: float = 2.0
    untaken_seconds_max: float = 60.0


@dataclass(frozen=True, slots=True)
class _Untaken:
    """What a caller had not taken when something of it was last taken. `answers`: how many there had been."""

    bytes: int
    answers: int
    since: float


class Connections(web.Server):
    """All connections of one server. aiohttp asks it for the protocol of each new one."""

    def __init__(self, served: web.Server, limits: ConnectionLimits, metrics: Metrics) -> None:
        super().__init__(served.request_handler, request_factory=served.request_factory)
        self.limits = limits
        self._metrics = metrics
        self._open: set[Connection] = set()
        self._waiting: dict[Connection, None] = {}  # for a request, the longest first
        self._untaken: dict[Connection, _Untaken] = {}  # the longest first
        self._looking: asyncio.TimerHandle | None = None
        self._told = False
        self._unanswered: set[Connection] = set()  # those that `answered` waits for
        self._all_answered = asyncio.Event()
        metrics.show(HTTP_CONNECTIONS, lambda: {(): float(len(self._open))})

    def __call__(self) -> "Connection":
        return Connection(self, asyncio.get_running_loop())

    def admit(self, connection: "Connection") -> bool:
        """Whether there is a place, be it that of another one."""
        if len(self._open) >= self.limits.connections_max and not self._make_room():
            return False
        self._open.add(connection)
        self._waiting[connection] = None
        if self._looking is None:
            self._look_later()
        return True

    def is_waiting(self, connection: "Connection") -> bool:
        return connection in self._waiting

    def begin_waiting(self, connection: "Connection") -> None:
        """It has been answered all that it asked."""
        if connection in self._open:
            self._waiting[connection] = None
        self.settle(connection)

    def end_waiting(self, connection: "Connection") -> None:
        """It has sent a whole head."""
        self._waiting.pop(connection, None)

    def forget(self, connection: "Connection") -> None:
        """It is closed, or about to be."""
        self._open.discard(connection)
        self._waiting.pop(connection, None)
        self._untaken.pop(connection, None)
        self.settle(connection)

    async def answered(self) -> None:
        """Return once the requests that are under way have been answered, or their callers are gone: not those that come
        meanwhile, which would have no end."""
        self._unanswered = {each for each in self._open - self._waiting.keys() if not each.is_leaving}
        if self._unanswered:
            self._all_answered.clear()
            await self._all_answered.wait()

    def count_closed(self, reason: str) -> None:
        self._metrics.add(HTTP_CONNECTIONS_CLOSED, 1, reason)

    def settle(self, connection: "Connection") -> None:
        """It has been answered, or is gone: nobody need wait for it."""
        if self._unanswered:
            self._unanswered.discard(connection)
            if not self._unanswered:
                self._all_answered.set()

    def _make_room(self) -> bool:
        self.count_closed("limit")
        if not self._told:
            self._told = True
            _LOG.warning(
                "%d HTTP connections are open, as many as may be: a new one takes the place of the one idle longest "
                "(UPSHOT_HTTP_CONNECTIONS_MAX; told once, counted as %s)",
                len(self._open),
                HTTP_CONNECTIONS_CLOSED.name,
            )
        longest = next(iter(self._waiting), None) or next(iter(self._untaken), None)
        if longest is None:
            return False
        self.forget(longest)
        longest.drop()
        return True

    def _look_later(self) -> None:
        self._looking = asyncio.get_running_loop().call_later(LOOK_SECONDS, self._look) if self._open else None

    def _look(self) -> None:
        """Let go of callers who take nothing of their answers."""
        now = asyncio.get_running_loop().time()
        for connection in list(self._open):
            left, known = connection.untaken_bytes, self._untaken.get(connection)
            if not left:
                self._untaken.pop(connection, None)
            elif known is None or left < known.bytes or connection.answers > known.answers:
                self._untaken[connection] = _Untaken(left, connection.answers, now)
            elif now - known.since >= self.limits.untaken_seconds_max:
                self.count_closed("untaken")
                self.forget(connection)
                connection.drop()
        self._look_later()


class Connection(web.RequestHandler):
    """One of them: aiohttp's, within limits."""

    __slots__ = ("_connections", "_head_timer", "_leaving", "_line", "answers")

    def __init__(self, connections: Connections, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            connections,
            loop=loop,
            access_log=None,  # type: ignore[arg-type]  # None is no log; the annotation leaves it out
            keepalive_timeout=KEEPALIVE_SECONDS,
            max_line_size=HEADER_BYTES_MAX,
            max_field_size=HEADER_BYTES_MAX,
            # Unpacking while reading has no bound, and goes on behind an answer: `body.py` unpacks what somebody reads.
            auto_decompress=False,
            lingering_time=0,  # see `_take_unread`, which is also bounded in bytes
        )
        self._connections = connections
        self._head_timer: asyncio.TimerHandle | None = None
        self._leaving: asyncio.Timeout | None = None
        # To its very end: aiohttp lets go of its own when it begins to close.
        self._line: asyncio.Transport | None = None
        self.answers = 0

    @property
    def untaken_bytes(self) -> int:
        """Of answers, what the caller has made no room for yet, beside what the system holds."""
        return self._line.get_write_buffer_size() if self._line is not None else 0

    @property
    def is_leaving(self) -> bool:
        """It has been answered, and is closed once the rest of an unread body has come."""
        return self._leaving is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        line = cast(asyncio.Transport, transport)  # uvloop's is one, and does not say so to isinstance
        if not self._connections.admit(self):
            line.abort()
            return
        self._line = line
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._stop_head_timer()
        self._line = None
        self._connections.forget(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        heads = self._request_count
        super().data_received(data)
        if self._request_count != heads:
            self._stop_head_timer()
            self._connections.end_waiting(self)
        elif data and self._head_timer is None and self._connections.is_waiting(self):
            self._expect_head()

    def drop(self) -> None:
        """Close it now, whatever was not taken: closing waits for that, and where nobody takes it, for ever."""
        self.force_close()
        if self._line is not None:
            self._line.abort()

    def close(self) -> None:
        super().close()
        if self._leaving is not None and not self._leaving.expired():
            self._leaving.reschedule(self._loop.time())  # a process that drains waits for nobody's unread body

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        if isinstance(resp, web.HTTPException) and resp.status >= 400:
            # Raised where no route was asked yet: an expectation that nobody can meet.
            resp = render_problem(HttpProblem.of_aiohttp(resp), instance=request.path)
        unread = not request.content.is_eof()
        if unread:
            resp.force_close()
        answered = await super().finish_response(request, resp, start_time)
        self.answers += 1
        if unread and not answered[1]:
            await self._take_unread(request.content)
        if not self._messages:
            self._connections.begin_waiting(self)
        return answered

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002  aiohttp hands it over
    ) -> web.StreamResponse:
        """The answer to what is no request, and to what went wrong outside of the boundary. The connection ends with it.

        `message`, and the text of `exc` below 500, show the caller's bytes, which are neither logged nor sent back.
        """
        if status >= 500:
            _LOG.error("unexpected error below the routes", exc_info=exc)
            problem = HttpProblem(status, "internal-error", "something unexpected went wrong", headers=_CLOSE)
        else:
            _LOG.debug("no HTTP request: %s", type(exc).__name__)
            self._connections.count_closed("malformed")
            problem = HttpProblem(status, "malformed-request", _malformed(exc), headers=_CLOSE)
        if request.writer.output_size > 0:
            raise ConnectionError("an answer is under way: there is no place for another one")
        answer = render_problem(problem, instance="")
        answer.force_close()
        return answer

    async def _take_unread(self, content: StreamReader) -> None:
        """Let the caller see the answer: take off the line what is still coming, for a while, and look at none of it."""
        left = UNREAD_BYTES_MAX
        try:
            async with asyncio.timeout(self._connections.limits.unread_seconds_max) as self._leaving:
                self._connections.settle(self)
                while left > 0 and (chunk := await content.readany()):
                    left -= len(chunk)
        except (TimeoutError, *_BROKEN):
            pass  # it is closed next, either way
        finally:
            self._leaving = None

    def _expect_head(self) -> None:
        self._stop_head_timer()
        seconds = self._connections.limits.head_timeout_seconds
        self._head_timer = self._loop.call_later(seconds, self._give_up)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self) -> None:
        self._head_timer = None
        if self._connections.is_waiting(self):
            self._connections.count_closed("slow_head")
            self._connections.forget(self)
            self.drop()


class LimitedRunner(web.AppRunner):
    """Serves an application over `Connections`."""

    def __init__(
        self, app: web.Application, *, shutdown_timeout_seconds: float, limits: ConnectionLimits, metrics: Metrics
    ) -> None:
        super().__init__(app, handle_signals=False, shutdown_timeout=shutdown_timeout_seconds)
        self._make: Callable[[web.Server], Connections] = lambda served: Connections(served, limits, metrics)
        self._connections: Connections | None = None

    async def _make_server(self) -> web.Server:
        self._connections = self._make(await super()._make_server())
        return self._connections

    async def drain(self) -> None:
        """Answer on, whatever comes, until the requests that are under way have ended or the shutdown's time is up. What came
        meanwhile has the rest of that time, and no less than `LATE_SECONDS`, to end once nothing is listened for any more."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self._shutdown_timeout
        if self._connections is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(until):
                    await self._connections.answered()
        self._shutdown_timeout = max(LATE_SECONDS, until - loop.time())


def _malformed(exc: BaseException | None) -> str:
    if isinstance(exc, LineTooLong):
        return f"the request line, or a header, is too long: at most {HEADER_BYTES_MAX} bytes are taken"
    return "this cannot be read as an HTTP/1.1 request: look at its line, its headers (one Host, one length) and its chunks"
