"""One connection of a pool, kept for work that never ends: borrowing one and giving it back costs more than a short statement.

Guarantee: one piece of work at a time; a connection that failed is given back, and the next piece begins with another.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias, TypeVar

import asyncpg
import asyncpg.pool

from shared.readmodel.connect import Pool, Pooled
from shared.readmodel.errors import AWAY

_Found = TypeVar("_Found")


Borrowed: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"


class Line:
    """Connects when it is first used. What its work raises comes through as it is."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._turn = asyncio.Lock()
        self._connection: Borrowed | None = None

    async def run(self, work: Callable[[Pooled], Awaitable[_Found]]) -> _Found:
        """What `work` gives; it leaves no transaction open. Raises also what connecting raises (`errors.AWAY`)."""
        async with self._turn:
            if self._connection is None or _is_lost(self._connection):
                await self._give_back()
                self._connection = await self._pool.acquire()
            try:
                return await work(self._connection)
            except (*AWAY, asyncio.CancelledError):
                await self._give_back()
                raise

    async def close(self) -> None:
        """Give the connection back once what is under way has ended."""
        async with self._turn:
            await self._give_back()

    async def _give_back(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                await self._pool.release(connection)
            except (*AWAY, asyncpg.PostgresError):
                pass  # the pool has let go of it all the same


def _is_lost(connection: Borrowed) -> bool:
    """Whether it broke while it was idle: then the pool has taken it back by itself, and it cannot even be asked."""
    try:
        return connection.is_closed()
    except asyncpg.InterfaceError:
        return True
