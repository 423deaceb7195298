"""The only clock and the only randomness. Everything else is handed one; tests hand in a virtual one."""

import os
import random
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial


class SystemClock:
    """The machine's clock. Asked a dozen times an event, so nothing stands between."""

    now: Callable[[], datetime] = staticmethod(partial(datetime.now, UTC))
    monotonic: Callable[[], float] = staticmethod(time.monotonic)


class SystemRandomness:
    """The operating system's randomness for secrets; a cheap generator for jitter."""

    def token_bytes(self, count: int) -> bytes:
        return os.urandom(count)

    def unit(self) -> float:
        return random.random()  # noqa: S311  jitter, not a secret


def cpu_seconds() -> float:
    """CPU time of this thread: what work costs, however often the machine does something else meanwhile."""
    return time.thread_time()


def draw_token(byte_count: int = 32) -> str:
    """A URL-safe random token of `byte_count` bytes of entropy."""
    return secrets.token_urlsafe(byte_count)
