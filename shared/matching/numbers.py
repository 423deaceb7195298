"""Numbers as event patterns compare them: by the decimal that was written, never by what a double made of it.

A number is **comparable** where the shortest decimal of its double equals the written decimal. Comparable numbers
are ordered and equal exactly as their doubles are, so they are kept as plain `int` and `float`. All others (2^53+1,
20-digit integers, 1e309) are `LossyNumber`: they equal the same token only and are in no numeric range.
Next: `literals.py` and `numeric.py`, which compare them.
"""

import math
from dataclasses import dataclass
from decimal import Decimal

EXACT_INTEGER_MAX = 2**53
_SHORTEST_DIGITS_MAX = 17  # no shortest decimal of a double has more significant digits


@dataclass(frozen=True, slots=True)
class LossyNumber:
    """A number that no double stands for; `token` is how it was written."""

    token: str


Number = int | float | LossyNumber


def read_number(token: str) -> Number:
    """The number that a JSON token stands for; never loses a digit."""
    if len(token) < 16 and token.lstrip("-").isdecimal():
        return int(token)
    mantissa = token.lower().partition("e")[0]
    digits = mantissa.lstrip("-").replace(".", "").strip("0")
    value = float(token)
    if not digits:
        return 0
    if len(digits) > _SHORTEST_DIGITS_MAX or value == 0 or math.isinf(value) or Decimal(token) != Decimal(repr(value)):
        return LossyNumber(token)
    return int(value) if value.is_integer() and abs(value) <= EXACT_INTEGER_MAX else value


def from_python(value: int | float) -> Number:
    """The number that a value parsed elsewhere stands for; floats are taken for exact, NaN is the caller's to refuse."""
    if type(value) is int and abs(value) > EXACT_INTEGER_MAX:
        return read_number(str(value)) if value.bit_length() < 2000 else LossyNumber(hex(value))
    return value


def comparable(value: object) -> int | float | None:
    """What numeric comparison sees of an event's value: None for all that is no comparable number (true is none)."""
    if type(value) is float:
        return value
    if type(value) is int:
        if -EXACT_INTEGER_MAX <= value <= EXACT_INTEGER_MAX:
            return value
        number = from_python(value)
        return None if isinstance(number, LossyNumber) else number
    return None


def written(number: Number) -> str:
    """The token of a number, for people."""
    return number.token if isinstance(number, LossyNumber) else repr(number)
