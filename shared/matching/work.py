"""What asking patterns of one event's arrays may cost, counted and not timed: the same for whoever asks.

A unit is a value looked at, or half of putting it to an operator, or a part of a step of choosing elements: a third of a
microsecond, about. Values outside arrays cost nothing here.
Next: `looked.py`, which spends most of it.
"""

from typing import Final

WORK_MAX: Final = 400_000
"""Units: some 140 ms. What is not decided by then is left out, never taken for a no."""


class TooMuchWork(Exception):
    """Whether a pattern matches cannot be told with the work that one event may cost."""


class Work:
    """What is left of it, for one event."""

    __slots__ = ("left",)

    def __init__(self, units: int = WORK_MAX) -> None:
        self.left = units

    def spend(self, units: int) -> None:
        """To be called before the work is done. Raises `TooMuchWork`, and does so ever after."""
        self.left -= units
        if self.left < 0:
            self.left = -1
            raise TooMuchWork
