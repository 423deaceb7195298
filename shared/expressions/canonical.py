"""Canonical JSON: one sequence of bytes for each JSON value, so that hashes of equal values are equal.

Guarantee: as RFC 8785 has it: keys sorted by their UTF-16 code units, no spaces, UTF-8, shortest escapes, doubles as
ECMAScript writes them. One departure: integers keep all their digits, where RFC 8785 would round them to a double.
Next: approvals hash what a person was shown with `sha256_hex`.
"""

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from json.encoder import encode_basestring
from typing import Final

from shared.domain.errors import Flaw, InvalidInput

CANONICAL_DEPTH_MAX: Final = 160
_INTEGER_BITS_MAX: Final = 12_000  # 3,600 digits; Python refuses to write more than 4,300


def canonical_json(value: object) -> bytes:
    """Raises InvalidInput for what JSON can't hold: NaN, infinities, lone surrogates, keys that are no text."""
    written: list[str] = []
    _write(value, written.append, 0)
    try:
        return "".join(written).encode()
    except UnicodeEncodeError as error:
        raise _refused("text with a lone surrogate") from error


def sha256_hex(value: object) -> str:
    """SHA-256 of the canonical JSON, in lower-case hex."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def _write(value: object, write: Callable[[str], None], depth: int) -> None:
    if isinstance(value, str):
        write(encode_basestring(value))
    elif value is None:
        write("null")
    elif isinstance(value, bool):
        write("true" if value else "false")
    elif isinstance(value, int):
        if value.bit_length() > _INTEGER_BITS_MAX:
            raise _refused(f"an integer of more than {_INTEGER_BITS_MAX} bits")
        write(str(value))
    elif isinstance(value, float):
        write(_number(value))
    elif depth > CANONICAL_DEPTH_MAX:
        raise _refused(f"nested deeper than {CANONICAL_DEPTH_MAX} levels")
    elif isinstance(value, Mapping):
        before = "{"
        for name in _sorted(value):
            write(f"{before}{encode_basestring(name)}:")
            _write(value[name], write, depth + 1)
            before = ","
        write("}" if value else "{}")
    elif isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        before = "["
        for item in value:
            write(before)
            _write(item, write, depth + 1)
            before = ","
        write("]" if value else "[]")
    else:
        raise _refused(f"a {type(value).__name__}")


def _sorted(names: Iterable[object]) -> list[str]:
    known = []
    for name in names:
        if not isinstance(name, str):
            raise _refused(f"a key that is a {type(name).__name__}")
        known.append(name)
    # Below the surrogates, code points and UTF-16 code units sort alike.
    return sorted(known) if all(map(str.isascii, known)) else sorted(known, key=_utf16)


def _number(value: float) -> str:
    """ECMAScript's Number::toString, which RFC 8785 names."""
    if not math.isfinite(value):
        raise _refused("a number that is not finite")
    if value == 0:
        return "0"
    mantissa, _, exponent = f"{value!r}".lower().lstrip("-").partition("e")
    whole, _, fraction = mantissa.partition(".")
    fraction = "" if fraction == "0" else fraction
    # digits d and position n such that the value is 0.d × 10^n
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent or 0) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0") or "0"
    sign = "-" if value < 0 else ""
    if len(digits) <= point <= 21:
        return sign + digits + "0" * (point - len(digits))
    if 0 < point <= 21:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    power = f"{point - 1:+d}"
    return f"{sign}{digits[0]}{'.' + digits[1:] if digits[1:] else ''}e{power}"


def _utf16(name: str) -> bytes:
    return name.encode("utf-16-be", "surrogatepass")


def _refused(what: str) -> InvalidInput:
    return InvalidInput("the value has no canonical JSON", [Flaw(pointer="#", detail=f"it holds {what}")])
