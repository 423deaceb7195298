"""The rows of a file of recorded cases, however they are written down: what every `upshot conformance …` command reads.

A row that cannot be read stands among the others as a `BadRow`: no flaw of one row hides another.
Next: `conformance_report.py`, which judges and counts them.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.domain.errors import Flaw, InvalidInput

Row = dict[str, Any]  # Any: rows are JSON of several shapes

_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\r\n]*")
_UNDECODED = re.compile(r"[\udc80-\udcff]")  # as `surrogateescape` leaves bytes that are no UTF-8
_OWN_LISTS = frozenset({"event", "pattern"})  # members of a row that may be lists of objects themselves
_KINDS = {list: "a list", str: "a text", bool: "true or false", type(None): "null"}


@dataclass(frozen=True, slots=True)
class BadRow:
    """What stands where a case should, in words: `no JSON: …`."""

    what: str


def read_rows(path: Path, read_line: Callable[[str], Row | BadRow | None] = lambda _: None) -> Iterator[Row | BadRow]:
    """The rows of a JSON array, of an object with one list of objects, or of JSON texts one below the other (JSON Lines, or each
    printed over several lines), in file order; blank lines and comments (`#`) left out.

    `read_line`: reads a line that is no JSON; None: that is no row either. Raises InvalidInput where there is no such file.
    """
    for value in _values(text_of(path), read_line):
        if isinstance(value, dict | BadRow):
            yield value
        else:
            yield BadRow(f"{_KINDS.get(type(value), 'a number')} instead of an object")


def text_of(path: Path) -> str:
    """A file's text without its byte order mark; bytes that are no UTF-8 become lone surrogates. Raises InvalidInput."""
    try:
        return path.read_text(encoding="utf-8-sig", errors="surrogateescape")
    except OSError as error:
        raise InvalidInput("the file cannot be read", [Flaw(pointer=str(path), detail=str(error.strerror))]) from None


def _values(text: str, read_line: Callable[[str], Row | BadRow | None]) -> Iterable[object]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return _one_below_the_other(text, read_line)
    if _UNDECODED.search(text):
        return _one_below_the_other(text, read_line)
    if isinstance(document, dict):
        return _cases_within(document) or [document]
    return document if isinstance(document, list) else [document]


def _cases_within(document: Row) -> list[object] | None:
    lists = [
        value
        for name, value in document.items()
        if name not in _OWN_LISTS and isinstance(value, list) and any(isinstance(each, dict) for each in value)
    ]
    return lists[0] if len(lists) == 1 else None


def _one_below_the_other(text: str, read_line: Callable[[str], Row | BadRow | None]) -> Iterator[object]:
    position, after_flaw = 0, False
    while position < len(text):
        line = text[position : _line_end(text, position)]
        if not line.strip() or line.lstrip().startswith("#"):
            position += len(line) + 1
            continue
        value, end = _value_at(text, position)
        if isinstance(value, BadRow):
            value = read_line(line) or value
        # What is indented below a flaw is the rest of it, as far as it is no row by itself.
        if isinstance(value, dict) or not (after_flaw and line[0] in " \t]}"):
            yield value
            after_flaw = isinstance(value, BadRow)
        position = end + 1


def _value_at(text: str, position: int) -> tuple[object, int]:
    """The JSON value that begins with this line and ends with a line, or what is wrong with the line; and that line's end."""
    line_end = _line_end(text, position)
    try:
        value, value_end = _DECODER.raw_decode(text, _after_space(text, position))
    except RecursionError:
        return BadRow("no JSON that can be read: it is nested too deeply"), line_end
    except ValueError as error:
        flaw = (
            BadRow("bytes that are no UTF-8")
            if _UNDECODED.search(text, position, line_end)
            else BadRow(f"no JSON: {error}")
        )
        return flaw, line_end
    end = _line_end(text, value_end)
    if _UNDECODED.search(text, position, end):
        return BadRow("bytes that are no UTF-8"), end
    if text[value_end:end].strip():
        return BadRow(f"no JSON: there is more behind the value: {text[value_end:end].strip()[:20]}"), line_end
    return value, end


def _after_space(text: str, position: int) -> int:
    found = _SPACE.match(text, position)
    assert found is not None  # the pattern matches the empty string
    return found.end()


def _line_end(text: str, position: int) -> int:
    end = text.find("\n", position)
    return end if end >= 0 else len(text)
