"""The entries of a pattern in words, and why a value is not what an entry asks for.

Entries come as an operator describes itself, which is how a pattern writes it. Guarantee: total, whatever the value is;
a value can fail for two reasons (text where a number is asked for, and out of range besides), and then both are told.
Next: `clauses.py`, which asks the pattern's own operators whether they hold.
"""

import json
from collections.abc import Callable, Sequence
from typing import Final

from shared.matching.numbers import LossyNumber
from shared.workflows.hiding import HIDDEN, cut

_COMPARE: Final[dict[str, Callable[[float, float], bool]]] = {
    "=": lambda found, bound: found == bound,
    "<": lambda found, bound: found < bound,
    "<=": lambda found, bound: found <= bound,
    ">": lambda found, bound: found > bound,
    ">=": lambda found, bound: found >= bound,
}
_TEXT_OPERATORS: Final = {
    "prefix": "beginning with",
    "suffix": "ending with",
    "wildcard": "like",
    "equals-ignore-case": "that reads, in any case,",
}


def value_in_words(value: object) -> str:
    """As JSON, cut where it is long; what is hidden without quotes."""
    if value == HIDDEN:
        return HIDDEN
    if isinstance(value, LossyNumber):
        return value.token
    return cut(json.dumps(value, ensure_ascii=False, default=lambda each: getattr(each, "token", str(each))))


def entries_in_words(entries: Sequence[object]) -> str:
    """What a field's entries, of which one must hold, ask for."""
    if len(entries) > 1 and all(not isinstance(entry, dict) for entry in entries):
        return cut(f"one of {', '.join(map(value_in_words, entries))}")
    return cut(" or ".join(map(_entry_in_words, entries)))


def kind_of(value: object) -> str:
    """What a value is, with its article."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return "text"
        case int() | float() | LossyNumber():
            return "a number"
        case list() | tuple():
            return "a list"
    return "an object"


def why_not(entry: object, value: object) -> list[str]:
    """Why an entry does not hold for a value that is there: one or more phrases that begin like "it is …"."""
    match entry:
        case {"exists": False}:
            return ["it is there, and absence is asked for"]
        case {"numeric": [*terms]}:
            return _why_not_in_range(terms, value)
        case {"anything-but": _}:
            return ["it is one of those that are excluded"]
        case {"cidr": str(network)}:
            if not isinstance(value, str):
                return [f"it is {kind_of(value)}, not the text of an IP address"]
            return [f"it is no IP address in {network}"]
        case dict():
            return _why_not_text(entry, value)
    return _why_not_literal(entry, value)


def _entry_in_words(entry: object) -> str:
    if not isinstance(entry, dict):
        return value_in_words(entry)
    ((name, wanted),) = entry.items()
    match name, wanted:
        case "exists", _:
            return "any value" if wanted else "no value"
        case "numeric", ["=", number]:
            return f"the number {number}"
        case "numeric", [*terms]:
            bounds = [f"{terms[at]} {terms[at + 1]}" for at in range(0, len(terms), 2)]
            return f"a number {' and '.join(bounds)}"
        case "cidr", _:
            return f"an IP address in {wanted}"
        case "anything-but", dict() as inner:
            ((operator, texts),) = inner.items()
            return f"anything but text {_TEXT_OPERATORS[str(operator)]} {_listed(texts)}"
        case "anything-but", _:
            return f"anything but {_listed(wanted)}"
        case _, {"equals-ignore-case": text}:
            return f"text {_TEXT_OPERATORS[name]} {value_in_words(text)} in any case"
    return f"text {_TEXT_OPERATORS[name]} {value_in_words(wanted)}"


def _listed(values: object) -> str:
    return " or ".join(map(value_in_words, values if isinstance(values, list) else [values]))


def _why_not_in_range(terms: Sequence[object], value: object) -> list[str]:
    pairs = list(zip(terms[::2], terms[1::2], strict=True))
    if isinstance(value, LossyNumber):
        return ["it has more digits than can be compared exactly, and numeric never holds for such a number"]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return [f"it is not {sign} {bound}" for sign, bound in pairs if not _holds(sign, value, bound)] or [
            "it has more digits than can be compared exactly, and numeric never holds for such a number"
        ]
    told = [f"it is {kind_of(value)}, not a number"]
    read = _read_number(value) if isinstance(value, str) else None
    if read is not None:
        told += [
            f"read as a number it is not {sign} {bound} either"
            for sign, bound in pairs
            if not _holds(sign, read, bound)
        ]
    return told


def _holds(sign: object, found: float, bound: object) -> bool:
    return isinstance(bound, int | float) and _COMPARE[str(sign)](found, bound)


def _read_number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _why_not_text(entry: dict[str, object], value: object) -> list[str]:
    ((name, wanted),) = entry.items()
    in_any_case = isinstance(wanted, dict) or name == "equals-ignore-case"
    text = next(iter(wanted.values())) if isinstance(wanted, dict) else wanted
    if isinstance(value, str):
        told = f"it is not {_entry_in_words(entry)}"
        loosely = name in ("prefix", "suffix") and not in_any_case and isinstance(text, str)
        folded = value.casefold(), str(text).casefold()
        nearly = loosely and (folded[0].startswith(folded[1]) if name == "prefix" else folded[0].endswith(folded[1]))
        return [f"{told}: it differs in case"] if nearly else [told]
    told = f"it is {kind_of(value)}, not text"
    if name == "prefix" and not in_any_case and not value_in_words(value).startswith(str(text)):
        return [told, f"read as text it does not begin with {value_in_words(text)} either"]
    if name == "suffix" and not in_any_case and not value_in_words(value).endswith(str(text)):
        return [told, f"read as text it does not end with {value_in_words(text)} either"]
    return [told]


def _why_not_literal(wanted: object, value: object) -> list[str]:
    if wanted is None or isinstance(wanted, bool):
        return [f"it is {value_in_words(value)}, not {value_in_words(wanted)}"]
    if kind_of(wanted) == kind_of(value):
        if isinstance(value, str) and isinstance(wanted, str) and value.casefold() == wanted.casefold():
            return [f"it is not {value_in_words(wanted)}: it differs in case"]
        return [f"it is not {value_in_words(wanted)}"]
    told = f"it is {kind_of(value)}, not {kind_of(wanted)}"
    reads_alike = value_in_words(value).strip('"') == value_in_words(wanted).strip('"')
    return [told] if reads_alike else [told, f"it does not read {value_in_words(wanted)} either"]
