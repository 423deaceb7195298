"""An upstream service's CloudEvent as a platform event: checked against the catalogue, named by its source and id. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from shared.bus import rfc3339
from shared.domain.envelope import JSON_CONTENT_TYPE, Event
from shared.domain.errors import Flaw, InvalidInput
from shared.domain.ids import published_event_id
from shared.domain.json_text import read_json

DataFlaws = Callable[[str, object], Sequence[Flaw]]
"""(event type, data) -> what the catalogue's schema finds wrong; nothing for types that it does not list."""

# Attributes that have a place of their own in the envelope, or that only Upshot sets.
_PLACED = frozenset(
    {"specversion", "id", "source", "type", "time", "subject", "datacontenttype", "dataschema", "tenantid"}
    | {"correlationid", "causationid", "causalchain", "traceparent", "replayid", "recordversion"}
)
_UPSHOTS_OWN = "/upshot/"


class ForeignTenant(Exception):
    """An event names another tenant than the token's: nothing of the request is taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Publisher:
    """For whom events are published, and what holds for all of them."""

    tenant_id: str
    received_at: datetime
    traceparent: str
    data_bytes_max: int


def platform_event(
    attributes: Mapping[str, str], data: bytes | None, publisher: Publisher, data_flaws: DataFlaws
) -> Event:
    """Raises `InvalidInput` with every flaw, `ForeignTenant`.

    A publisher's causal chain is believed: cutting it would let two services loop through each other unseen.
    """
    if attributes.get("tenantid", publisher.tenant_id) != publisher.tenant_id:
        raise ForeignTenant
    flaws = [*_missing(attributes), *_content_flaws(attributes, data, publisher, data_flaws)]
    if attributes.get("source", "").startswith(_UPSHOTS_OWN):
        detail = f"sources that begin with {_UPSHOTS_OWN} are the platform's own; name your service"
        flaws.append(Flaw(pointer="#/source", detail=detail))
    time = publisher.received_at
    if "time" in attributes:
        try:
            time = rfc3339.parse(attributes["time"])
        except ValueError as error:
            flaws.append(Flaw(pointer="#/time", detail=f"no RFC 3339 instant: {error}"))
    if flaws:
        raise InvalidInput("the event cannot be taken", flaws)
    event_id = published_event_id(publisher.tenant_id, attributes["source"], attributes["id"])
    chain = attributes.get("causalchain")
    return Event(
        id=event_id,
        source=attributes["source"],
        type=attributes["type"],
        tenant_id=publisher.tenant_id,
        data=data,
        time=time,
        subject=attributes.get("subject"),
        correlation_id=attributes.get("correlationid", event_id),
        causation_id=attributes.get("causationid", attributes["id"]),
        causal_chain=tuple(chain.split(",")) if chain else (),
        traceparent=attributes.get("traceparent", publisher.traceparent),
        content_type=JSON_CONTENT_TYPE if data is not None else None,
        dataschema=attributes.get("dataschema"),
        attributes=(
            ("publishedid", attributes["id"]),
            *((name, value) for name, value in attributes.items() if name not in _PLACED and name != "publishedid"),
        ),
    )


def _missing(attributes: Mapping[str, str]) -> list[Flaw]:
    return [
        Flaw(pointer=f"#/{name}", detail="this attribute is needed and must not be empty")
        for name in ("id", "source", "type")
        if not attributes.get(name)
    ]


def _content_flaws(
    attributes: Mapping[str, str], data: bytes | None, publisher: Publisher, data_flaws: DataFlaws
) -> list[Flaw]:
    if data is None:
        value: object = None
        if not data_flaws(attributes.get("type", ""), {}):
            return []
        return [Flaw(pointer="#/data", detail="this event type needs data")]
    if len(data) > publisher.data_bytes_max:
        detail = f"{len(data)} bytes; {publisher.data_bytes_max} are the most: send a reference instead"
        return [Flaw(pointer="#/data", detail=detail)]
    content_type = attributes.get("datacontenttype", JSON_CONTENT_TYPE).split(";")[0].strip().lower()
    if content_type != JSON_CONTENT_TYPE and not content_type.endswith("+json"):
        return [Flaw(pointer="#/datacontenttype", detail=f"{content_type}: only JSON data can be matched")]
    try:
        value = read_json(data)
    except InvalidInput as error:
        return [Flaw(pointer="#/data" + flaw.pointer.removeprefix("#"), detail=flaw.detail) for flaw in error.flaws]
    return [
        Flaw(pointer="#/data" + flaw.pointer.removeprefix("#"), detail=flaw.detail)
        for flaw in data_flaws(attributes.get("type", ""), value)
    ]
