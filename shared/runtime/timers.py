"""Instants that stand in the log, waited for by one task: a timer in memory is one heap entry, however far off.

Guarantee: once a timer has been cancelled, or has called, nothing here holds what its call holds.
"""

import asyncio
import contextlib
import heapq
import itertools
from collections.abc import Callable
from datetime import datetime, timedelta

from shared.domain.clock import Clock

CHECK_SECONDS_MAX = 5.0
"""The wall clock may be set while we sleep; look at it this often."""
_AT_ONCE = 100
"""So many calls before others get their turn, a millisecond or two: a tenant may have all its runs wait until 8 o'clock."""
_CANCELLED_MIN = 64
"""Fewer cancelled entries are not worth going through the heap for."""


class Timer:
    """One instant. `call` is None once it has come, or is waited for no more."""

    __slots__ = ("call",)

    def __init__(self, call: Callable[[], None]) -> None:
        self.call: Callable[[], None] | None = call


class Timers:
    """Calls back at or soon after each instant, in order of the instants."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heap: list[tuple[datetime, int, Timer]] = []
        self._cancelled = 0
        """Entries of the heap that nobody waits for any more: at most as many as others, and some."""
        self._numbers = itertools.count()
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._heap) - self._cancelled

    def at(self, due_at: datetime, call: Callable[[], None]) -> Timer:
        """Call `call` once `due_at` has come; it must be quick and must not raise."""
        timer = Timer(call)
        heapq.heappush(self._heap, (due_at, next(self._numbers), timer))
        if self._heap[0][0] == due_at:
            self._changed.set()
        return timer

    def cancel(self, timer: Timer) -> bool:
        """Whether it was still waited for."""
        if timer.call is None:
            return False
        timer.call = None
        self._cancelled += 1
        if self._cancelled > _CANCELLED_MIN and self._cancelled * 2 > len(self._heap):
            self._heap = [each for each in self._heap if each[2].call is not None]
            heapq.heapify(self._heap)
            self._cancelled = 0
        return True

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._changed.clear()
            now = self._clock.now()
            called = 0
            while self._heap and self._heap[0][0] <= now:
                self._call(heapq.heappop(self._heap)[2])
                called += 1
                if called % _AT_ONCE == 0:
                    await asyncio.sleep(0)
            wait: float | None = None
            if self._heap:
                left = (self._heap[0][0] - self._clock.now()) / timedelta(seconds=1)
                wait = min(max(left, 0.0), CHECK_SECONDS_MAX)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._changed.wait()

    def _call(self, timer: Timer) -> None:
        call, timer.call = timer.call, None
        if call is None:
            self._cancelled -= 1
        else:
            call()
