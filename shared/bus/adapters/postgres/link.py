"""One connection to the log's server that mends itself, and what its errors mean to the port.

A link connects when it is first used and again after it broke, with a pause that grows to `reconnect_seconds_max`;
while it pauses, callers fail at once instead of queueing behind a server that is away.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Concatenate, ParamSpec, TypeAlias, TypeVar

import asyncpg

from shared.bus.adapters.postgres.settings import BusSettings
from shared.domain.clock import Clock
from shared.domain.errors import PermanentError, TransientError

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Connect = Callable[[], Awaitable[Connection]]
P = ParamSpec("P")
T = TypeVar("T")

_log = logging.getLogger(__name__)

_PAUSE_SECONDS_FIRST = 0.05
_ANSWER_GRACE_SECONDS = 1.0  # beyond the server's own statement timeout nobody is listening any more

# The connection is of no use after these. The server's own "shutting down" comes as an ordinary error first.
BROKEN = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.OperatorInterventionError,
    OSError,  # TimeoutError among them
)


class LinkBroken(TransientError):
    """The connection broke while a statement was under way: whether it took effect is unknown."""


class Link:
    """Runs one operation at a time on a connection of its own."""

    def __init__(self, connect: Connect, settings: BusSettings, clock: Clock) -> None:
        self._connect = connect
        self._settings = settings
        self._clock = clock
        self._lock = asyncio.Lock()
        self._connection: Connection | None = None
        self._pause_seconds = 0.0
        self._pause_until = float("-inf")
        self._closed = False

    async def run(
        self, operation: Callable[Concatenate[Connection, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """What `operation` gives on this connection.

        `LinkBroken`: the connection broke during the operation. Other `TransientError`: it took no effect.
        `PermanentError`: the server refuses the statement itself (log not installed, missing grant).
        """
        async with self._lock:
            connection = await self._opened()
            try:
                async with asyncio.timeout(self._settings.statement_timeout_seconds + _ANSWER_GRACE_SECONDS):
                    return await operation(connection, *args, **kwargs)
            except asyncpg.QueryCanceledError as error:
                raise TransientError(f"the log's server gave up on a statement: {error}") from error
            except BROKEN as error:
                self._drop()
                raise LinkBroken(f"the connection to the log broke: {_described(error)}") from error
            except asyncpg.PostgresError as error:
                if connection.is_closed():
                    self._drop()
                    raise LinkBroken(f"the connection to the log broke: {_described(error)}") from error
                raise _refusal(error) from error

    async def close(self) -> None:
        """No further operation; the connection is given back."""
        self._closed = True
        async with self._lock:
            if self._connection is not None and not self._connection.is_closed():
                try:
                    await self._connection.close(timeout=1.0)
                except BROKEN:
                    self._drop()
            self._connection = None

    async def _opened(self) -> Connection:
        if self._closed:
            raise TransientError("the bus is closed")
        if self._connection is not None and not self._connection.is_closed():
            return self._connection
        wait_seconds = self._pause_until - self._clock.monotonic()
        if wait_seconds > 0:
            raise TransientError("the log's server is away", retry_after_seconds=wait_seconds)
        try:
            async with asyncio.timeout(self._settings.statement_timeout_seconds):
                connection = await self._connect()
                await connection.execute(_session_limits(self._settings))
        except (*BROKEN, asyncpg.PostgresError) as error:
            if not self._pause_seconds:
                _log.warning("the log's server is away: %s", _described(error))
            self._pause_seconds = min(
                max(_PAUSE_SECONDS_FIRST, self._pause_seconds * 2), self._settings.reconnect_seconds_max
            )
            self._pause_until = self._clock.monotonic() + self._pause_seconds
            raise TransientError(
                f"the log's server is away: {_described(error)}", retry_after_seconds=self._pause_seconds
            ) from error
        if self._pause_seconds:
            _log.info("the log's server is back")
        self._pause_seconds = 0.0
        self._connection = connection
        return connection

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None


def _session_limits(settings: BusSettings) -> str:
    """Bitmap and sequential scans are off because a log that was just filled has no statistics yet: without them the
    planner gathers and sorts whole partitions where the primary key gives the few records wanted in their order."""
    milliseconds = int(settings.statement_timeout_seconds * 1000)
    return (
        f"set statement_timeout = {milliseconds}; set idle_in_transaction_session_timeout = {milliseconds}; "
        "set default_transaction_isolation = 'read committed'; set enable_bitmapscan = off; set enable_seqscan = off"
    )


def _refusal(error: asyncpg.PostgresError) -> TransientError | PermanentError:
    state = error.sqlstate or ""
    # 42: no such object, no such right; 22, 23: values that break a rule; UL: our own functions' refusals.
    if state.startswith(("42", "22", "23", "UL")):
        return PermanentError(f"the log's server refuses ({state}): {error}")
    return TransientError(f"the log's server cannot ({state}): {error}")


def _described(error: BaseException) -> str:
    return f"{type(error).__name__} {error}".strip()
