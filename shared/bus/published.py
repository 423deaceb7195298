"""An upstream service's CloudEvent as a platform event, whichever way it came: checked against the catalogue, named by its
source and id. Pure.

`POST /events` and what upstreams append to `upshot.events` themselves (`foreign.py`) come through here, so the same event
is the same event by either way, and is refused for the same reasons.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache

import jsonschema_rs

from shared.bus.cloudevents_json import is_json_type
from shared.domain import catalogue, rfc3339
from shared.domain.envelope import JSON_CONTENT_TYPE, Event
from shared.domain.errors import Flaw, InvalidInput
from shared.domain.ids import published_event_id
from shared.domain.json_text import read_json
from shared.workflows.document import pointer_to
from shared.workflows.triggers import OWN_PREFIX

DATA_BYTES_MAX = 262_144
"""Of one event's data. A match holds the event with all that it leads to, and has to fit into one record, too."""
ATTRIBUTES_BYTES_MAX = 16_384
"""Of all attributes together, names and values: every record about the event repeats most of them."""
CHAIN_MAX = 32
"""Workflows in a causal chain. Ten is the most that a workflow may allow."""
FLAWS_MAX = 20
OWN_TYPE = f"types that begin with {OWN_PREFIX} are the platform's own; name what happened"

# Attributes that have a place of their own in the envelope, or that only Upshot sets.
_PLACED = frozenset(
    {"specversion", "id", "source", "type", "time", "subject", "datacontenttype", "dataschema", "tenantid"}
    | {"correlationid", "causationid", "causalchain", "traceparent", "replayid", "recordversion", "publishedid"}
)
_UPSHOTS_SOURCES = "/upshot/"
_TRACEPARENT = re.compile(r"(?!ff)(?!00.{54})[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")
"""Version 00 has 55 characters; what later ones add begins with a dash."""


class ForeignTenant(Exception):
    """An event names another tenant than the token's: nothing of the request is taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Publisher:
    """For whom events are published, and what holds for all of them. `received_at`: when an event without a time happened.
    `traceparent`: of an event that brings none."""

    tenant_id: str
    received_at: datetime
    traceparent: str | None
    data_bytes_max: int = DATA_BYTES_MAX


def platform_event(attributes: Mapping[str, str], data: bytes | None, publisher: Publisher) -> Event:
    """Raises `InvalidInput` with every flaw, `ForeignTenant`.

    A publisher's causal chain is believed: cutting it would let two services loop through each other unseen. What only
    Upshot says of an event (that it is replayed, its record version) is left out.
    """
    if attributes.get("tenantid", publisher.tenant_id) != publisher.tenant_id:
        raise ForeignTenant
    told = attributes.get("causalchain")
    chain = tuple(each.strip() for each in told.split(",")) if told else ()
    flaws = [
        *_missing(attributes),
        *_reserved(attributes),
        *_chain_flaws(chain),
        *_content_flaws(attributes, data, publisher),
    ]
    time = publisher.received_at
    if "time" in attributes:
        try:
            time = rfc3339.parse(attributes["time"])
        except ValueError as error:
            flaws.append(Flaw(pointer="#/time", detail=f"no RFC 3339 instant: {error}"))
    if flaws:
        raise InvalidInput("the event cannot be taken", flaws)
    event_id = published_event_id(publisher.tenant_id, attributes["source"], attributes["id"])
    traceparent = attributes.get("traceparent")
    if traceparent is None or not _TRACEPARENT.fullmatch(traceparent):
        traceparent = publisher.traceparent  # as W3C has it: what is no trace context is as good as none
    return Event(
        id=event_id,
        source=attributes["source"],
        type=attributes["type"],
        tenant_id=publisher.tenant_id,
        data=data,
        time=time,
        subject=attributes.get("subject"),
        correlation_id=attributes.get("correlationid") or event_id,
        causation_id=attributes.get("causationid") or attributes["id"],
        causal_chain=chain,
        traceparent=traceparent,
        content_type=JSON_CONTENT_TYPE if data is not None else None,
        dataschema=attributes.get("dataschema"),
        attributes=(
            ("publishedid", attributes["id"]),
            *((name, value) for name, value in attributes.items() if name not in _PLACED),
        ),
    )


def _missing(attributes: Mapping[str, str]) -> list[Flaw]:
    return [
        Flaw(pointer=f"#/{name}", detail="this attribute is needed and must not be empty")
        for name in ("id", "source", "type")
        if not attributes.get(name)
    ]


def _reserved(attributes: Mapping[str, str]) -> list[Flaw]:
    flaws = []
    if attributes.get("source", "").startswith(_UPSHOTS_SOURCES):
        detail = f"sources that begin with {_UPSHOTS_SOURCES} are the platform's own; name your service"
        flaws.append(Flaw(pointer="#/source", detail=detail))
    if attributes.get("type", "").startswith(OWN_PREFIX):
        flaws.append(Flaw(pointer="#/type", detail=OWN_TYPE))
    size = len("".join(attributes).encode()) + len("".join(attributes.values()).encode())
    if size > ATTRIBUTES_BYTES_MAX:
        detail = (
            f"the attributes have {size} bytes; {ATTRIBUTES_BYTES_MAX} are the most: what is large belongs into data"
        )
        flaws.append(Flaw(pointer="#", detail=detail))
    return flaws


def _chain_flaws(chain: Sequence[str]) -> list[Flaw]:
    if not all(chain):
        return [Flaw(pointer="#/causalchain", detail="workflow ids joined by commas, none of them empty")]
    if len(chain) > CHAIN_MAX:
        detail = f"{len(chain)} workflows; {CHAIN_MAX} are the most: whatever goes through so many is a loop"
        return [Flaw(pointer="#/causalchain", detail=detail)]
    return []


def _content_flaws(attributes: Mapping[str, str], data: bytes | None, publisher: Publisher) -> list[Flaw]:
    event_type = attributes.get("type", "")
    if data is None:
        if not data_flaws(event_type, {}):
            return []
        return [Flaw(pointer="#/data", detail="this event type needs data")]
    if len(data) > publisher.data_bytes_max:
        detail = f"{len(data)} bytes; {publisher.data_bytes_max} are the most: send a reference instead"
        return [Flaw(pointer="#/data", detail=detail)]
    content_type = attributes.get("datacontenttype")
    if not is_json_type(content_type):
        return [Flaw(pointer="#/datacontenttype", detail=f"{content_type}: only JSON data can be matched")]
    try:
        value = read_json(data)
    except InvalidInput as error:
        return [Flaw(pointer="#/data" + flaw.pointer.removeprefix("#"), detail=flaw.detail) for flaw in error.flaws]
    return [
        Flaw(pointer="#/data" + flaw.pointer.removeprefix("#"), detail=flaw.detail)
        for flaw in data_flaws(event_type, value)
    ]


def data_flaws(event_type: str, data: object) -> list[Flaw]:
    """What the catalogue's schema finds wrong with data, pointers below it; nothing for types that it does not list."""
    validator = _validators().get(event_type)
    if validator is None:
        return []
    found = []
    for error in validator.iter_errors(data):
        found.append(Flaw(pointer=pointer_to(*error.instance_path), detail=error.message[:500]))
        if len(found) == FLAWS_MAX:
            break
    return found


@cache
def _validators() -> dict[str, jsonschema_rs.Draft202012Validator]:
    return {each.name: jsonschema_rs.Draft202012Validator(dict(each.schema)) for each in catalogue.all_types()}
