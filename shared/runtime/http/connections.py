"""Connections below the routes: what becomes of what a caller sends and nobody reads.

Guarantee: a body that nobody read is neither unpacked nor waited for at length.
Next: aiohttp's `web_protocol.py`, whose `RequestHandler` this stands on.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import ClientError, StreamReader, web

HEADER_BYTES_MAX = 16_384
KEEPALIVE_SECONDS = 75.0

UNREAD_BYTES_MAX = 16 * 1024 * 1024
"""What of an unread body is taken off the line after the answer. Closing at once would reset the connection, and a caller who
is still sending would lose the answer that tells it to stop."""

_BROKEN = (ClientError, web.RequestPayloadError, web.PayloadAccessError, ConnectionError)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """`unread_seconds_max`: how long the rest of an unread body may come after the answer."""

    unread_seconds_max: float = 2.0


class Connections(web.Server):
    """All connections of one server. aiohttp asks it for the protocol of each new one."""

    def __init__(self, served: web.Server, limits: ConnectionLimits) -> None:
        super().__init__(served.request_handler, request_factory=served.request_factory)
        self.limits = limits

    def __call__(self) -> "Connection":
        return Connection(self, asyncio.get_running_loop())


class Connection(web.RequestHandler):
    """One of them: aiohttp's, within limits."""

    __slots__ = ("_connections", "_leaving")

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
        self._leaving: asyncio.Timeout | None = None

    def close(self) -> None:
        super().close()
        if self._leaving is not None and not self._leaving.expired():
            self._leaving.reschedule(self._loop.time())  # a process that drains waits for nobody's unread body

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        unread = not request.content.is_eof()
        if unread:
            resp.force_close()
        answered = await super().finish_response(request, resp, start_time)
        if unread and not answered[1]:
            await self._take_unread(request.content)
        return answered

    async def _take_unread(self, content: StreamReader) -> None:
        """Let the caller see the answer: take off the line what is still coming, for a while, and look at none of it."""
        left = UNREAD_BYTES_MAX
        try:
            async with asyncio.timeout(self._connections.limits.unread_seconds_max) as self._leaving:
                while left > 0 and (chunk := await content.readany()):
                    left -= len(chunk)
        except (TimeoutError, *_BROKEN):
            pass  # it is closed next, either way
        finally:
            self._leaving = None


class LimitedRunner(web.AppRunner):
    """Serves an application over `Connections`."""

    def __init__(self, app: web.Application, *, shutdown_timeout_seconds: float, limits: ConnectionLimits) -> None:
        super().__init__(app, handle_signals=False, shutdown_timeout=shutdown_timeout_seconds)
        self._make: Callable[[web.Server], web.Server] = lambda served: Connections(served, limits)

    async def _make_server(self) -> web.Server:
        return self._make(await super()._make_server())
