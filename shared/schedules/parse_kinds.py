"""The five ways to say when: `cron`, `interval`, `daily`, `weekly`, `monthly`, each a function from its settings.

Next: `cron.py` for cron expressions; `recurrence.py`, what comes out.
"""

import difflib
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from shared.domain.errors import Flaw, InvalidInput
from shared.schedules.bits import bits_of
from shared.schedules.clock_changes import Reading
from shared.schedules.cron import parse_cron
from shared.schedules.days import DayPattern
from shared.schedules.recurrence import ByTheClock, Recurrence, Steady
from shared.schedules.wall_pattern import WallPattern

INTERVAL_SECONDS_MIN = 10  # a firing is an event, a match and a run in the log: more often is a stream, not a schedule
INTERVAL_SECONDS_MAX = 366 * 86_400
TIMES_MAX = 48  # every half hour; beyond that a cron expression says it better

_SECONDS = {"seconds": 1, "minutes": 60, "hours": 3_600, "days": 86_400}
_WEEKDAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
_LAST = "last"


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What a kind takes from its neighbours. `zone` is None where it could not be read."""

    zone: ZoneInfo | None
    origin: datetime


@dataclass(slots=True)
class Trouble:
    """The flaws found so far, and the checks that more than one place needs."""

    flaws: list[Flaw] = field(default_factory=list)

    def add(self, pointer: str, detail: str) -> None:
        self.flaws.append(Flaw(pointer=pointer, detail=detail))

    def refuse_unknown(self, pointer: str, value: Mapping[object, object], known: Collection[str]) -> None:
        for name in value:
            if name not in known:
                close = difflib.get_close_matches(str(name), known, n=1)
                hint = f"did you mean {close[0]!r}?" if close else f"known are: {', '.join(known)}"
                place = str(name).replace("~", "~0").replace("/", "~1")
                self.add(f"{pointer}/{place}", f"there is no field {name!r} here; {hint}")

    def whole_number(self, pointer: str, value: object, low: int, high: int) -> int | None:
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        self.add(pointer, f"{value!r}: a whole number from {low} to {high} is needed")
        return None

    def mapping(self, pointer: str, value: object, needed: Sequence[str], example: str) -> Mapping[object, object]:
        """`value`, where it is an object of just these fields; else an empty one, and a flaw."""
        if not isinstance(value, Mapping):
            self.add(pointer, f"{value!r}: write {example}")
            return {}
        self.refuse_unknown(pointer, value, needed)
        for name in needed:
            if name not in value:
                self.add(f"{pointer}/{name}", f"this field is needed: {example}")
        return value


def _cron(value: object, given: Given, trouble: Trouble) -> Recurrence | None:
    if not isinstance(value, str):
        trouble.add("#/cron", f'{value!r}: write a cron expression as a text, such as "0 8 * * MON-FRI"')
        return None
    try:
        pattern, reading = parse_cron(value)
    except InvalidInput as error:
        trouble.flaws += [Flaw(pointer="#/cron", detail=each.detail) for each in error.flaws]
        return None
    return None if given.zone is None else ByTheClock(pattern=pattern, zone=given.zone, reading=reading)


def _interval(value: object, given: Given, trouble: Trouble) -> Recurrence | None:
    example = "one of seconds, minutes, hours, days with a number, such as {minutes: 15}"
    if not isinstance(value, Mapping) or len(value) != 1:
        trouble.add("#/interval", f"write {example}")
        return None
    trouble.refuse_unknown("#/interval", value, tuple(_SECONDS))
    for unit, number in value.items():
        if unit not in _SECONDS:
            continue
        size = _SECONDS[unit]
        low, high = -(-INTERVAL_SECONDS_MIN // size), INTERVAL_SECONDS_MAX // size
        count = trouble.whole_number(f"#/interval/{unit}", number, low, high)
        if count is not None:
            return Steady(every=timedelta(seconds=count * size), origin=given.origin)
    return None


def _daily(value: object, given: Given, trouble: Trouble) -> Recurrence | None:
    said = trouble.mapping("#/daily", value, ("at",), '{at: "08:30"}')
    return _calendar(DayPattern(), "#/daily", said, given, trouble)


def _weekly(value: object, given: Given, trouble: Trouble) -> Recurrence | None:
    said = trouble.mapping("#/weekly", value, ("on", "at"), '{on: [mon, thu], at: "08:30"}')
    found = set()
    for pointer, day in _each("#/weekly/on", said.get("on"), 7, trouble) if "on" in said else ():
        weekday = _weekday(day)
        if weekday is None:
            trouble.add(pointer, f"{day!r} is no day of the week; write mon, tue, wed, thu, fri, sat or sun")
        else:
            found.add(weekday)
    return _calendar(DayPattern(weekdays=bits_of(found)), "#/weekly", said, given, trouble)


def _monthly(value: object, given: Given, trouble: Trouble) -> Recurrence | None:
    said = trouble.mapping("#/monthly", value, ("on", "at"), '{on: [1, 15, last], at: "08:30"}')
    found, last = set(), False
    for pointer, day in _each("#/monthly/on", said.get("on"), 32, trouble) if "on" in said else ():
        if day == _LAST:
            last = True
        elif isinstance(day, int) and not isinstance(day, bool) and 1 <= day <= 31:
            found.add(day)
        else:
            trouble.add(pointer, f"{day!r} is no day of the month; write a number from 1 to 31, or last")
    return _calendar(DayPattern(days=bits_of(found), last_day=last), "#/monthly", said, given, trouble)


KINDS: Mapping[str, Callable[[object, Given, Trouble], Recurrence | None]] = {
    "cron": _cron,
    "interval": _interval,
    "daily": _daily,
    "weekly": _weekly,
    "monthly": _monthly,
}


def _calendar(
    days: DayPattern, pointer: str, said: Mapping[object, object], given: Given, trouble: Trouble
) -> Recurrence | None:
    minutes = set()
    for place, time in _each(f"{pointer}/at", said.get("at"), TIMES_MAX, trouble) if "at" in said else ():
        found = _TIME.fullmatch(time) if isinstance(time, str) else None
        if found is None:
            trouble.add(place, f'{time!r} is no time of the day; write hours and minutes in quotes, "00:00" to "23:59"')
        else:
            minutes.add(int(found[1]) * 60 + int(found[2]))
    if trouble.flaws or given.zone is None:
        return None
    return ByTheClock(
        pattern=WallPattern(days=days, minutes=bits_of(minutes)), zone=given.zone, reading=Reading.CALENDAR
    )


def _each(pointer: str, value: object, at_most: int, trouble: Trouble) -> list[tuple[str, object]]:
    """One value, or a list of 1 to `at_most`, each with its pointer."""
    if not isinstance(value, list | tuple):
        return [(pointer, value)]
    if not 1 <= len(value) <= at_most:
        trouble.add(pointer, f"name one, or a list of 1 to {at_most}")
        return []
    return [(f"{pointer}/{index}", each) for index, each in enumerate(value)]


def _weekday(value: object) -> int | None:
    """0 (Sunday) to 6, by its name or the first three letters of it."""
    said = value.lower() if isinstance(value, str) else ""
    return next((number for number, name in enumerate(_WEEKDAYS) if said in (name, name[:3])), None)
