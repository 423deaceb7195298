"""Upshot's own facts (`shared/domain/records`) as the data of an envelope, and back.

pydantic checks every field on the way in: a fact that does not fit its class is `UndecodableRecord`, and on
`definitions` and `runs` that halts the partition, loudly.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar, get_args

from pydantic import TypeAdapter, ValidationError

from shared.bus.codec import UndecodableRecord
from shared.domain.envelope import Event
from shared.domain.json_text import dump_json
from shared.domain.records import DefinitionsFact, RunsFact

SOURCES = {
    "api": "/upshot/api",
    "matcher": "/upshot/matcher",
    "executor": "/upshot/executor",
    "approvals": "/upshot/approvals",
}

NEWEST_VERSION = 1
"""Of every fact there is; upcasters bring older records here. A newer one means something that this version cannot know."""

_Fact = TypeVar("_Fact")

_DEFINITIONS: dict[str, TypeAdapter[DefinitionsFact]] = {
    each.TYPE: TypeAdapter(each) for each in get_args(DefinitionsFact)
}
_RUNS: dict[str, TypeAdapter[RunsFact]] = {each.TYPE: TypeAdapter(each) for each in get_args(RunsFact)}


@dataclass(slots=True, kw_only=True, unsafe_hash=True)  # a value, but freezing costs 0.1 µs a field
class Cause:
    """What a fact follows from; it is written into the envelope, so that every record names its cause."""

    causation_id: str | None
    correlation_id: str | None
    causal_chain: tuple[str, ...] = ()
    traceparent: str | None = None


def envelop(
    fact: DefinitionsFact | RunsFact,
    *,
    id: str,
    tenant_id: str,
    source: str,
    at: datetime,
    cause: Cause,
) -> Event:
    """The event that carries `fact`."""
    return Event(
        id=id,
        source=source,
        type=fact.TYPE,
        tenant_id=tenant_id,
        data=dump_json(fact),
        time=at.astimezone(UTC),
        causation_id=cause.causation_id,
        correlation_id=cause.correlation_id,
        causal_chain=cause.causal_chain,
        traceparent=cause.traceparent,
    )


def definitions_fact(event: Event) -> DefinitionsFact:
    """The fact that a record of `upshot.definitions` carries."""
    return _parse(_DEFINITIONS.get(event.type), event)


def runs_fact(event: Event) -> RunsFact:
    """The fact that a record of `upshot.runs` carries."""
    return _parse(_RUNS.get(event.type), event)


def _parse(adapter: TypeAdapter[_Fact] | None, event: Event) -> _Fact:
    if adapter is None:
        raise UndecodableRecord(f"{event.type!r} is no fact that this version knows (record {event.id})")
    if event.version != NEWEST_VERSION:
        raise UndecodableRecord(f"{event.type} in version {event.version} is from a later Upshot (record {event.id})")
    if event.data is None:
        raise UndecodableRecord(f"{event.type} without data (record {event.id})")
    try:
        return adapter.validate_json(event.data)
    except ValidationError as error:
        raise UndecodableRecord(f"{event.type} does not fit (record {event.id}): {error}") from error
