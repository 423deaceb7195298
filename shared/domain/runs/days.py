"""Where days and months end: a day at midnight of a workflow's zone, a month at midnight UTC of its last day."""

from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

_QUARTER_SECONDS = 900

QUARTERS_KEPT = 4 * 26
"""No day is longer than 25 hours (one that ends daylight saving time), and one quarter is only begun."""


def local_day(now: datetime, zone: str) -> str:
    """The calendar day of an instant in a zone, as `2026-03-01`."""
    return now.date().isoformat() if zone == "UTC" else now.astimezone(_zone(zone)).date().isoformat()


def day_bounds(now: datetime, zone: str) -> tuple[datetime, datetime]:
    """The first instant of the day that it is in a zone, and the first of the next; in UTC.

    Where a clock skips its midnight, the day begins when the clock goes on.
    """
    tz = _zone(zone)
    today = now.astimezone(tz).date()
    first, following = (
        datetime.combine(each, time(), tz).astimezone(UTC) for each in (today, today + timedelta(days=1))
    )
    return first, following


def quarter_of(instant: datetime) -> int:
    """Quarters of an hour since the epoch. Every zone's offset is a multiple of one."""
    return int(instant.timestamp()) // _QUARTER_SECONDS


def month_of(now: datetime) -> str:
    """The calendar month of an instant, UTC, as `2026-03`. Instants in folds are in UTC."""
    return f"{now.year:04}-{now.month:02}"


def next_month(now: datetime) -> datetime:
    """The first instant of the month after."""
    return datetime(now.year + now.month // 12, now.month % 12 + 1, 1, tzinfo=UTC)


@lru_cache(maxsize=1024)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)
