"""What a recurrence plans, in English, for people who read a list of schedules.

Next: `schedule.py`, which adds its bounds.
"""

from collections.abc import Sequence
from datetime import timedelta

from shared.schedules.bits import members
from shared.schedules.days import EVERY_MONTH, DayPattern
from shared.schedules.recurrence import ByTheClock, Recurrence, Steady
from shared.schedules.wall_pattern import ON_THE_MINUTE, WallPattern

_WEEKDAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_ORDINALS = ("first", "second", "third", "fourth", "fifth")
_UNITS = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))
_TIMES_SHOWN_MAX = 6  # beyond that a list of times says less than hours and minutes apart


def describe(recurrence: Recurrence) -> str:
    """`every 15 minutes`, `at 08:30 on Monday to Friday, Europe/Paris time`."""
    match recurrence:
        case Steady():
            return _distance(recurrence.every)
        case ByTheClock():
            times, days = _times(recurrence.pattern), recurrence.pattern.days
            all_days = "every day" if times.startswith("at") else ""
            parts = (times, all_days if days.unrestricted else _days(days), _months(days))
            zone = recurrence.zone.key or "local"
            return f"{' '.join(filter(None, parts))}, {zone} time".replace("UTC time", "UTC")
    raise TypeError(f"nobody knows how to describe {recurrence!r}")


def _distance(every: timedelta) -> str:
    seconds = every // timedelta(seconds=1)
    name, size = next(each for each in _UNITS if seconds % each[1] == 0)
    return f"every {name}" if seconds == size else f"every {seconds // size} {name}s"


def _times(pattern: WallPattern) -> str:
    planned = members(pattern.minutes)
    hours = sorted({each // 60 for each in planned})
    minutes = sorted({each % 60 for each in planned})
    prefix = "" if pattern.seconds == ON_THE_MINUTE else f"{_counted('second', members(pattern.seconds), 60)} of "
    if len(hours) * len(minutes) != len(planned) or len(planned) <= _TIMES_SHOWN_MAX:
        return f"{prefix}at {_listed([f'{each // 60:02}:{each % 60:02}' for each in planned])}"
    every = _every("hour", hours, 24)
    if every is not None and len(minutes) == 1:
        return prefix + every + (f" at minute {minutes[0]}" if minutes[0] else "")
    said = prefix + _counted("minute", minutes, 60)
    if len(hours) < 24:
        return f"{said} of {_counted('hour', hours, 24)}"
    return said if _every("minute", minutes, 60) else f"{said} of every hour"


def _counted(unit: str, numbers: Sequence[int], of: int) -> str:
    """`every 15 minutes`, `hours 8 to 18`, `minutes 5, 20 and 35`."""
    named = _listed(_runs(numbers, [str(each) for each in range(of)]))
    return _every(unit, numbers, of) or f"{unit}{'s' if len(numbers) > 1 else ''} {named}"


def _every(unit: str, numbers: Sequence[int], of: int) -> str | None:
    """`every minute`, `every 15 minutes`; None where the distance is not the same all around the clock."""
    step = of // len(numbers)
    if of % len(numbers) or step == of or list(numbers) != list(range(0, of, step)):
        return None
    return f"every {unit}" if step == 1 else f"every {step} {unit}s"


def _days(days: DayPattern) -> str:
    said = []
    numbers = [*_runs(members(days.days), [str(each) for each in range(32)]), *(["the last"] if days.last_day else [])]
    if numbers:
        plain = days.last_day and not days.days
        said.append("the last day of the month" if plain else f"day {_listed(numbers)} of the month")
    if days.weekdays:
        said.append(_listed(_runs(members(days.weekdays), _WEEKDAYS)))
    said += [f"the {_ORDINALS[nth - 1]} {_WEEKDAYS[weekday]} of the month" for weekday, nth in days.nth_weekdays]
    return f"on {' or '.join(said)}"


def _months(days: DayPattern) -> str:
    if days.months == EVERY_MONTH:
        return ""
    return f"in {_listed(_runs([each - 1 for each in members(days.months)], _MONTHS))}"


def _runs(numbers: Sequence[int], names: Sequence[str]) -> list[str]:
    """Three and more in a row become `a to b`."""
    said: list[str] = []
    rest = list(numbers)
    while rest:
        length = next((n for n in range(1, len(rest)) if rest[n] != rest[0] + n), len(rest))
        run, rest = rest[:length], rest[length:]
        said += [f"{names[run[0]]} to {names[run[-1]]}"] if length > 2 else [names[each] for each in run]
    return said


def _listed(items: Sequence[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
