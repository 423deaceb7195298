"""What the compiled index is told of a rule's fields; None where it does not know an operator.

Guarantee: what is told holds for a plain value exactly where the field does. Numbers are told as doubles, so only those
that doubles hold; a literal that spells an address holds for other spellings, too, and is not known.
Next: `store.h`, which numbers the operators.
"""

from collections.abc import Sequence
from typing import Any, Final

from shared.matching.anything_but import AnythingButNumbers, AnythingButTexts
from shared.matching.literals import Constant, NumberLiteral, Text
from shared.matching.numbers import EXACT_INTEGER_MAX
from shared.matching.numeric import NumericRange
from shared.matching.pattern import Exists, FieldPattern, ValueOperator
from shared.matching.text import Prefix, Suffix

Told = tuple[Any, ...]  # Any: strings, floats, small integers
Field = tuple[str, bool, tuple[Told, ...]]

_FIELDS_MAX: Final = 16
_KEYS_MAX: Final = 16
_OPERATORS_MAX: Final = 64
_NUMBERS_MAX: Final = 16  # compared one by one
_NULL, _FALSE, _TRUE = range(3)
_EXISTS: Final = (5,)
_CONSTANTS: Final = {"None": (4, _NULL), "False": (4, _FALSE), "True": (4, _TRUE)}  # as keys True and 1 would be one


def encoded(fields: Sequence[FieldPattern]) -> tuple[Field, ...] | None:
    """The fields as told, in their order. The first is what the rule is filed under: it must be one that values lead to."""
    if not 0 < len(fields) <= _FIELDS_MAX or not _leads(fields[0]):
        return None
    told: list[Field] = []
    for field in fields:
        operators = _operators(field)
        if operators is None:
            return None
        told.append((field.path, field.or_absent, operators))
    return tuple(told)


def _leads(field: FieldPattern) -> bool:
    """Whether each operator is found by the values that it holds for."""
    if field.or_absent or not field.operators:
        return False
    for operator in field.operators:
        match operator:
            case Text() | NumberLiteral() | Constant():
                continue
            case Prefix(text) if text:
                continue
            case NumericRange(low=low, high=high) if low == high or _fits_a_cell(low, high):
                continue
        return False
    return True


def _fits_a_cell(low: float, high: float) -> bool:
    return float(high) - float(low) < 2.0**1020


def _operators(field: FieldPattern) -> tuple[Told, ...] | None:
    if len(field.operators) > _OPERATORS_MAX or field.path.count(".") >= _KEYS_MAX:
        return None
    told = []
    for operator in field.operators:
        one = _told(operator)
        if one is None:
            return None
        told.append(one)
    return tuple(told)


def _told(operator: ValueOperator) -> Told | None:
    if type(operator) is Text:  # by far the most
        return (0, operator.text)
    match operator:
        case Prefix(text):
            return (1, text)
        case NumberLiteral(number) if _is_exact(number):
            return (2, float(number))  # type: ignore[arg-type]  # no LossyNumber, as was just asked
        case NumericRange(low=low, high=high) if _is_exact(low) and _is_exact(high):
            if low == high:
                return (2, float(low)) if operator.low_included and operator.high_included else None
            return (3, float(low), float(high), operator.low_included | operator.high_included << 1)
        case Constant(value):
            return _CONSTANTS[repr(value)]
        case Exists():
            return _EXISTS
        case AnythingButTexts(texts):
            return (6, tuple(texts))
        case AnythingButNumbers(numbers) if len(numbers) <= _NUMBERS_MAX and all(map(_is_exact, numbers)):
            return (7, tuple(map(float, numbers)))
        case Suffix(text):
            return (8, text)
    return None


def _is_exact(number: object) -> bool:
    """Whether a double says it: integers beyond 2^53 that a pattern may name are kept as doubles already."""
    return type(number) is float or (type(number) is int and -EXACT_INTEGER_MAX <= number <= EXACT_INTEGER_MAX)
