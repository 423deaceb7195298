"""Listening: one aiohttp application on one address, and a stop that lets requests finish.

Guarantee: those that are under way when `close` is called have `shutdown_timeout_seconds` to end, and as long as one is, others
are answered, too: whoever balances load sees on /readyz that this process drains, before it is refused.
Next: `connections.py`, which bounds what callers may hold open.
"""

from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Self

from aiohttp import web

from shared.domain.errors import PermanentError
from shared.runtime.descriptors import connections_within, descriptor_limit
from shared.runtime.http.connections import ConnectionLimits, LimitedRunner
from shared.runtime.settings import UpshotSettings
from shared.telemetry.metrics import Metrics

LIMITS_DEFAULT = ConnectionLimits()


@dataclass(slots=True, kw_only=True)
class HttpServer:
    """A server that listens. `port` is the real one, also where a free one was asked for."""

    host: str
    port: int
    _runner: LimitedRunner

    @classmethod
    async def start(
        cls,
        app: web.Application,
        *,
        host: str,
        port: int,
        shutdown_timeout_seconds: float = 10.0,
        limits: ConnectionLimits = LIMITS_DEFAULT,
        metrics: Metrics | None = None,
    ) -> Self:
        """Listen on `host`:`port` (0: a free port). Raises PermanentError where that is impossible."""
        runner = LimitedRunner(
            app, shutdown_timeout_seconds=shutdown_timeout_seconds, limits=limits, metrics=metrics or Metrics()
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
        """Let requests finish, stop listening, free everything."""
        await self._runner.drain()
        await self._runner.cleanup()


def connection_limits(settings: UpshotSettings) -> ConnectionLimits:
    """As the settings say, within what this process may open."""
    return ConnectionLimits(
        connections_max=connections_within(settings.http_connections_max, descriptor_limit()),
        head_timeout_seconds=settings.http_head_timeout_seconds,
    )


def _callable_host(host: str) -> str:
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if address.is_unspecified:
        return "[::1]" if isinstance(address, IPv6Address) else "127.0.0.1"
    return f"[{address}]" if isinstance(address, IPv6Address) else str(address)
