"""Who may read next: tenants in turn, and none for longer than its callers wait.

Guarantee: however many reads of some tenants are under way, or hang, another tenant's begins at once while it has none
(`shared/domain/fair_queue.py`); a read whose turn does not come in time is `ReadModelBusy`, and nothing of it was begun.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared.domain.fair_queue import Bounds, FairQueue
from shared.readmodel.errors import ReadModelBusy

_ONE_LANE = ""


class Turns:
    """`places`: reads under way at once. For one event loop."""

    def __init__(self, places: int, *, patience_seconds: float) -> None:
        self._queue: FairQueue[asyncio.Future[None]] = FairQueue(
            Bounds(total=places, per_tenant=places, per_lane=places)
        )
        self._patience_seconds = patience_seconds

    @asynccontextmanager
    async def of(self, tenant_id: str) -> AsyncIterator[None]:
        """A place for one read. Raises ReadModelBusy."""
        await self._wait(tenant_id)
        try:
            yield
        finally:
            self._queue.done(tenant_id, _ONE_LANE)
            self._call_next()

    async def _wait(self, tenant_id: str) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.put(tenant_id, _ONE_LANE, turn)
        self._call_next()
        if turn.done():
            return
        try:
            async with asyncio.timeout(self._patience_seconds):
                await asyncio.shield(turn)
        except BaseException as error:
            if turn.done():  # it came while this was being called off
                self._queue.done(tenant_id, _ONE_LANE)
                self._call_next()
            else:
                turn.cancel()
            if isinstance(error, TimeoutError):
                raise ReadModelBusy(
                    f"{tenant_id} reads as much at once as it may, and none of it has ended within "
                    f"{self._patience_seconds:g} s",
                    retry_after_seconds=1.0,
                ) from None
            raise

    def _call_next(self) -> None:
        while (found := self._queue.take()) is not None:
            tenant_id, lane, turn = found
            if turn.cancelled():
                self._queue.done(tenant_id, lane)  # nobody waits for it any more
            else:
                turn.set_result(None)
