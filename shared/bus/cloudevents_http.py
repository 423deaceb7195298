"""CloudEvents over HTTP: binary, structured and batch mode, each event judged by itself against CloudEvents 1.0.

What comes back keeps the data's bytes. Whether the data is what the event type's schema says is the caller's question.
Next: `cloudevents_json.py`, the JSON format.
"""

import re
from collections.abc import Iterable, Mapping
from urllib.parse import unquote_to_bytes

from shared.bus.cloudevents_json import (
    ParsedEvent,
    UnreadableEvent,
    UnreadableText,
    is_attribute_name,
    parse_batch,
    parse_event,
)
from shared.bus.cloudevents_rules import attribute_flaws
from shared.domain.errors import Flaw

_ESCAPED = re.compile(r"\\(.)")
_UNDERSTOOD = ("application/cloudevents+json", "application/cloudevents-batch+json")
_CHARSETS = frozenset({"", "utf-8", "utf8", "us-ascii"})


class UnknownFormat(Exception):
    """A CloudEvent in a format, or in a charset, that is not understood; the text names those that are."""


def parse_http(
    headers: Mapping[str, str] | Iterable[tuple[str, str]], body: bytes
) -> Iterable[ParsedEvent | UnreadableEvent]:
    """The events of a request in order, each read or refused by itself; one in all but batch mode, where each is read once it
    is asked for.

    Raises `UnreadableEvent` where the request as a whole is none: no JSON, an event that is no object, a batch that is
    no array (of one that is nested without end on the way, too); `UnknownFormat`.
    """
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    lowered = [(name.lower(), value) for name, value in pairs]
    content_type = next((value for name, value in lowered if name == "content-type"), None)
    media_type, charset = _media_type(content_type)
    if not media_type.startswith("application/cloudevents"):
        return [_judged(_binary(lowered, content_type, body))]
    if media_type not in _UNDERSTOOD or charset not in _CHARSETS:
        # As a literal: a byte that is no UTF-8 comes as half of a surrogate pair, which no answer can hold.
        raise UnknownFormat(f"{content_type!r:.100} is not understood; {' or '.join(_UNDERSTOOD)} in UTF-8 is")
    if media_type == "application/cloudevents-batch+json":
        return map(_judged, parse_batch(body))
    return [_judged(_one(body))]


def _media_type(content_type: str | None) -> tuple[str, str]:
    media_type, *parameters = (content_type or "").lower().split(";")
    charset = ""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "charset":
            charset = value.strip().strip('"')
    return media_type.strip(), charset


def _one(body: bytes) -> ParsedEvent | UnreadableEvent:
    try:
        return parse_event(body)
    except UnreadableText:
        raise
    except UnreadableEvent as error:
        return error


def _binary(headers: Iterable[tuple[str, str]], content_type: str | None, body: bytes) -> ParsedEvent | UnreadableEvent:
    attributes: dict[str, str] = {}
    flaws: list[Flaw] = []
    for header, value in headers:
        if not header.startswith("ce-"):
            continue
        name = header.removeprefix("ce-")
        if not is_attribute_name(name):
            flaws.append(Flaw(pointer=f"#/{name}", detail="an attribute's name is lower-case letters and digits"))
        elif name == "datacontenttype":
            flaws.append(Flaw(pointer="#/datacontenttype", detail="in binary mode this is the content-type header"))
        elif name in attributes:
            flaws.append(Flaw(pointer=f"#/{name}", detail="stands twice"))
        else:
            try:
                attributes[name] = _decoded(value)
            except UnicodeError:
                flaws.append(Flaw(pointer=f"#/{name}", detail="not UTF-8 once percent-decoded"))
    if not attributes and not flaws:
        raise _refusal(
            f"no CloudEvent: send ce- headers with the data as the body, or an event as {' or '.join(_UNDERSTOOD)}"
        )
    if content_type is not None:
        attributes["datacontenttype"] = content_type
        if not content_type.isprintable():  # a byte that is no UTF-8 comes as half of a surrogate pair
            flaws.append(Flaw(pointer="#/datacontenttype", detail="the content-type header is not printable UTF-8"))
    if flaws:
        return UnreadableEvent(flaws, attributes.get("id"))
    return ParsedEvent(attributes=attributes, data=body or None)


def _decoded(value: str) -> str:
    """A header value in clear: a quoted string is unescaped, then one round of percent-decoding."""
    value = value.strip()
    if len(value) > 1 and value[0] == value[-1] == '"':
        value = _ESCAPED.sub(r"\1", value[1:-1])
    return unquote_to_bytes(value).decode()


def _judged(event: ParsedEvent | UnreadableEvent) -> ParsedEvent | UnreadableEvent:
    if isinstance(event, UnreadableEvent):
        return event
    if flaws := list(attribute_flaws(event.attributes)):
        return UnreadableEvent(flaws, event.attributes.get("id"))
    return event


def _refusal(detail: str) -> UnreadableEvent:
    return UnreadableEvent([Flaw(pointer="#", detail=detail)])
