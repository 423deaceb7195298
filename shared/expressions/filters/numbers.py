"""Filters that reckon. Decimals are reckoned in decimal: 0.1 plus 0.2 is 0.3."""

from collections.abc import Callable
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal, DecimalException
from typing import Final

from shared.expressions.filters.values import as_decimal, as_integer, as_number, as_text, bounded, from_decimal
from shared.expressions.limits import Meter, RenderProblem

_DIGITS_MAX: Final = 15
_CURRENCY_DIGITS: Final = {
    **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG"), 0),
    **dict.fromkeys(("RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}
"""ISO 4217's minor units where they are not 2."""


def plus(_: Meter, value: object, other: object) -> int | float:
    return _reckon("plus", value, other, lambda a, b: a + b)


def minus(_: Meter, value: object, other: object) -> int | float:
    return _reckon("minus", value, other, lambda a, b: a - b)


def times(_: Meter, value: object, other: object) -> int | float:
    return _reckon("times", value, other, lambda a, b: a * b)


def divided_by(_: Meter, value: object, other: object) -> int | float:
    """Two integers give an integer, rounded down; otherwise the quotient."""
    a, b = as_number(value, "divided_by"), as_number(other, "divided_by")
    if b == 0:
        raise RenderProblem("divided_by: division by zero")
    if isinstance(a, int) and isinstance(b, int):
        return a // b
    return _reckon("divided_by", a, b, lambda x, y: x / y)


def modulo(_: Meter, value: object, other: object) -> int | float:
    """The remainder with the divisor's sign."""
    if as_number(other, "modulo") == 0:
        raise RenderProblem("modulo: division by zero")
    return _reckon("modulo", value, other, lambda a, b: a - b * (a / b).to_integral_value(ROUND_FLOOR))


def round_(_: Meter, value: object, digits: object = 0) -> int | float:
    """Half away from zero; without `digits`, an integer."""
    places = as_integer(digits, "round")
    if not 0 <= places <= _DIGITS_MAX:
        raise RenderProblem(f"round takes 0 to {_DIGITS_MAX} digits")
    return _quantized("round", value, places, ROUND_HALF_UP)


def ceil(_: Meter, value: object) -> int | float:
    return _quantized("ceil", value, 0, ROUND_CEILING)


def floor(_: Meter, value: object) -> int | float:
    return _quantized("floor", value, 0, ROUND_FLOOR)


def abs_(_: Meter, value: object) -> int | float:
    return abs(as_number(value, "abs"))


def at_least(_: Meter, value: object, lowest: object) -> int | float:
    return max(as_number(value, "at_least"), as_number(lowest, "at_least"))


def at_most(_: Meter, value: object, highest: object) -> int | float:
    return min(as_number(value, "at_most"), as_number(highest, "at_most"))


def money(meter: Meter, value: object, currency: object) -> str:
    """1234, "EUR" → "12.34 EUR"; an amount is in minor units, as in platform events."""
    amount = as_number(value, "money")
    code = as_text(meter, currency).upper()
    if not isinstance(amount, int):
        raise RenderProblem("money takes a whole number of minor units, such as event.data.amount_minor")
    if len(code) != 3 or not (code.isascii() and code.isalpha()):
        raise RenderProblem("money takes an ISO 4217 currency, such as event.data.currency")
    digits = _CURRENCY_DIGITS.get(code, 2)
    sign, figures = "-" if amount < 0 else "", str(abs(amount)).rjust(digits + 1, "0")
    return f"{sign}{figures[:-digits]}.{figures[-digits:]} {code}" if digits else f"{sign}{figures} {code}"


def _reckon(name: str, value: object, other: object, how: Callable[[Decimal, Decimal], Decimal]) -> int | float:
    a, b = as_number(value, name), as_number(other, name)
    whole = isinstance(a, int) and isinstance(b, int)
    if whole and name in _EXACT:
        return bounded(_EXACT[name](int(a), int(b)))
    try:
        return from_decimal(how(as_decimal(a), as_decimal(b)), whole=whole)
    except DecimalException as error:
        raise RenderProblem(f"{name}: out of range") from error


_EXACT: Final[dict[str, Callable[[int, int], int]]] = {
    "plus": lambda a, b: a + b,
    "minus": lambda a, b: a - b,
    "times": lambda a, b: a * b,
    "modulo": lambda a, b: a % b,
}
"""Decimal keeps 28 digits; integers keep all of theirs."""


def _quantized(name: str, value: object, places: int, rounding: str) -> int | float:
    number = as_number(value, name)
    if isinstance(number, int):
        return number
    if abs(number) >= 1e15:
        return bounded(int(number)) if places == 0 else number
    try:
        return from_decimal(as_decimal(number).quantize(Decimal(1).scaleb(-places), rounding), whole=places == 0)
    except DecimalException as error:
        raise RenderProblem(f"{name}: out of range") from error
