"""Time and identity as inputs. The only real clock lives in `shared/runtime/clock.py`."""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """Where a shell reads time; cores get instants as values."""

    def now(self) -> datetime:
        """The wall clock, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never run backwards; only differences mean anything."""
        ...


class Randomness(Protocol):
    """Where a shell draws what must be unforeseeable or unique."""

    def token_bytes(self, count: int) -> bytes:
        """`count` bytes fit for secrets."""
        ...

    def unit(self) -> float:
        """A number in [0, 1): jitter."""
        ...
