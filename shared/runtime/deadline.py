"""A time limit on what is done for every event."""

import asyncio
from types import TracebackType


class Deadline:
    """`asyncio.timeout` at less than half its cost: TimeoutError where the body takes longer. Entered once, inside a task.

    A cancellation from elsewhere stays one, also where the time is over by then.
    """

    __slots__ = ("_cancelling", "_loop", "_over", "_seconds", "_task", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        """`loop`: the running one; to ask for it is a call of the system each time."""
        self._loop = loop
        self._seconds = seconds
        self._over = False

    def __enter__(self) -> None:
        task = asyncio.current_task(self._loop)
        if task is None:
            raise RuntimeError("a time limit needs a task that it can interrupt")
        self._task = task
        self._cancelling = task.cancelling()
        self._timer = self._loop.call_later(self._seconds, self._interrupt)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._timer.cancel()
        if self._over and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def _interrupt(self) -> None:
        self._over = True
        self._task.cancel()
