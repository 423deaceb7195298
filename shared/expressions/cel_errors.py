"""Says in Upshot's words what the CEL library reports, with where it is and how to mend it.

The library reports compile errors as text (`ERROR: <input>:1:5: …` and a picture of the line) and evaluation errors
as text with a status name. What is not recognised passes through, shortened.
Next: `conditions.py`.
"""

import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

_REFUSALS_MAX: Final = 5
_DETAIL_CHARACTERS_MAX: Final = 300
_COMPILE_ERROR = re.compile(r"^(?:[A-Z_]+: )?ERROR: <input>:(-?\d+):(-?\d+): (.*)$", re.MULTILINE)
_UNDECLARED = re.compile(r"undeclared reference to '([^']*)'")
_NO_OVERLOAD = re.compile(r"found no matching overload for '([^']*)' applied to '(.*)'")
_STATUS = re.compile(r"^[A-Z_]+: (.*?)(?: \[[A-Z_]+\])?$", re.DOTALL)
_MISSING_KEY = re.compile(r'Key not found in map : "?(.*?)"?$', re.DOTALL)
_OPERATORS: Final = {
    "_&&_": "&&",
    "_||_": "||",
    "!_": "!",
    "-_": "-",
    "_[_]": "[…]",
    "_?_:_": "? :",
    "@in": "in",
    "_in_": "in",
}
_WORDS: Final = {"and": "&&", "or": "||", "not": "!", "is": "==", "=": "==", "=== ": "==", "<>": "!="}


def compile_refusals(message: str, text: str, roots: Iterable[str]) -> tuple[str, ...]:
    """The library's compile error as sentences, each with line and column; at least one, at most five."""
    details: dict[str, None] = {}
    for line, column, reason in _COMPILE_ERROR.findall(message):
        where = f" (line {line}, column {column})" if int(line) > 0 else ""
        details[shorten(_explain(reason, text, int(line), int(column), sorted(roots)) + where)] = None
    if not details:
        return ("nested too deeply: at most 32 levels" if "recursion" in message else shorten(_strip(message)),)
    return tuple(details)[:_REFUSALS_MAX]


def evaluation_error(message: str, missing_paths: Iterable[str]) -> str:
    """The library's evaluation error; `missing_paths`, those that the expression names and the context lacks."""
    if key := _MISSING_KEY.search(message):
        named = [path for path in missing_paths if path.endswith((f".{key[1]}", f"[{key[1]!r}]"))]
        return shorten(f"{named[0] if named else key[1]} is missing; has(…) tests for it")
    if "Applying SELECT to non-message type" in message:
        return "a name is looked up in something that is not an object"
    if "out of range for" in message and "Integer value" in message:
        return "an integer beyond 64 bits can't be compared"
    if "Non-CEL value type" in message:
        return "a value that JSON does not have"
    if "Iteration budget exceeded" in message:
        return "its macros ran more than 10,000 rounds"
    if "construction from null" in message:
        return "text with a lone surrogate can't be compared"
    stripped = _strip(message)
    if stripped.startswith("No matching overloads found : "):
        call = stripped.removeprefix("No matching overloads found : ")
        function, _, types = call.partition("(")
        return shorten(f"{operator(function)} does not take ({types}")
    return shorten(stripped)


def operator(function: str) -> str:
    """How an author writes the library's name of a function: `_==_` is `==`."""
    return _OPERATORS.get(function, function.strip("_"))


def shorten(text: str) -> str:
    return text if len(text) <= _DETAIL_CHARACTERS_MAX else text[: _DETAIL_CHARACTERS_MAX - 1] + "…"


def _explain(reason: str, text: str, line: int, column: int, roots: list[str]) -> str:
    if undeclared := _UNDECLARED.match(reason):
        name = undeclared[1]
        if _character(text, line, column) == "(":
            return f"unknown function {name}()"
        root = name.split(".", 1)[0]
        close = get_close_matches(root, roots, n=1)
        mend = f"did you mean {close[0]}?" if close else f"a path starts with one of {', '.join(roots)}"
        return f"unknown root {root}: {mend}"
    if overload := _NO_OVERLOAD.match(reason):
        name, types = operator(overload[1]), overload[2].strip("()")
        return f"{name} does not take ({types}): convert one side, for example with string(…), int(…) or double(…)"
    if "recursion" in reason:
        return "nested too deeply: at most 32 levels"
    if reason.startswith("Syntax error: "):
        reason = reason.removeprefix("Syntax error: ").split(" expecting {", 1)[0]
        for word, instead in _WORDS.items():
            if f"'{word}'" in reason or f"'{word} '" in reason:
                return f"syntax: {reason}; write {instead} instead"
        return f"syntax: {reason.replace('<EOF>', 'the end')}"
    if reason.startswith("unsupported syntax"):
        return f"{reason}: test with has(…) instead"
    return reason


def _character(text: str, line: int, column: int) -> str:
    lines = text.split("\n")
    return lines[line - 1][column - 1 : column] if 0 < line <= len(lines) and column > 0 else ""


def _strip(message: str) -> str:
    match = _STATUS.match(message)
    return match[1] if match else message
