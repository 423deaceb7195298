"""JSON values as YAML that people read and compare: block style, one scalar a line, the same text for the same value.

Guarantee: the reader of `shared/runtime/http/yaml_text.py` gives the value back, and so does any YAML 1.1 or 1.2 reader:
whatever one of them might take for something else than a text stands in quotes.
"""

import json
import re
from collections.abc import Iterator, Mapping

_AMBIGUOUS = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})
# Begins with a letter, so it is no number; no colon before a space, no hash: it ends nowhere but at its end.
_PLAIN = re.compile(r"[A-Za-z_/](?:[\w ./@+*%,;()'<>!?&|~^$-]|=|:(?! |$))*(?<! )", re.ASCII)
# What a quoted scalar must escape beyond what JSON does: controls, breaks that only YAML knows, byte order marks, surrogates.
_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
_KEY_CHARACTERS_MAX = 120
"""A longer key would not be read as one without `?` (the limit is 1,024 bytes)."""


def write_yaml(value: Mapping[str, object]) -> str:
    """The text, ending with a newline. Members stay in their order."""
    return "\n".join(_lines(value)) + "\n"


def _lines(value: object) -> Iterator[str]:
    """The lines of a value, not indented. A scalar's first line may follow a key; a collection begins on its own."""
    if isinstance(value, Mapping) and value:
        for key, each in value.items():
            yield from _member(key, each)
    elif isinstance(value, list | tuple) and value:
        for each in value:
            yield from _below("- ", each)
    elif isinstance(value, str) and _fits_block(value):
        yield "|" if value.endswith("\n") else "|-"
        yield from (f"  {line}" if line else "" for line in value.removesuffix("\n").split("\n"))
    else:
        yield _scalar(value)


def _member(key: str, value: object) -> Iterator[str]:
    written = _text(key)
    if len(written) > _KEY_CHARACTERS_MAX:
        yield f"? {written}"
        yield from _below(": ", value)
    elif _is_nested(value):
        yield f"{written}:"
        yield from _indented(_lines(value))
    else:
        first, *rest = _lines(value)
        yield f"{written}: {first}"
        yield from rest


def _below(mark: str, value: object) -> Iterator[str]:
    """`value` after a mark of two characters, as an item of a list or after a long key."""
    first, *rest = _lines(value)
    yield mark + first
    yield from rest if not _is_nested(value) else _indented(iter(rest))


def _indented(lines: Iterator[str]) -> Iterator[str]:
    return (f"  {line}" if line else "" for line in lines)


def _is_nested(value: object) -> bool:
    return isinstance(value, Mapping | list | tuple) and bool(value)


def _scalar(value: object) -> str:
    match value:
        case str():
            return _text(value)
        case bool() | None:
            return json.dumps(value)
        case float():
            written = repr(value)
            # YAML 1.1 wants a point in front of an exponent.
            return written if "." in written or "e" not in written else written.replace("e", ".0e")
        case int():
            return str(value)
        case Mapping():
            return "{}"
        case list() | tuple():
            return "[]"
    raise TypeError(f"{type(value).__name__} is no JSON")


def _text(text: str) -> str:
    if _PLAIN.fullmatch(text) and text.lower() not in _AMBIGUOUS:
        return text
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(text, ensure_ascii=False))


def _fits_block(text: str) -> bool:
    """Whether it reads well, and the same, as a literal block: several lines, none that blanks begin or end wrongly."""
    lines = text.removesuffix("\n").split("\n")
    if len(lines) < 2 or not lines[-1]:
        return False
    if not lines[0] or lines[0][0] in " \t" or any(line.isspace() for line in lines):
        return False
    return not any(line.startswith("\t") or not all(map(_is_printable, line)) for line in lines)


def _is_printable(character: str) -> bool:
    return character == "\t" or (character.isprintable() and not _UNPRINTABLE.match(character))
