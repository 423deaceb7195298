"""How something comes again: at a steady distance of time, or by the clock on the wall.

Next: `schedule.py`, which adds when it begins and ends and what happens to firings that overlap or were missed.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from shared.schedules.clock_changes import Reading, next_instant, previous_instant
from shared.schedules.wall_pattern import WallPattern

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Recurrence(Protocol):
    """An endless, strictly increasing sequence of planned instants, aware and in UTC."""

    def next(self, after: datetime) -> datetime | None:
        """The first one later than `after`; None: never again."""
        ...

    def previous(self, until: datetime) -> datetime | None:
        """The last one at or before `until`; None: never before."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Steady:
    """Every `every`, counted in absolute time from `origin` in both directions: clock changes do not move it."""

    every: timedelta
    origin: datetime = EPOCH

    def next(self, after: datetime) -> datetime:
        return self.origin + ((after - self.origin) // self.every + 1) * self.every

    def previous(self, until: datetime) -> datetime:
        return self.origin + (until - self.origin) // self.every * self.every


@dataclass(frozen=True, slots=True, kw_only=True)
class ByTheClock:
    """Whenever clocks in `zone` show what `pattern` says, read on days of clock changes as `reading` says."""

    pattern: WallPattern
    zone: ZoneInfo
    reading: Reading

    def next(self, after: datetime) -> datetime | None:
        return next_instant(self.pattern, self.zone, self.reading, after)

    def previous(self, until: datetime) -> datetime | None:
        return previous_instant(self.pattern, self.zone, self.reading, until)
