"""JSON as others send it: read once, relayed to the byte, refused where two readers could understand two things.

Guarantee: what `read_json` returns is the only meaning of the bytes: no key stands twice in an object, nesting is at
most `DEPTH_MAX`, no number has more than `NUMBER_CHARACTERS_MAX`, the text is UTF-8; everything else is `InvalidInput` with the
flaw named, never another exception.
Only digits are lost (orjson reads numbers beyond 64 bits as doubles): relay the bytes, do not print the value again, or
read it with `read_json_with_whole_numbers`.

The checks count bytes instead of walking the value: a 2 KB body costs two orjson calls and a few searches.
Next: `errors.py` for `InvalidInput`.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from itertools import accumulate

import orjson

from shared.domain.errors import Flaw, InvalidInput
from shared.domain.packed import Packed, whole

DEPTH_MAX = 128
NUMBER_CHARACTERS_MAX = 4_000
"""The parser that reads records back refuses integers of more than 4,300 digits, which no parser should have to multiply."""

_TITLE = "The body is not usable JSON."
# The escapes that spell a colon, which is what the key count counts.
_ESCAPED_COLONS = (b"\\u003a", b"\\u003A")
_STRUCTURE = b'"[]{}'
_NOT_STRUCTURE = bytes(byte for byte in range(256) if byte not in _STRUCTURE)
# Fifteen significant digits survive as a double. May find digits of a text: then the slow look finds nothing.
_LONG_NUMBER = re.compile(rb"[0-9][0-9.]{15,}|[0-9][eE][-+]?[0-9]{3}")
_LONG_WHOLE_NUMBER = re.compile(rb"[0-9]{19}")
_DIGITS = re.compile(rb"[0-9]{%d}" % (NUMBER_CHARACTERS_MAX // 2))
_STRINGS = re.compile(rb'"[^"]*"')
_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
# Beyond this many rounds of striking out empty brackets, counting them one by one is cheaper and bounded.
_STRIKE_ROUNDS = 16


def read_json(body: bytes) -> object:
    """The value of a JSON text in UTF-8. Raises InvalidInput: empty, not UTF-8, not JSON, too deep, a key twice."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidInput(_TITLE, [Flaw(pointer="#", detail=_why_unreadable(body, error))]) from None
    if body.count(b"[") + body.count(b"{") > DEPTH_MAX and _depth(body) > DEPTH_MAX:
        raise _too_deep()
    if len(body) > NUMBER_CHARACTERS_MAX and _DIGITS.search(body) is not None:
        _refuse_long_numbers(body)
    if not _surely_has_no_twins(body, value):
        _refuse_twins(body)
    return value


def read_json_with_whole_numbers(body: bytes) -> object:
    """As `read_json`, with whole numbers beyond 64 bits as they are written; a text that may hold one is read twice."""
    value = read_json(body)
    return json.loads(body) if _LONG_WHOLE_NUMBER.search(body) is not None else value


def lost_numbers(body: bytes) -> list[tuple[tuple[str | int, ...], str]]:
    """The numbers of a JSON text that `read_json` reads as others than are written: where they are, and how they are written."""
    if _LONG_NUMBER.search(body) is None:
        return []
    value = json.loads(body.decode(), parse_int=_kept, parse_float=_kept)
    return [(place, number.token) for place, number in _lost_in(value, ())]


def is_kept(token: str) -> bool:
    """Whether a number that is no whole one of 64 bits is read as it is written: as a double, by its shortest decimal."""
    try:
        return Decimal(token) == Decimal(repr(float(token)))
    except InvalidOperation:
        return False  # an exponent of twenty digits, which no decimal has


def dump_json(value: object) -> bytes:
    """Compact JSON of values, packed or not, dataclasses and instants. Integers of more than 64 bits, which vendors do send,
    take a path that costs ten times as much."""
    try:
        return orjson.dumps(value, _packed_text)
    except TypeError:
        return json.dumps(value, default=_plain, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def with_member(members: Mapping[str, object], name: str, text: bytes) -> bytes:
    """The JSON text of an object with one member more, whose value is JSON text already and stays as it is, to the byte.

    Raises ValueError where the name is taken.
    """
    if name in members:
        raise ValueError(f"the object has a member {name!r} already")
    comma = b"," if members else b""
    return b"".join((orjson.dumps(dict(members))[:-1], comma, orjson.dumps(name), b":", text, b"}"))


@dataclass(frozen=True, slots=True)
class _Lost:
    token: str


def _kept(token: str) -> object:
    """None: whole numbers of 64 bits, and doubles by their shortest decimal, are read as they are written."""
    if token.lstrip("-").isdecimal():
        fits = len(token) <= 20 and -(2**63) <= int(token) < 2**64
        return None if fits else _Lost(token)
    return None if is_kept(token) else _Lost(token)


def _lost_in(value: object, place: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], _Lost]]:
    # Depth is bounded by whoever read the text first.
    if isinstance(value, _Lost):
        yield place, value
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from _lost_in(each, (*place, key))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _lost_in(each, (*place, index))


def _packed_text(value: object) -> object:
    if isinstance(value, Packed) and value.is_plain:
        return orjson.Fragment(value.text)
    raise TypeError


def _plain(value: object) -> object:
    if isinstance(value, Packed):
        return whole(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: getattr(value, each.name) for each in fields(value)}
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} is no JSON")


def _why_unreadable(body: bytes, error: orjson.JSONDecodeError) -> str:
    if not body.strip(b" \t\r\n"):
        return "it is empty; send a JSON value"
    if body.startswith(b"\xef\xbb\xbf"):
        return "it begins with a byte order mark; send plain UTF-8"
    try:
        body.decode()
    except UnicodeDecodeError as flaw:
        return f"it is not UTF-8: byte {flaw.start} cannot be decoded"
    if error.msg.startswith("depth limit"):
        return f"it is nested deeper than {DEPTH_MAX} levels"
    return f"it cannot be parsed: {error}"


def _refuse_long_numbers(body: bytes) -> None:
    """Parses again, slowly, seeing every number: the digits may be a text's."""
    json.loads(body.decode(), parse_int=_check_number, parse_float=_check_number)


def _check_number(token: str) -> None:
    if len(token) > NUMBER_CHARACTERS_MAX:
        detail = f"the number {token[:20]}… has {len(token)} characters; {NUMBER_CHARACTERS_MAX} are the most: send it as a text"
        raise InvalidInput(_TITLE, [Flaw(pointer="#", detail=detail)])


def _too_deep() -> InvalidInput:
    return InvalidInput(_TITLE, [Flaw(pointer="#", detail=f"it is nested deeper than {DEPTH_MAX} levels")])


def _depth(body: bytes) -> int:
    """How deep valid JSON nests; an upper bound where that is small, exact beyond 2 × `_STRIKE_ROUNDS`."""
    skeleton = _skeleton(body)
    rest = skeleton
    for rounds in range(_STRIKE_ROUNDS):
        if not rest:
            return 2 * rounds
        rest = rest.replace(b"[]", b"").replace(b"{}", b"")
    return max(accumulate(map(_STEPS.__getitem__, skeleton)), default=0)


def _skeleton(body: bytes) -> bytes:
    """The brackets of valid JSON that stand outside strings."""
    if b"\\" in body:
        # Backslashes stand only in strings. Pairs go first, so what is left before a quote does escape it.
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    skeleton = body.translate(None, _NOT_STRUCTURE).replace(b'""', b"")
    return _STRINGS.sub(b"", skeleton) if b'"' in skeleton else skeleton


def _surely_has_no_twins(body: bytes, value: object) -> bool:
    """Whether counting colons proves that parsing dropped no key.

    A key that the parser dropped is missing when the value is printed again, and its colon with it. Colons in strings
    are printed again, unless the body spells them as escapes: then there may be more of them, and nothing is proved.
    """
    if b"\\" in body and any(escape in body for escape in _ESCAPED_COLONS):
        return False
    return body.count(b":") == orjson.dumps(value).count(b":")


def _refuse_twins(body: bytes) -> None:
    """Parses again, slowly, seeing every key. The numbers are not wanted: Python refuses integers over 4,300 digits."""
    json.loads(body.decode(), object_pairs_hook=_check_keys, parse_int=len, parse_float=len)


def _check_keys(pairs: list[tuple[str, object]]) -> None:
    if len(dict(pairs)) == len(pairs):
        return
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            raise InvalidInput(
                _TITLE, [Flaw(pointer="#", detail=f"the key {key[:100]!r} stands twice in one object; keep one")]
            )
        seen.add(key)
