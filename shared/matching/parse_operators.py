"""The entries of one field's array: plain values and operator objects.

Every reader takes what stands behind the operator's name and yields the operator, or reports a flaw and yields None.
Next: the modules of the operators themselves, `literals.py` first.
"""

from collections.abc import Callable
from typing import Final

from shared.matching.anything_but import AnythingButMatching, AnythingButNumbers, AnythingButTexts
from shared.matching.casefold import CaseVariants
from shared.matching.cidr import CidrError, read_cidr
from shared.matching.json_text import JsonObject, below
from shared.matching.literals import Constant, NumberLiteral, Text, literal_text
from shared.matching.numbers import LossyNumber, written
from shared.matching.numeric import NumericRange
from shared.matching.pattern import Exists, ValueOperator
from shared.matching.text import EqualsIgnoreCase, Prefix, PrefixIgnoreCase, Suffix, SuffixIgnoreCase, Wildcard
from shared.matching.wildcard import WildcardError, read_wildcard

Report = Callable[[str, str], None]  # (pointer, detail)
_Reader = Callable[[object, str, Report], ValueOperator | None]


def read_entries(entries: list[object], pointer: str, report: Report) -> tuple[tuple[ValueOperator, ...], bool]:
    """The operators of a field's array, and whether `exists: false` is among its entries."""
    if not entries:
        report(pointer, "an empty array matches nothing; name a value in it")
    operators: list[ValueOperator] = []
    or_absent = False
    for index, entry in enumerate(entries):
        here = f"{pointer}/{index}"
        if isinstance(entry, JsonObject):
            found, absent = _operator_object(entry, here, report)
            or_absent = or_absent or absent
        else:
            found = _plain_value(entry, here, report)
        if found is not None:
            operators.append(found)
    return tuple(operators), or_absent


def _plain_value(entry: object, pointer: str, report: Report) -> ValueOperator | None:
    match entry:
        case str():
            return literal_text(entry)
        case None | bool():
            return Constant(entry)
        case int() | float() | LossyNumber():
            return NumberLiteral(entry)
    report(pointer, "a value is a string, a number, true, false, null or an operator object; no array in an array")
    return None


def _operator_object(entry: JsonObject, pointer: str, report: Report) -> tuple[ValueOperator | None, bool]:
    single = _single_member(entry, pointer, report)
    if single is None:
        return None, False
    name, argument = single
    here = below(pointer, name)
    if name == "exists":
        if not isinstance(argument, bool):
            report(here, "exists takes true or false")
            return None, False
        return (Exists() if argument else None), not argument
    reader = _READERS.get(name)
    if reader is None:
        known = ", ".join(sorted(OPERATOR_NAMES))
        report(pointer, f"{name!r} is no operator (names are case-sensitive); there are {known}")
        return None, False
    return reader(argument, here, report), False


def _single_member(entry: JsonObject, pointer: str, report: Report) -> tuple[str, object] | None:
    if len(entry.members) != 1:
        count = len(entry.members)
        report(pointer, f"an operator object has exactly one key, this one has {count}; write one object per operator")
        return None
    return entry.members[0]


def _text_of(argument: object, name: str, pointer: str, report: Report) -> str | None:
    if isinstance(argument, str):
        return argument
    report(pointer, f"{name} takes one string; for several write several {name} objects")
    return None


def _exactly(argument: object, pointer: str, report: Report) -> ValueOperator | None:
    text = _text_of(argument, "exactly", pointer, report)
    return None if text is None else Text(text)


def _equals_ignore_case(argument: object, pointer: str, report: Report) -> ValueOperator | None:
    text = _text_of(argument, "equals-ignore-case", pointer, report)
    return None if text is None else EqualsIgnoreCase(CaseVariants(text))


def _prefix(argument: object, pointer: str, report: Report) -> ValueOperator | None:
    if isinstance(argument, JsonObject):
        variants = _ignoring_case(argument, "prefix", pointer, report)
        return None if variants is None else PrefixIgnoreCase(variants)
    text = _text_of(argument, "prefix", pointer, report)
    return None if text is None else Prefix(text)


def _suffix(argument: object, pointer: str, report: Report) -> ValueOperator | None:
    if isinstance(argument, JsonObject):
        variants = _ignoring_case(argument, "suffix", pointer, report)
        return None if variants is None else SuffixIgnoreCase(variants)
    text = _text_of(argument, "suffix", pointer, report)
    return None if text is None else Suffix(text)


def _ignoring_case(argument: JsonObject, name: str, pointer: str, report: Report) -> CaseVariants | None:
    single = _single_member(argument, pointer, report)
    if single is None:
        return None
    inner, text = single
    if inner != "equals-ignore-case" or not isinstance(text, str):
        report(below(pointer, inner), f'inside {name} only {{"equals-ignore-case": "text"}} may stand')
        return None
    return CaseVariants(text)


def _wildcard(argument: object, pointer: str, report: Report) -> Wildcard | None:
    text = _text_of(argument, "wildcard", pointer, report)
    if text is None:
        return None
    try:
        return Wildcard(text, read_wildcard(text))
    except WildcardError as error:
        report(pointer, str(error))
        return None


def _cidr(argument: object, pointer: str, report: Report) -> ValueOperator | None:
    text = _text_of(argument, "cidr", pointer, report)
    if text is None:
        return None
    try:
        return read_cidr(text)
    except CidrError as error:
        report(pointer, str(error))
        return None


_NUMERIC_HELP: Final = 'numeric takes ["=", 5], or one of < <= > >= with a number, or a lower bound then an upper one'


def _numeric(argument: object, pointer: str, report: Report) -> ValueOperator | None:
    if not isinstance(argument, list) or len(argument) not in (2, 4):
        report(pointer, _NUMERIC_HELP)
        return None
    comparisons: list[str] = []
    bounds: list[int | float] = []
    for position in range(0, len(argument), 2):
        comparison = argument[position]
        if comparison not in ("=", "<", "<=", ">", ">="):
            report(f"{pointer}/{position}", _NUMERIC_HELP)
            return None
        bound = _number_of(argument[position + 1], f"{pointer}/{position + 1}", report)
        if bound is None:
            return None
        comparisons.append(comparison)
        bounds.append(bound)
    source = tuple(argument)
    match comparisons:
        case ["="]:
            return NumericRange(source=source, low=bounds[0], high=bounds[0])
        case [(">" | ">=") as lower]:
            return NumericRange(source=source, low=bounds[0], low_included=lower == ">=")
        case [("<" | "<=") as upper]:
            return NumericRange(source=source, high=bounds[0], high_included=upper == "<=")
        case [(">" | ">=") as lower, ("<" | "<=") as upper]:
            if not bounds[0] < bounds[1]:
                report(pointer, "the lower bound must be below the upper one; for one number write =")
                return None
            return NumericRange(
                source=source,
                low=bounds[0],
                high=bounds[1],
                low_included=lower == ">=",
                high_included=upper == "<=",
            )
    report(pointer, _NUMERIC_HELP)
    return None


def _number_of(argument: object, pointer: str, report: Report) -> int | float | None:
    match argument:
        case LossyNumber():
            report(pointer, f"{written(argument)} has no exact double, so it cannot be compared; use fewer digits")
            return None
        case int() | float() if not isinstance(argument, bool):
            return argument
    report(pointer, "a number is needed here, without quotes")
    return None


def _anything_but(argument: object, pointer: str, report: Report) -> ValueOperator | None:
    if isinstance(argument, JsonObject):
        return _anything_but_matching(argument, pointer, report)
    values = argument if isinstance(argument, list) else [argument]
    texts = [value for value in values if isinstance(value, str)]
    if texts and len(texts) == len(values):
        return AnythingButTexts(frozenset(texts))
    if values and all(isinstance(value, int | float | LossyNumber) and not isinstance(value, bool) for value in values):
        numbers = [_number_of(value, pointer, report) for value in values]
        return None if None in numbers else AnythingButNumbers(frozenset(n for n in numbers if n is not None))
    report(
        pointer,
        "anything-but takes a string, a number, a list of strings, a list of numbers, "
        "or one of prefix, suffix, equals-ignore-case, wildcard",
    )
    return None


def _anything_but_matching(argument: JsonObject, pointer: str, report: Report) -> ValueOperator | None:
    single = _single_member(argument, pointer, report)
    if single is None:
        return None
    name, inner = single
    here = below(pointer, name)
    if name not in ("prefix", "suffix", "equals-ignore-case", "wildcard"):
        report(here, f"anything-but cannot hold {name!r}; it takes prefix, suffix, equals-ignore-case or wildcard")
        return None
    texts = inner if isinstance(inner, list) else [inner]
    operators: list[Prefix | Suffix | EqualsIgnoreCase | Wildcard] = []
    if not texts:
        report(here, "an empty list excludes nothing; name a text in it")
        return None
    for text in texts:
        if not isinstance(text, str):
            report(here, f"anything-but {name} takes a string or a list of strings")
            return None
        if not text and name in ("prefix", "suffix"):
            report(here, f"every string has the empty {name}; name some text")
            return None
        if name == "prefix":
            operators.append(Prefix(text))
        elif name == "suffix":
            operators.append(Suffix(text))
        elif name == "equals-ignore-case":
            operators.append(EqualsIgnoreCase(CaseVariants(text)))
        else:
            wildcard = _wildcard(text, here, report)
            if wildcard is None:
                return None
            operators.append(wildcard)
    return AnythingButMatching(tuple(operators))


_READERS: Final[dict[str, _Reader]] = {
    "anything-but": _anything_but,
    "cidr": _cidr,
    "equals-ignore-case": _equals_ignore_case,
    "exactly": _exactly,
    "numeric": _numeric,
    "prefix": _prefix,
    "suffix": _suffix,
    "wildcard": _wildcard,
}
OPERATOR_NAMES: Final = frozenset(_READERS) | {"exists"}
