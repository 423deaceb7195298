"""Waiting in tests: ask again until it is so, or a deadline has passed. Never a bare sleep.

The one home of polling for end-to-end tests: what cannot signal (another process, a row behind HTTP) is asked.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from shared.runtime.clock import SystemClock

Found = TypeVar("Found")

_CLOCK = SystemClock()
INTERVAL_SECONDS = 0.05
PATIENCE_SECONDS = 45.0
"""Of a test that passes nothing waits so long: it is for machines on which other tests keep both cores busy."""


async def eventually(
    ask: Callable[[], Awaitable[Found | None]],
    what: str,
    *,
    timeout_seconds: float = PATIENCE_SECONDS,
    interval_seconds: float = INTERVAL_SECONDS,
    explain: Callable[[], str] = str,
) -> Found:
    """The first answer that is truthy. When the deadline passes, AssertionError says `what`, the last answer, and what
    `explain` finds."""
    deadline = _CLOCK.monotonic() + timeout_seconds
    while True:
        answer = await ask()
        if answer:
            return answer
        if _CLOCK.monotonic() >= deadline:
            raise AssertionError(f"not within {timeout_seconds:g} s: {what}; last answer: {answer!r} {explain()}")
        await asyncio.sleep(interval_seconds)


async def holds_for(ask: Callable[[], Awaitable[bool]], what: str, *, seconds: float) -> None:
    """AssertionError as soon as it does not hold any more: for what must not happen within a bounded time."""
    deadline = _CLOCK.monotonic() + seconds
    while _CLOCK.monotonic() < deadline:
        if not await ask():
            raise AssertionError(f"it did not hold for {seconds:g} s: {what}")
        await asyncio.sleep(INTERVAL_SECONDS)
