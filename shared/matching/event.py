"""An event as patterns see it: a JSON object whose numbers and duplicate members are all still there.

The fast parser drops digits and hides duplicate members; so the compiled kernel looks for such in the text, or, where
there is none, what was read is compared with what was written, and only where the two may differ is the text read again,
slowly. In the tree of `EventFields` a number that lost digits is a
`LossyNumber`, and members of one name are a tuple of their values (JSON itself has no tuples). An event that was read
slowly is a `SlowlyRead`; any other tree holds no tuples, which is what the fast way of the index rests on.
Next: `fields.py`, which walks the tree.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NewType

import orjson

from shared.domain.errors import Flaw, InvalidInput
from shared.matching import native
from shared.matching.json_text import read_json
from shared.matching.numbers import from_python

_parse = orjson.loads
_write = orjson.dumps
_TITLE = "the event cannot be read"
DEPTH_MAX = 250
_WHITESPACE: Final = b" \t\r\n"
_DIGITS_AS_ZEROS: Final = bytes(48 if chr(byte) in "0123456789" else byte for byte in range(256)).replace(b"E", b"e")
_ESCAPED_COLON: Final = b"\\u003"  # \\u003a, and fifteen characters that are as rarely escaped
_MANY_DIGITS: Final = b"0" * 16  # any decimal of fewer significant digits survives its double
_SUBNORMAL: Final = b"0e-000"  # near and below 1e-308 even short decimals do not
_LOSSY_NUMBER: Final = re.compile(rb"[:\[,\s]-?(?:[0-9][0-9.]{15,}|[0-9.]+[eE]-[0-9]{3})")


EventFields = NewType("EventFields", dict[str, Any])  # Any: JSON
"""One event, parsed once, as only this module makes it. The tree itself: a wrapper would cost a tenth of the parse."""


class SlowlyRead(dict[str, Any]):  # Any: JSON
    """The root of an event some of whose text had to be read slowly."""

    __slots__ = ()


def read_event_in_python(raw: bytes) -> EventFields:
    """As `read_event`, without the kernel."""
    try:
        root = _parse(raw)
    except orjson.JSONDecodeError:
        return _read_event_slowly(raw)
    return _look_closer(raw, root)


def _look_closer(raw: bytes, root: Any) -> EventFields:
    """The event, where something of it may have been lost in `root`, what the fast parser made of it."""
    return _of_object(root) if _is_whole(raw, root) else _read_event_slowly(raw)


def _read_event_slowly(raw: bytes) -> EventFields:
    return EventFields(SlowlyRead(_of_object(_read_slowly(raw))))


def _of_object(root: Any) -> EventFields:
    if type(root) is not dict:
        raise InvalidInput(_TITLE, [Flaw(pointer="#", detail="an event is a JSON object")])
    return root  # type: ignore[return-value]  # NewType's own call would cost a twentieth of the parse


read_event: Callable[[bytes], EventFields] = (
    native.Reader(_parse, _look_closer, _read_event_slowly) if native.IS_THERE else read_event_in_python
)
"""The event that a JSON text is; raises `InvalidInput` where it is no JSON object."""


def event_of(attributes: Mapping[str, Any], data: bytes | None) -> EventFields:
    """The event of an envelope's attributes (JSON scalars) and its data as raw JSON, each part parsed once.

    `data` None leaves the field out; raises `InvalidInput` where it is no JSON.
    """
    root = dict(attributes)
    if data is not None:
        root["data"], was_slow = _read(data)
        if was_slow:
            return EventFields(SlowlyRead(root))
    return EventFields(root)


def event_from_value(value: Mapping[str, Any]) -> EventFields:
    """The event of an already parsed JSON object; copies it. Raises `InvalidInput` for what is no JSON."""
    return EventFields({key: _copied(member, 1) for key, member in value.items()})


def read_value(raw: bytes) -> Any:  # Any: JSON
    """The value of a JSON text with nothing lost: see the module's docstring for what stands for what."""
    return _read(raw)[0]


def has_duplicate_keys(raw: bytes) -> bool:
    """Whether some object of a JSON text names a member twice: what edges refuse. Raises `InvalidInput` for no JSON."""
    return _has_repeated(read_value(raw))


def _read(raw: bytes) -> tuple[Any, bool]:
    """The value, and whether it was read slowly."""
    try:
        value = _parse(raw)
    except orjson.JSONDecodeError:
        return _read_slowly(raw), True
    if (native.IS_THERE and native.is_lossless(raw)) or _is_whole(raw, value):
        return value, False
    return _read_slowly(raw), True


def _has_repeated(value: Any) -> bool:
    waiting = [value]
    while waiting:
        node = waiting.pop()
        if type(node) is tuple:
            return True
        if type(node) is dict:
            waiting.extend(node.values())
        elif type(node) is list:
            waiting.extend(node)
    return False


def _is_whole(raw: bytes, value: Any) -> bool:
    """Whether surely nothing was lost in what the fast parser made of the text."""
    try:
        written = _write(value)
    except orjson.JSONEncodeError:
        raise _too_deep() from None  # the only thing it cannot write back
    # in the canonical form nothing is lost: that is the whole check for most
    return written == raw or _is_faithful(raw, value, written)


def _is_faithful(raw: bytes, value: Any, written: bytes) -> bool:
    """Whether the fast parser's value can have lost nothing. False may be a false alarm, True never is.

    Equal but for whitespace: the same tokens, so as many members and every digit. Otherwise members are counted by
    their colons (those within strings are equal on both sides as long as none is escaped), digits by their runs.
    """
    if raw.translate(None, _WHITESPACE) == written.translate(None, _WHITESPACE):
        return True
    if _ESCAPED_COLON in raw or raw.count(b":") != written.count(b":"):
        return False
    zeros = raw.translate(_DIGITS_AS_ZEROS, b".+")
    if _MANY_DIGITS not in zeros and _SUBNORMAL not in zeros:
        return True
    return _LOSSY_NUMBER.search(raw) is None and type(value) is dict


def _read_slowly(raw: bytes) -> Any:
    """Also what the fast parser refuses: lone surrogates and 1e309, which are JSON; or it says what is wrong."""
    value = read_json(raw, title=_TITLE, on_object=_keep_duplicates)
    level, depth = [value], 0
    while level:
        if depth > DEPTH_MAX:
            raise _too_deep()
        level = [child for node in level for child in _children(node)]
        depth += 1
    return value


def _children(node: Any) -> list[Any]:
    if type(node) is dict:
        return list(node.values())
    return list(node) if type(node) in (list, tuple) else []


def _keep_duplicates(members: list[tuple[str, Any]]) -> dict[str, Any]:
    kept = dict(members)
    if len(kept) == len(members):
        return kept
    values: dict[str, list[Any]] = {}
    for key, value in members:
        values.setdefault(key, []).append(value)
    return {key: found[0] if len(found) == 1 else tuple(found) for key, found in values.items()}


def _too_deep() -> InvalidInput:
    detail = f"nested more than {DEPTH_MAX} levels deep; flatten it"
    return InvalidInput(_TITLE, [Flaw(pointer="#", detail=detail)])


def _copied(value: object, depth: int) -> Any:
    if depth > DEPTH_MAX:
        raise _too_deep()
    match value:
        case None | bool() | str():
            return value
        case int():
            return from_python(value)
        case float() if value - value == 0:  # neither infinite nor NaN
            return value
        case list():
            return [_copied(item, depth + 1) for item in value]
        case Mapping() if all(isinstance(key, str) for key in value):
            return {key: _copied(member, depth + 1) for key, member in value.items()}
    raise InvalidInput(_TITLE, [Flaw(pointer="#", detail=f"{type(value).__name__} is no JSON value")])
