"""What filters take and make: text, numbers and lists, coerced the same way everywhere.

Next: the filters beside this file; `__init__.py` names them all.
"""

import json
import math
from decimal import Decimal
from typing import Final

from shared.expressions.limits import LIMITS, Meter, RenderProblem

_NUMERAL_CHARACTERS_MAX: Final = 40


def as_text(meter: Meter, value: object) -> str:
    """Text as it stands, true/false, numbers in JSON's form, lists and objects as compact JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(bounded(value))
    if isinstance(value, float):
        return repr(finite(value))
    if isinstance(value, list | dict | tuple):
        meter.weigh(value)
        return dumps(value)
    raise RenderProblem(f"{kind(value)} can't be written as text")


def dumps(value: object) -> str:
    """Compact JSON, with letters beyond ASCII as they are."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise RenderProblem(f"a value has no JSON: {error}") from error


def as_number(value: object, filter_name: str) -> int | float:
    """A number, or a numeral in text."""
    if isinstance(value, str) and len(value) <= _NUMERAL_CHARACTERS_MAX:
        try:
            return bounded(int(value))
        except ValueError:
            pass
        try:
            return finite(float(value))
        except ValueError:
            pass
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RenderProblem(f"{filter_name} takes numbers, not {kind(value)}")
    return bounded(value) if isinstance(value, int) else finite(value)


def as_integer(value: object, filter_name: str) -> int:
    number = as_number(value, filter_name)
    if isinstance(number, float) and not number.is_integer():
        raise RenderProblem(f"{filter_name} takes a whole number, not {number!r}")
    return int(number)


def as_decimal(number: float) -> Decimal:
    """Exact for integers; for doubles, the digits that they are written with."""
    return Decimal(number) if isinstance(number, int) else Decimal(repr(number))


def from_decimal(number: Decimal, *, whole: bool) -> int | float:
    return bounded(int(number)) if whole else finite(float(number))


def as_list(meter: Meter, value: object, filter_name: str) -> list[object]:
    if not isinstance(value, list):
        raise RenderProblem(f"{filter_name} takes a list, not {kind(value)}")
    meter.items(len(value))
    return value


def bounded(number: int) -> int:
    if abs(number) > LIMITS.integer_magnitude_max:
        raise RenderProblem("an integer of more than 30 digits")
    return number


def finite(number: float) -> float:
    if not math.isfinite(number):
        raise RenderProblem("a number that is not finite")
    return number


def kind(value: object) -> str:
    """What a value is called in errors."""
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list() | tuple():
            return "a list"
        case dict():
            return "an object"
        case _:
            return "such a value"
