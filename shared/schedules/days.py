"""On which days something is planned: by month, by day of the month, by day of the week, in one question a month.

Guarantee: pure, and bounded: a search looks at no more than 40 years, because the rarest thing that can be said (a fifth
Monday in February, with a century year without leap day between) comes again within them.
Next: `wall_pattern.py`, which adds the times of the day.
"""

from calendar import monthrange
from dataclasses import dataclass
from datetime import MAXYEAR, MINYEAR, date

from shared.schedules.bits import highest, lowest

EVERY_MONTH = 0b1_1111_1111_1110
_MONTHS_SEARCHED_MAX = 12 * 40
_EACH_WEEK = sum(1 << 7 * week for week in range(5))


@dataclass(frozen=True, slots=True, kw_only=True)
class DayPattern:
    """The days of `months` (bits 1 to 12) on which any of the other fields holds; where none is given, all of them.

    `days` are bits 1 to 31, and a day that a month does not have is no day of it. `weekdays` are bits 0 (Sunday) to 6,
    `nth_weekdays` pairs of a weekday and 1 to 5: which one of the month.
    """

    months: int = EVERY_MONTH
    days: int = 0
    last_day: bool = False
    weekdays: int = 0
    nth_weekdays: tuple[tuple[int, int], ...] = ()

    @property
    def unrestricted(self) -> bool:
        """Whether all days of the months are meant."""
        return not (self.days or self.last_day or self.weekdays or self.nth_weekdays)

    def in_month(self, year: int, month: int) -> int:
        """Bits 1 to 31."""
        if not self.months >> month & 1:
            return 0
        monday_based, length = monthrange(year, month)
        existing = (2 << length) - 2
        if self.unrestricted:
            return existing
        first_weekday = (monday_based + 1) % 7
        found = self.days
        if self.last_day:
            found |= 1 << length
        for weekday in range(7) if self.weekdays else ():
            if self.weekdays >> weekday & 1:
                found |= _EACH_WEEK << 1 + (weekday - first_weekday) % 7
        for weekday, nth in self.nth_weekdays:
            found |= 1 << 1 + (weekday - first_weekday) % 7 + 7 * (nth - 1)
        return found & existing

    def holds(self, day: date) -> bool:
        """Whether this day is one of them."""
        return bool(self.in_month(day.year, day.month) >> day.day & 1)

    def after(self, day: date) -> date | None:
        """The first one later than `day`; None: never again."""
        later = self.in_month(day.year, day.month) >> day.day + 1
        if later:
            return day.replace(day=day.day + 1 + lowest(later))
        here = day.year * 12 + day.month - 1
        for number in range(here + 1, min(here + 1 + _MONTHS_SEARCHED_MAX, (MAXYEAR + 1) * 12)):
            year, month = divmod(number, 12)
            if found := self.in_month(year, month + 1):
                return date(year, month + 1, lowest(found))
        return None

    def before(self, day: date) -> date | None:
        """The last one earlier than `day`; None: never before."""
        earlier = self.in_month(day.year, day.month) & (1 << day.day) - 1
        if earlier:
            return day.replace(day=highest(earlier))
        here = day.year * 12 + day.month - 1
        for number in range(here - 1, max(here - 1 - _MONTHS_SEARCHED_MAX, MINYEAR * 12 - 1), -1):
            year, month = divmod(number, 12)
            if found := self.in_month(year, month + 1):
                return date(year, month + 1, highest(found))
        return None
