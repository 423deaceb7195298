"""One field of a cron expression: its numbers and names, ranges, steps and lists, as a set.

What is taken means the same in every widespread dialect; what they read differently is refused with its plain spelling.
Next: `cron.py`, which puts the fields together.
"""

import re
from dataclasses import dataclass
from typing import NamedTuple

from shared.schedules.bits import bits_of

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_TERM = re.compile(r"(?P<base>\*|(?P<low>\w+)(-(?P<high>\w+))?)(/(?P<step>[0-9]{1,3}))?", re.ASCII)
_NTH = re.compile(r"(?P<weekday>\w+)#(?P<nth>\w+)", re.ASCII)
_LAST = "L"
# What other dialects have, and what says the same here.
_ELSEWHERE = (
    (re.compile(r"\?"), "write * instead"),
    (re.compile(r"[0-9]*L?W"), "the nearest weekday cannot be said; list the days, or decide in the workflow's `if`"),
    (re.compile(r"L(-[0-9]+)?|\w+L"), "L stands alone, as day of month; the last Monday is one of MON#4 and MON#5"),
    (re.compile(r"H(/[0-9]+)?"), "a drawn time cannot be said; choose one"),
    (re.compile(r""), "a value is missing beside a comma"),
)
NTH_MAX = 5


class FieldSyntax(NamedTuple):
    """What one field is called and may hold."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()

    @property
    def allowed(self) -> str:
        """`0 to 59`, with the names where there are any."""
        return f"{self.low} to {self.high}" + (f" or {self.names[0]} to {self.names[-1]}" if self.names else "")


SECOND = FieldSyntax("second", 0, 59)
MINUTE = FieldSyntax("minute", 0, 59)
HOUR = FieldSyntax("hour", 0, 23)
DAY_OF_MONTH = FieldSyntax("day of month", 1, 31)
MONTH = FieldSyntax("month", 1, 12, _MONTHS)
DAY_OF_WEEK = FieldSyntax("day of week", 0, 7, _WEEKDAYS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """What a field says. `last` and `nth` only where its syntax has them."""

    text: str
    values: int
    last: bool = False
    nth: tuple[tuple[int, int], ...] = ()

    @property
    def any(self) -> bool:
        """Whether it is `*` and nothing else."""
        return self.text == "*"

    @property
    def starts_with_star(self) -> bool:
        """Whether it counts on, rather than naming fixed values: `*` or `*/n`."""
        return self.text.startswith("*")


def parse_field(text: str, syntax: FieldSyntax) -> Field:
    """The field that `text` describes. Raises ValueError with what is wrong and how to mend it."""
    values, last, nth = 0, False, []
    for term in text.split(","):
        if syntax is DAY_OF_MONTH and term.upper() == _LAST:
            last = True
        elif syntax is DAY_OF_WEEK and (found := _NTH.fullmatch(term)):
            nth.append((_value(found["weekday"], syntax) % 7, _which(found["nth"])))
        else:
            values |= _term(term, syntax)
    if nth and values:
        raise ValueError(
            f"{text!r} mixes days of every week with a numbered one; use the one or the other, or two triggers"
        )
    return Field(text=text, values=values, last=last, nth=tuple(nth))


def _term(term: str, syntax: FieldSyntax) -> int:
    found = _TERM.fullmatch(term)
    if found is None:
        raise ValueError(_unreadable(term, syntax))
    step = 1 if found["step"] is None else int(found["step"])
    if found["base"] == "*":
        low, high = syntax.low, _last_of(syntax)
    elif found["high"] is None:
        low = high = _value(found["low"], syntax)
        if found["step"] is not None:
            raise ValueError(f"{term!r}: say where the range ends: {low}-{_last_of(syntax)}/{step}")
    else:
        low, high = _value(found["low"], syntax), _value(found["high"], syntax)
        if high < low:
            raise ValueError(_backwards(term, low, high, syntax))
    if not 1 <= step <= syntax.high - syntax.low + 1:
        raise ValueError(f"{term!r}: a step is a number from 1 to {syntax.high - syntax.low + 1}")
    numbers = range(low, high + 1, step)
    return bits_of(number % 7 for number in numbers) if syntax is DAY_OF_WEEK else bits_of(numbers)


def _value(text: str, syntax: FieldSyntax) -> int:
    if text.upper() in syntax.names:
        return syntax.names.index(text.upper()) + syntax.low
    if text.isdecimal() and len(text) <= 2 and syntax.low <= int(text) <= syntax.high:
        return int(text)
    raise ValueError(_unreadable(text, syntax))


def _which(text: str) -> int:
    if text.isdecimal() and 1 <= int(text) <= NTH_MAX:
        return int(text)
    raise ValueError(f"'#{text}': say which one of the month, #1 to #{NTH_MAX}")


def _unreadable(term: str, syntax: FieldSyntax) -> str:
    hint = next((said for shape, said in _ELSEWHERE if shape.fullmatch(term.upper())), None)
    taken = f"take {syntax.allowed}, ranges (1-5), steps (*/5, 1-9/2), lists (1,3), or *"
    return f"{term!r} is none; {hint or taken}"


def _backwards(term: str, low: int, high: int, syntax: FieldSyntax) -> str:
    if syntax is DAY_OF_WEEK and high == 0:
        return f"{term!r} ends before it begins, since a week begins with Sunday; write {term.rsplit('-', 1)[0]}-7"
    last = _last_of(syntax)
    two = f"{low}-{last},{syntax.low}-{high}" if low < last else f"{low},{syntax.low}-{high}"
    return f"{term!r} ends before it begins; write two ranges: {two}"


def _last_of(syntax: FieldSyntax) -> int:
    """The last number that stands for something of its own: 7 is Sunday, as is 0."""
    return 6 if syntax is DAY_OF_WEEK else syntax.high
