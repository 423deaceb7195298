"""What a clock on a wall shows when something is planned: days and minutes of the day, in no zone yet.

Guarantee: pure; `next` and `previous` are each other's inverse over the same set of wall times.
Next: `clock_changes.py`, which puts the wall into a zone where clocks are changed.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, datetime, time

from shared.schedules.bits import bits_of, highest, lowest
from shared.schedules.days import DayPattern

ON_THE_MINUTE = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class WallPattern:
    """Each of `minutes` (bits 0 to 1439, none empty) on each of `days`, in each of `seconds` (bits 0 to 59)."""

    days: DayPattern
    minutes: int
    seconds: int = ON_THE_MINUTE

    def next(self, after: datetime) -> datetime | None:
        """The first wall time later than `after` (naive, as is what comes back); None: never again."""
        if self.days.holds(after):
            minute = after.hour * 60 + after.minute
            if self.minutes >> minute & 1 and (later := self.seconds >> after.second + 1):
                return after.replace(second=after.second + 1 + lowest(later), microsecond=0)
            if later := self.minutes >> minute + 1:
                return _at(after, minute + 1 + lowest(later), lowest(self.seconds))
        day = self.days.after(after.date())
        return None if day is None else _at(day, lowest(self.minutes), lowest(self.seconds))

    def previous(self, until: datetime) -> datetime | None:
        """The last wall time at or before `until`; None: never before."""
        if self.days.holds(until):
            minute = until.hour * 60 + until.minute
            if self.minutes >> minute & 1 and (earlier := self.seconds & (2 << until.second) - 1):
                return until.replace(second=highest(earlier), microsecond=0)
            if earlier := self.minutes & (1 << minute) - 1:
                return _at(until, highest(earlier), highest(self.seconds))
        day = self.days.before(until.date())
        return None if day is None else _at(day, highest(self.minutes), highest(self.seconds))


def minutes_of_the_day(hours: Iterable[int], minutes: Collection[int]) -> int:
    """The bits of each of `minutes` in each of `hours`."""
    return bits_of(hour * 60 + minute for hour in hours for minute in minutes)


def _at(day: date, minute: int, second: int) -> datetime:
    return datetime.combine(date(day.year, day.month, day.day), time(minute // 60, minute % 60, second))
