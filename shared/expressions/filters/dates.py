"""The `date` filter: an instant in a format, in a zone. It never knows what time it is now."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from shared.expressions.filters.values import as_text
from shared.expressions.limits import Meter, RenderProblem

_FORMAT_CHARACTERS_MAX: Final = 200
_DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_DIRECTIVES: Final[dict[str, Callable[[datetime], str]]] = {
    "Y": lambda t: f"{t.year:04}",
    "y": lambda t: f"{t.year % 100:02}",
    "m": lambda t: f"{t.month:02}",
    "B": lambda t: _MONTHS[t.month - 1],
    "b": lambda t: _MONTHS[t.month - 1][:3],
    "d": lambda t: f"{t.day:02}",
    "e": lambda t: f"{t.day:2}",
    "j": lambda t: f"{t.timetuple().tm_yday:03}",
    "A": lambda t: _DAYS[t.weekday()],
    "a": lambda t: _DAYS[t.weekday()][:3],
    "u": lambda t: str(t.isoweekday()),
    "w": lambda t: str(t.isoweekday() % 7),
    "G": lambda t: f"{t.isocalendar().year:04}",
    "V": lambda t: f"{t.isocalendar().week:02}",
    "H": lambda t: f"{t.hour:02}",
    "I": lambda t: f"{t.hour % 12 or 12:02}",
    "M": lambda t: f"{t.minute:02}",
    "S": lambda t: f"{t.second:02}",
    "L": lambda t: f"{t.microsecond // 1000:03}",
    "p": lambda t: "AM" if t.hour < 12 else "PM",
    "P": lambda t: "am" if t.hour < 12 else "pm",
    "z": lambda t: f"{t:%z}",
    "Z": lambda t: t.tzname() or "",
    "s": lambda t: str(int(t.timestamp())),
    "F": lambda t: f"{t.year:04}-{t.month:02}-{t.day:02}",
    "T": lambda t: f"{t.hour:02}:{t.minute:02}:{t.second:02}",
    "R": lambda t: f"{t.hour:02}:{t.minute:02}",
    "%": lambda _: "%",
}
"""English and the same everywhere, unlike strftime, which follows the locale and takes widths of any size."""


def date(meter: Meter, value: object, form: object = "%F", zone: object = "UTC") -> str:
    """An ISO 8601 instant or Unix seconds, as `form` says, in an IANA `zone`: `| date: "%d.%m.", "Europe/Paris"`."""
    spelt = as_text(meter, form)
    if len(spelt) > _FORMAT_CHARACTERS_MAX:
        raise RenderProblem(f"date: a format has at most {_FORMAT_CHARACTERS_MAX} characters")
    try:
        instant = _instant(value).astimezone(ZoneInfo(as_text(meter, zone)))
    except (ZoneInfoNotFoundError, ValueError, OverflowError, OSError) as error:
        raise RenderProblem("date takes an ISO 8601 instant or Unix seconds, and an IANA time zone") from error
    written: list[str] = []
    rest = iter(spelt)
    for character in rest:
        if character != "%":
            written.append(character)
            continue
        letter = next(rest, "")
        bare = letter == "-"
        letter = next(rest, "") if bare else letter
        if letter not in _DIRECTIVES:
            raise RenderProblem(f"date: %{letter} is not a directive (those are {' '.join(sorted(_DIRECTIVES))})")
        part = _DIRECTIVES[letter](instant)
        written.append(part.lstrip("0 ") or "0" if bare else part)
    return "".join(written)


def _instant(value: object) -> datetime:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return datetime.fromtimestamp(value, tz=UTC)
    if not isinstance(value, str):
        raise ValueError("neither text nor a number")
    instant = datetime.fromisoformat(value)
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)
