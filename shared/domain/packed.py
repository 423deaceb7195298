"""JSON values that are seldom looked at, held as their text: parsed, JSON weighs up to thirty times as much as written.

Guarantee: `whole(packed(value))` is equal to `value` and is written as the same bytes. A value that is not worth it, or no
JSON, stays as it is.
Next: `json_text.py`, which writes a packed value as the value; `runs/resting.py`, what of a run is packed, and when.
"""

import json
import zlib

import orjson
from pydantic_core import from_json

_TEXT_BYTES_MIN = 48
"""A shorter text weighs as much as the object that would hold it."""
_DEFLATED_BYTES_MIN = 4096
"""Deflating less takes longer than parsing it, for a kilobyte or two."""
_FASTEST = 1


class Packed:
    """Made by `packed`."""

    __slots__ = ("_bytes", "_is_deflated", "is_plain")

    def __init__(self, text: bytes, *, is_plain: bool) -> None:
        """`is_plain`: orjson writes the value, which it refuses to where a number has more than 64 bits."""
        self._is_deflated = len(text) >= _DEFLATED_BYTES_MIN
        self._bytes = zlib.compress(text, _FASTEST) if self._is_deflated else text
        self.is_plain = is_plain

    @property
    def text(self) -> bytes:
        """The value's JSON."""
        return zlib.decompress(self._bytes) if self._is_deflated else self._bytes

    def __eq__(self, other: object) -> bool:
        return bool(whole(self) == whole(other))

    __hash__ = None  # type: ignore[assignment]  # as the lists and dictionaries that it stands for

    def __repr__(self) -> str:
        return f"Packed({self.text!r})"


def packed(value: object) -> object:
    """`value`, or what stands for it where that is smaller."""
    if not isinstance(value, str | dict | list) or not value:
        return value
    try:
        text, is_plain = orjson.dumps(value), True
    except TypeError:
        try:
            text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
        except (TypeError, ValueError):
            return value
        is_plain = False
    return Packed(text, is_plain=is_plain) if len(text) >= _TEXT_BYTES_MIN else value


def whole(value: object) -> object:
    """What `packed` was given. Parsed anew each time: keep it while you need it."""
    # The parser that reads records back, so that numbers are what they were.
    return from_json(value.text) if isinstance(value, Packed) else value
