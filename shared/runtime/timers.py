"""Instants that stand in the log, waited for by one task: a timer in memory is one heap entry, however far off."""

import asyncio
import contextlib
import heapq
import itertools
from collections.abc import Callable
from datetime import datetime, timedelta

from shared.domain.clock import Clock

CHECK_SECONDS_MAX = 5.0
"""The wall clock may be set while we sleep; look at it this often."""


class Timers:
    """Calls back at or soon after each instant, in order of the instants."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heap: list[tuple[datetime, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._heap)

    def at(self, due_at: datetime, call: Callable[[], None]) -> None:
        """Call `call` once `due_at` has come; it must be quick and must not raise."""
        heapq.heappush(self._heap, (due_at, next(self._numbers), call))
        if self._heap[0][0] == due_at:
            self._changed.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._changed.clear()
            now = self._clock.now()
            while self._heap and self._heap[0][0] <= now:
                heapq.heappop(self._heap)[2]()
            wait: float | None = None
            if self._heap:
                wait = min((self._heap[0][0] - now) / timedelta(seconds=1), CHECK_SECONDS_MAX)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._changed.wait()
