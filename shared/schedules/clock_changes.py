"""From wall times to instants in a zone whose clocks are put forward (a gap) and back (a repeated hour).

Three readings, because people mean three things. A **fixed** cron time is a job to be done that day: in a gap it runs right
after it, in a repeated hour once. A cron with a **wildcard** counts real hours: none in a gap, each in a repeated hour. The
**calendar** kinds name a time on the clock: in a gap there is none, in a repeated hour the first is meant.

Guarantee: `previous_instant` steps back through exactly what `next_instant` steps forward through.
Next: `recurrence.py`, where each kind of schedule says which reading is its own.
"""

from datetime import UTC, datetime, timedelta
from enum import Enum
from zoneinfo import ZoneInfo

from shared.schedules.wall_pattern import WallPattern

_SECOND = timedelta(seconds=1)
_Offsets = tuple[timedelta, timedelta]


class Reading(Enum):
    """What a wall time means on the days when clocks are changed."""

    FIXED = "right after a gap, once in a repeated hour"
    EACH_HOUR = "not in a gap, each time in a repeated hour"
    CALENDAR = "not in a gap, once in a repeated hour"


def next_instant(pattern: WallPattern, zone: ZoneInfo, reading: Reading, after: datetime) -> datetime | None:
    """The first planned instant (aware, UTC) later than `after`; None: never again."""
    local = after.astimezone(zone)
    wall = local.replace(tzinfo=None, fold=0)
    again = _second_pass(pattern, zone, wall) if reading is Reading.EACH_HOUR and not local.fold else None
    found = pattern.next(wall)
    while found is not None:
        offsets = before, behind = _offsets(found, zone)
        if before < behind:
            change = _clock_change(found, offsets, zone)
            if reading is Reading.FIXED:
                return change
            found = pattern.next(_wall(change, behind) - _SECOND)
            continue
        first = _instant(found, before)
        if first > after:
            return first if again is None else min(first, again)
        if reading is Reading.EACH_HOUR and (second := _instant(found, behind)) > after:
            return second
        found = pattern.next(found)
    return again


def previous_instant(pattern: WallPattern, zone: ZoneInfo, reading: Reading, until: datetime) -> datetime | None:
    """The last planned instant (aware, UTC) at or before `until`; None: never before."""
    local = until.astimezone(zone)
    start = local.replace(tzinfo=None, fold=0)
    if local.fold:
        offsets = before, behind = _offsets(start, zone)
        change = _clock_change(start, offsets, zone)
        repeated = pattern.previous(start) if reading is Reading.EACH_HOUR else None
        if repeated is not None and repeated >= _wall(change, behind):
            return _instant(repeated, behind)
        start = _wall(change, before) - _SECOND
    found = pattern.previous(start)
    while found is not None:
        offsets = before, behind = _offsets(found, zone)
        if before < behind:
            change = _clock_change(found, offsets, zone)
            if reading is Reading.FIXED and change <= until:
                return change
            found = pattern.previous(_wall(change, before) - _SECOND)
            continue
        if reading is Reading.EACH_HOUR and (second := _instant(found, behind)) <= until:
            return second
        if (first := _instant(found, before)) <= until:
            return first
        found = pattern.previous(found - _SECOND)
    return None


def _second_pass(pattern: WallPattern, zone: ZoneInfo, wall: datetime) -> datetime | None:
    """The first planned instant of the second pass, where `wall` is in the first pass of a repeated hour."""
    offsets = before, behind = _offsets(wall, zone)
    if before <= behind:
        return None
    change = _clock_change(wall, offsets, zone)
    found = pattern.next(_wall(change, behind) - _SECOND)
    return _instant(found, behind) if found is not None and found < _wall(change, before) else None


def _offsets(wall: datetime, zone: ZoneInfo) -> _Offsets:
    """The offset before the nearest clock change and the one behind it: equal where nothing is changed, the first
    smaller where `wall` is in a gap, the second smaller where it is repeated."""
    here = wall.replace(tzinfo=zone)
    before, behind = here.utcoffset(), here.replace(fold=1).utcoffset()
    assert before is not None and behind is not None  # a ZoneInfo always knows
    return before, behind


def _clock_change(wall: datetime, offsets: _Offsets, zone: ZoneInfo) -> datetime:
    """The instant at which the clocks around `wall`, in a gap or repeated, are changed: to the second, by bisection."""
    before, behind = offsets
    wall = wall.replace(microsecond=0)
    early, late = sorted((_instant(wall, before), _instant(wall, behind)))
    while late - early > _SECOND:
        middle = early + timedelta(seconds=(late - early) // _SECOND // 2)
        if middle.astimezone(zone).utcoffset() == behind:
            late = middle
        else:
            early = middle
    return late


def _instant(wall: datetime, offset: timedelta) -> datetime:
    return (wall - offset).replace(tzinfo=UTC)


def _wall(instant: datetime, offset: timedelta) -> datetime:
    return (instant + offset).replace(tzinfo=None)
