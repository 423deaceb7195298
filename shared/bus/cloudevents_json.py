"""The CloudEvents 1.0 JSON format, read without losing a digit: `data` comes back as the very bytes that were sent.

orjson judges whether the text is JSON at all (valid UTF-8, no lone surrogates, bounded depth); the standard library's
scanner then finds where each member begins and ends, and sees duplicate keys, which orjson hides.
Next: `codec.py` (Kafka structured mode) and `cloudevents_http.py` (HTTP structured and batch mode) use it, and the trial of a
workflow, whose event lies within another document.
"""

import binascii
import re
from base64 import b64decode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from json import JSONDecoder

import orjson

from shared.domain.errors import Flaw

_SPACE = re.compile(r"[ \t\r\n]*")
_INTEGER_RANGE = range(-(2**31), 2**31)  # CloudEvents' Integer type


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedEvent:
    """Attributes in CloudEvents' canonical string form (`datacontenttype` among them), and the data's bytes."""

    attributes: dict[str, str]
    data: bytes | None


class UnreadableEvent(ValueError):
    """No CloudEvent; `flaws` says where and why, `event_id` names it if it could be read."""

    def __init__(self, flaws: Sequence[Flaw], event_id: str | None = None) -> None:
        super().__init__("; ".join(f"{flaw.pointer}: {flaw.detail}" for flaw in flaws))
        self.flaws = tuple(flaws)
        self.event_id = event_id


class UnreadableText(UnreadableEvent):
    """Not even a flawed event: the text is no JSON, or JSON of another kind than was announced."""


def parse_event(body: bytes) -> ParsedEvent:
    """One event in structured mode. Checks types and names of members; which attributes must be there is the
    caller's to check. Raises `UnreadableEvent`, and `UnreadableText` where it is no JSON object."""
    text = _checked_text(body)
    start = _skip_space(text, 0)
    if text[start] != "{":
        raise UnreadableText([Flaw(pointer="#", detail="a single event is a JSON object")])
    return _event_at(text, start)


def parse_batch(body: bytes) -> Iterator[ParsedEvent | UnreadableEvent]:
    """The events of a batch in order, each read or refused by itself, and only once it is asked for: there may be millions.

    Raises `UnreadableText` at once where it is no array, and `UnreadableEvent` on the way where nobody can tell where an
    event ends.
    """
    text = _checked_text(body)
    start = _skip_space(text, 0)
    if text[start] != "[":
        raise UnreadableText([Flaw(pointer="#", detail="a batch is a JSON array of events")])
    return (_event_or_flaws(text, begin, end) for begin, end in _elements(text, start))


def member_text(body: bytes, *names: str) -> bytes | None:
    """The text of a member of a JSON object, or of objects within it, to the byte; None: there is none.

    `body`: what `read_json` took. Whoever parses it as a whole has lost digits that the stream keeps.
    """
    text = body.decode()
    start, end = _skip_space(text, 0), len(text)
    for name in names:
        if text[start] != "{":
            return None
        found = next(((begin, stop) for each, begin, stop in _members(text, start) if each == name), None)
        if found is None:
            return None
        start, end = found
    return text[start:end].encode()


def _checked_text(body: bytes) -> str:
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise UnreadableText([Flaw(pointer="#", detail=f"not JSON: {error}")]) from None
    return body.decode()


def _event_or_flaws(text: str, start: int, end: int) -> ParsedEvent | UnreadableEvent:
    if text[start] != "{":
        return UnreadableEvent([Flaw(pointer="#", detail=f"an event is a JSON object, not {text[start:end][:20]}")])
    try:
        return _event_at(text, start)
    except UnreadableEvent as error:
        return error


def _event_at(text: str, start: int) -> ParsedEvent:
    attributes: dict[str, str] = {}
    seen: set[str] = set()
    flaws: list[Flaw] = []
    raw_data: str | None = None
    raw_base64: str | None = None
    try:
        for name, value_start, value_end in _members(text, start):
            if name in seen:
                flaws.append(Flaw(pointer=f"#/{name}", detail="stands twice"))
            seen.add(name)
            raw = text[value_start:value_end]
            if name == "data":
                raw_data = raw
            elif raw == "null":
                continue  # unset
            elif name == "data_base64":
                raw_base64 = raw
            elif not is_attribute_name(name):
                flaws.append(Flaw(pointer=f"#/{name}", detail="an attribute's name is lower-case letters and digits"))
            else:
                _read_attribute(name, raw, attributes, flaws)
    except UnreadableEvent as error:
        flaws.extend(error.flaws)
    data = _data_bytes(raw_data, raw_base64, attributes.get("datacontenttype"), flaws)
    if flaws:
        raise UnreadableEvent(flaws, attributes.get("id"))
    return ParsedEvent(attributes=attributes, data=data)


def is_attribute_name(name: str) -> bool:
    """Lower-case ASCII letters and digits, and never `data`."""
    return name.isascii() and name.isalnum() and name == name.lower() and name != "data"


_STRING_ATTRIBUTES = frozenset(
    {"id", "source", "specversion", "type", "subject", "time", "dataschema", "datacontenttype", "tenantid"}
)


def _read_attribute(name: str, raw: str, attributes: dict[str, str], flaws: list[Flaw]) -> None:
    if raw[0] == '"':
        attributes[name] = orjson.loads(raw)
    elif name in _STRING_ATTRIBUTES:
        flaws.append(Flaw(pointer=f"#/{name}", detail="must be a string"))
    elif raw in ("true", "false"):
        attributes[name] = raw
    elif raw[0] in "{[" or not raw.lstrip("-").isdigit() or len(raw) > 11 or int(raw) not in _INTEGER_RANGE:
        flaws.append(Flaw(pointer=f"#/{name}", detail="an attribute is a string, a boolean or a 32-bit integer"))
    else:
        attributes[name] = str(int(raw))


def is_json_type(content_type: str | None) -> bool:
    """Whether data of this media type is JSON; none given means JSON in this format."""
    if content_type is None:
        return True
    media_type = content_type.partition(";")[0].strip().lower()
    return media_type.endswith(("/json", "+json"))


def _data_bytes(
    raw_data: str | None, raw_base64: str | None, content_type: str | None, flaws: list[Flaw]
) -> bytes | None:
    if raw_base64 is not None:
        if raw_data is not None:
            flaws.append(Flaw(pointer="#/data_base64", detail="data and data_base64 exclude each other"))
        elif raw_base64[0] != '"':
            flaws.append(Flaw(pointer="#/data_base64", detail="must be a string"))
        else:
            try:
                return b64decode(orjson.loads(raw_base64), validate=True)
            except (binascii.Error, ValueError):
                flaws.append(Flaw(pointer="#/data_base64", detail="not base64"))
        return None
    if raw_data is None:
        return None
    if is_json_type(content_type):
        return raw_data.encode()
    if raw_data[0] == '"':
        text: str = orjson.loads(raw_data)
        return text.encode()
    if raw_data != "null":
        flaws.append(Flaw(pointer="#/data", detail=f"data of type {content_type} is a string, or use data_base64"))
    return None


# --- where members and elements begin and end; the text is known to be valid JSON here ---


class _KeyTwiceError(ValueError):
    pass


def _refuse_duplicates(pairs: list[tuple[str, object]]) -> None:
    if len({name for name, _ in pairs}) != len(pairs):
        raise _KeyTwiceError


# Numbers stay text: only their extent matters here, and no digit may cost time or be lost.
_CHECKING = JSONDecoder(parse_float=str, parse_int=str, object_pairs_hook=_refuse_duplicates)
_MEASURING = JSONDecoder(parse_float=str, parse_int=str, object_pairs_hook=lambda _pairs: None)


def _members(text: str, position: int) -> Iterator[tuple[str, int, int]]:
    position = _skip_space(text, position + 1)
    while text[position] != "}":
        name, position = _CHECKING.raw_decode(text, position)
        start = _skip_space(text, _skip_space(text, position) + 1)
        try:
            _, end = _CHECKING.raw_decode(text, start)
        except RecursionError:
            raise UnreadableEvent([Flaw(pointer=f"#/{name}", detail="nested too deeply")]) from None
        except _KeyTwiceError:
            raise UnreadableEvent([Flaw(pointer=f"#/{name}", detail="an object names a key twice")]) from None
        yield name, start, end
        position = _after_comma(text, end)


def _elements(text: str, position: int) -> Iterator[tuple[int, int]]:
    position = _skip_space(text, position + 1)
    while text[position] != "]":
        try:
            _, end = _MEASURING.raw_decode(text, position)
        except RecursionError:
            raise UnreadableEvent([Flaw(pointer="#", detail="nested too deeply")]) from None
        yield position, end
        position = _after_comma(text, end)


def _after_comma(text: str, position: int) -> int:
    position = _skip_space(text, position)
    return _skip_space(text, position + 1) if text[position] == "," else position


def _skip_space(text: str, position: int) -> int:
    found = _SPACE.match(text, position)
    assert found is not None  # the pattern matches the empty string
    return found.end()
