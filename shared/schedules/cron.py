"""Cron expressions: minute, hour, day of month, month, day of week.

The dialect is what the widespread libraries agree on, and behaves as they do (`upshot conformance schedules`). A time is
**fixed** where neither the minute nor the hour begins with `*`: then a time in the gap of a clock change runs right after
it, and a repeated one once; all others count real hours. Where both day fields are given, either suffices.
Next: `cron_field.py`, what one field may hold.
"""

import re
from collections.abc import Sequence

from shared.domain.errors import Flaw, InvalidInput
from shared.schedules.bits import members
from shared.schedules.clock_changes import Reading
from shared.schedules.cron_field import (
    DAY_OF_MONTH,
    DAY_OF_WEEK,
    HOUR,
    MINUTE,
    MONTH,
    SECOND,
    Field,
    parse_field,
)
from shared.schedules.days import DayPattern
from shared.schedules.wall_pattern import ON_THE_MINUTE, WallPattern, minutes_of_the_day

CRON_CHARACTERS_MAX = 500  # every minute of an hour listed one by one takes 169
_FIELDS = (MINUTE, HOUR, DAY_OF_MONTH, MONTH, DAY_OF_WEEK)
_BLANK = re.compile(r"[ \t]+")
_NICKNAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_TITLE = "not a cron expression"


def parse_cron(text: str, *, seconds: bool = False) -> tuple[WallPattern, Reading]:
    """What the expression plans, and how it is read on days of clock changes. Raises `InvalidInput`, pointer `#`.

    `seconds`: six fields are taken as well; the first then counts seconds, as in the dialects that have them.
    """
    parts = [each for each in _BLANK.split(text) if each]
    syntaxes = (SECOND, *_FIELDS) if seconds and len(parts) > len(_FIELDS) else _FIELDS
    if len(text) > CRON_CHARACTERS_MAX or len(parts) != len(syntaxes):
        raise InvalidInput(_TITLE, [_flaw(_misshapen(text, parts))])
    fields: list[Field] = []
    flaws: list[Flaw] = []
    for part, syntax in zip(parts, syntaxes, strict=True):
        try:
            fields.append(parse_field(part, syntax))
        except ValueError as error:
            flaws.append(_flaw(f"{syntax.name}: {error}"))
    if flaws:
        raise InvalidInput(_TITLE, flaws)
    *leading, minute, hour, day, month, weekday = fields
    _refuse_two_meanings(day, weekday)
    pattern = WallPattern(
        days=DayPattern(
            months=month.values,
            days=0 if day.any else day.values,
            last_day=day.last,
            weekdays=0 if weekday.any else weekday.values,
            nth_weekdays=weekday.nth,
        ),
        minutes=minutes_of_the_day(members(hour.values), members(minute.values)),
        seconds=leading[0].values if leading else ON_THE_MINUTE,
    )
    fixed = not (leading or minute.starts_with_star or hour.starts_with_star)
    return pattern, Reading.FIXED if fixed else Reading.EACH_HOUR


def _refuse_two_meanings(day: Field, weekday: Field) -> None:
    """`*/2` in one day field beside a restriction of the other: some dialects ask for either, some for both."""
    for field, other, name in ((day, weekday, DAY_OF_MONTH.name), (weekday, day, DAY_OF_WEEK.name)):
        if field.starts_with_star and not field.any and not other.any:
            listed = ",".join(map(str, members(field.values)))
            detail = (
                f"{name}: {field.text!r} beside {other.text!r} means either of them in some dialects and both in others; "
                f"write {listed} for either, or * here and the rest in the workflow's `if`"
            )
            raise InvalidInput(_TITLE, [_flaw(detail)])


def _misshapen(text: str, parts: Sequence[str]) -> str:
    if len(text) > CRON_CHARACTERS_MAX:
        return f"an expression has at most {CRON_CHARACTERS_MAX} characters, this one has {len(text)}"
    name = parts[0].lower() if len(parts) == 1 else ""
    if name in _NICKNAMES:
        return f"nicknames are not taken; write {_NICKNAMES[name]!r}"
    if name == "@reboot":
        return "there is no reboot here; name a time, or trigger on an event"
    hint = "; for a distance in seconds write `interval: {seconds: n}`" if len(parts) == len(_FIELDS) + 1 else ""
    return (
        f"five fields are needed, these are {len(parts)}: minute, hour, day of month, month, day of week, "
        f'such as "0 8 * * MON-FRI"{hint}'
    )


def _flaw(detail: str) -> Flaw:
    return Flaw(pointer="#", detail=detail)
