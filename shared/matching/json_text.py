"""Reading JSON text without losing what ordinary parsers drop: digits of numbers and members with duplicate names.

Guarantee: a text either yields its values exactly or raises `InvalidInput`; nothing else escapes.
Next: `parse.py` reads patterns with it, `event.py` takes it where a fast parser would have lost something.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from shared.domain.errors import Flaw, InvalidInput
from shared.matching.numbers import read_number


@dataclass(frozen=True, slots=True)
class JsonObject:
    """An object as written: its members in order, duplicates included."""

    members: tuple[tuple[str, Any], ...]  # Any: a JSON value, checked by whoever reads it


def read_json(source: bytes | str, *, title: str, on_object: Callable[[list[tuple[str, Any]]], Any]) -> Any:
    """The value of a JSON text; `on_object` makes what stands for an object of its members. `title` names the text."""
    try:
        text = source if isinstance(source, str) else source.decode()
        return json.loads(
            text,
            object_pairs_hook=on_object,
            parse_int=read_number,
            parse_float=read_number,
            parse_constant=_refuse_constant,
        )
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise InvalidInput(title, [Flaw(pointer="#", detail=f"not JSON: {error.msg} at {where}")]) from None
    except UnicodeDecodeError as error:
        detail = f"not UTF-8: byte {error.start} is {source[error.start]!r}; encode the text as UTF-8"
        raise InvalidInput(title, [Flaw(pointer="#", detail=detail)]) from None
    except RecursionError:
        raise InvalidInput(title, [Flaw(pointer="#", detail="nested too deeply; flatten it")]) from None
    except _NotJsonError as error:
        raise InvalidInput(title, [Flaw(pointer="#", detail=str(error))]) from None


def ordered_object(members: list[tuple[str, Any]]) -> JsonObject:
    """An `on_object` that keeps every member."""
    return JsonObject(tuple(members))


def below(pointer: str, key: str) -> str:
    """The RFC 6901 pointer of a member."""
    return f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}"


class _NotJsonError(ValueError):
    """A token that Python's parser takes and JSON does not know."""


def _refuse_constant(token: str) -> Any:
    raise _NotJsonError(f"{token} is no JSON number; leave it out or write null")
