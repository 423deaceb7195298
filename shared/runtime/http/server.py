"""Listening: one aiohttp application on one address, and a stop that lets requests finish.

Guarantee: after `close`, no new request was taken and those under way had `shutdown_timeout_seconds` to end.
"""

from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Self

from aiohttp import web

from shared.domain.errors import PermanentError

HEADER_BYTES_MAX = 16_384
KEEPALIVE_SECONDS = 75.0


@dataclass(slots=True, kw_only=True)
class HttpServer:
    """A server that listens. `port` is the real one, also where a free one was asked for."""

    host: str
    port: int
    _runner: web.AppRunner

    @classmethod
    async def start(cls, app: web.Application, *, host: str, port: int, shutdown_timeout_seconds: float = 10.0) -> Self:
        """Listen on `host`:`port` (0: a free port). Raises PermanentError where that is impossible."""
        runner = web.AppRunner(
            app,
            access_log=None,  # the runs and events in the log say what happened; metrics count requests
            handle_signals=False,
            keepalive_timeout=KEEPALIVE_SECONDS,
            shutdown_timeout=shutdown_timeout_seconds,
            max_line_size=HEADER_BYTES_MAX,
            max_field_size=HEADER_BYTES_MAX,
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port, backlog=1024).start()
        except OSError as error:
            await runner.cleanup()
            reason = error.strerror or str(error)
            raise PermanentError(
                f"cannot listen on {host}:{port} (UPSHOT_HTTP_HOST, UPSHOT_HTTP_PORT): {reason}"
            ) from error
        return cls(host=host, port=int(runner.addresses[0][1]), _runner=runner)

    @property
    def url(self) -> str:
        """How a client on this machine calls it."""
        return f"http://{_callable_host(self.host)}:{self.port}"

    async def close(self) -> None:
        """Stop listening, let requests finish, free everything."""
        await self._runner.cleanup()


def _callable_host(host: str) -> str:
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if address.is_unspecified:
        return "[::1]" if isinstance(address, IPv6Address) else "127.0.0.1"
    return f"[{address}]" if isinstance(address, IPv6Address) else str(address)
