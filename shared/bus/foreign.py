"""What an upstream service has appended to `upshot.events` itself, as a platform event. Pure.

Nothing in a record proves who wrote it, so one that does not carry Upshot's seal (`seal.py`) is read as what `POST /events`
would be sent: CloudEvents 1.0 in Kafka's binary or structured mode, judged by the same function (`published.py`). Its id
follows from tenant, source and the publisher's id; what only Upshot says of an event is not believed.
Headers of other tools are no attributes; names of headers may be in any case, as HTTP bridges write them.
"""

from datetime import datetime
from functools import lru_cache

from shared.bus.cloudevents_json import ParsedEvent, UnreadableEvent, is_attribute_name, parse_event
from shared.bus.cloudevents_rules import attribute_flaws
from shared.bus.headers import Headers
from shared.bus.published import Publisher, platform_event
from shared.domain.envelope import Event
from shared.domain.errors import Flaw, InvalidInput

_CONTENT_TYPE = "content-type"
_STRUCTURED_PREFIX = "application/cloudevents"
_STRUCTURED_TYPE = "application/cloudevents+json"
_CHARSETS = ("utf-8", "utf8", "us-ascii")
_NO_EVENT = "this is no CloudEvent"
_NAMES_CACHED = 4096  # a few dozen are in use; a writer could invent many


def foreign_event(headers: Headers, value: bytes | None, recorded_at: datetime) -> Event:
    """`recorded_at`: when the bus took it, which is when an event without a time happened.

    Raises `InvalidInput` with every flaw; pointers as of the event's JSON form (`#/tenantid`, `#/data/amount_minor`).
    """
    parsed = _parsed(headers, value)
    attributes = parsed.attributes
    flaws = list(attribute_flaws(attributes))
    if not attributes.get("tenantid"):
        detail = "say whose event it is: the tenant's id, in the ce_tenantid header or the member tenantid"
        flaws.append(Flaw(pointer="#/tenantid", detail=detail))
    if flaws:
        raise InvalidInput(_NO_EVENT, flaws)
    publisher = Publisher(tenant_id=attributes["tenantid"], received_at=recorded_at, traceparent=None)
    return platform_event(attributes, parsed.data, publisher)


def _parsed(headers: Headers, value: bytes | None) -> ParsedEvent:
    content_type: bytes | None = None
    for name, bytes_ in headers:
        if len(name) == len(_CONTENT_TYPE) and name.lower() == _CONTENT_TYPE:
            if content_type is not None and content_type != bytes_:
                raise _refusal("#/datacontenttype", "the content-type header stands twice, with two values")
            content_type = bytes_
    if content_type is None:
        return _binary(headers, None, value)
    try:
        media_type = content_type.decode().strip()
    except UnicodeDecodeError:
        raise _refusal("#/datacontenttype", "the content-type header is not UTF-8") from None
    if media_type[: len(_STRUCTURED_PREFIX)].lower() == _STRUCTURED_PREFIX:
        return _structured(media_type, value)
    return _binary(headers, media_type, value)


def _structured(media_type: str, value: bytes | None) -> ParsedEvent:
    essence, *parameters = (each.strip().lower() for each in media_type.split(";"))
    charsets = [each.partition("=")[2].strip('" ') for each in parameters if each.startswith("charset")]
    if essence != _STRUCTURED_TYPE or not all(each in _CHARSETS for each in charsets):
        raise _refusal("#", f"{media_type[:100]}: a record is one event, as {_STRUCTURED_TYPE} in UTF-8")
    if value is None:
        raise _refusal("#", "structured mode without a value: a tombstone is no event")
    try:
        return parse_event(value)
    except UnreadableEvent as error:
        raise InvalidInput(_NO_EVENT, error.flaws) from None


def _binary(headers: Headers, media_type: str | None, value: bytes | None) -> ParsedEvent:
    attributes: dict[str, str] = {}
    flaws: list[Flaw] = []
    for header, bytes_ in headers:
        name = _attribute(header)
        if name is None:
            continue
        if isinstance(name, Flaw):
            flaws.append(name)
            continue
        try:
            text = bytes_.decode()
        except UnicodeDecodeError:
            flaws.append(Flaw(pointer=f"#/{name}", detail="not UTF-8"))
            continue
        if attributes.setdefault(name, text) != text:
            flaws.append(Flaw(pointer=f"#/{name}", detail="stands twice, with two values"))
    if flaws:
        raise InvalidInput(_NO_EVENT, flaws)
    if not attributes:
        what = "a tombstone" if value is None else "a value without ce_ headers"
        raise _refusal("#", f"{what}: send ce_ headers with the data as the value, or one event as {_STRUCTURED_TYPE}")
    if media_type is not None:
        attributes["datacontenttype"] = media_type
    return ParsedEvent(attributes=attributes, data=value or None)


@lru_cache(maxsize=_NAMES_CACHED)
def _attribute(header: str) -> str | Flaw | None:
    """The attribute that a header holds; None: it is another tool's."""
    if header[:3].lower() != "ce_":
        return None
    name = header[3:]
    if name.isascii():  # else it is no name, and not by becoming one: the Kelvin sign's lower case is k
        name = name.lower()
    if not is_attribute_name(name):
        return Flaw(pointer=f"#/{name[:100]}", detail="an attribute's name is lower-case letters and digits")
    if name == "datacontenttype":
        return Flaw(pointer="#/datacontenttype", detail="in binary mode this is the content-type header")
    return name


def _refusal(pointer: str, detail: str) -> InvalidInput:
    return InvalidInput(_NO_EVENT, [Flaw(pointer=pointer, detail=detail)])
