"""A schedule: which instants are planned, and what becomes of firings that overlap or were missed.

Guarantee: pure and total; what one question costs does not grow with the time that it spans.
Next: `parse.py`, which makes one from a workflow's trigger.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from shared.schedules.describe import describe
from shared.schedules.recurrence import Recurrence

Overlap = Literal["allow", "skip", "queue"]

_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Planned instants of one trigger. `starting_at` and `until` are the first and the last that may be planned."""

    recurrence: Recurrence
    overlap: Overlap = "skip"
    catch_up_max: int = 1
    starting_at: datetime | None = None
    until: datetime | None = None

    def next_after(self, instant: datetime) -> datetime | None:
        """The first planned instant later than `instant`, both aware and in UTC; None: never again."""
        _refuse_naive(instant)
        if self.starting_at is not None and instant < self.starting_at:
            instant = self.starting_at - _INSTANT
        try:
            found = self.recurrence.next(instant)
        except OverflowError:  # beyond the year 9999
            return None
        return None if found is None or (self.until is not None and found > self.until) else found

    def missed(self, since: datetime, until: datetime, at_most: int) -> list[datetime]:
        """The newest `at_most` planned instants later than `since`, up to and including `until`; the oldest first.

        The cost grows with `at_most`, not with the time between.
        """
        _refuse_naive(since)
        _refuse_naive(until)
        upper = until if self.until is None else min(until, self.until)
        found: list[datetime] = []
        try:
            while len(found) < at_most:
                earlier = self.recurrence.previous(upper)
                if earlier is None or earlier <= since or (self.starting_at is not None and earlier < self.starting_at):
                    break
                found.append(earlier)
                upper = earlier - _INSTANT
        except OverflowError:  # before the year 1
            pass
        return found[::-1]

    def describe(self) -> str:
        """In English, for people: `at 08:30 on Monday to Friday, Europe/Paris time`."""
        bounds = ""
        if self.starting_at is not None:
            bounds += f", from {self.starting_at:%Y-%m-%d %H:%M:%S} UTC"
        if self.until is not None:
            bounds += f", until {self.until:%Y-%m-%d %H:%M:%S} UTC"
        return describe(self.recurrence) + bounds


def _refuse_naive(instant: datetime) -> None:
    if instant.tzinfo is None:
        raise ValueError("a time without zone is not an instant")
