"""Upshot's own facts (`shared/domain/records`) as the data of an envelope, and back.

pydantic checks every field on the way in: a fact that does not fit its class is `UndecodableRecord`, and on
`definitions` and `runs` that halts the partition, loudly.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TypeVar, get_args

from pydantic import TypeAdapter, ValidationError

from shared.bus.codec import UndecodableRecord
from shared.bus.record_versions import RECORD_VERSIONS
from shared.bus.topics import DEFINITIONS, RUNS
from shared.domain.envelope import Event
from shared.domain.json_text import dump_json
from shared.domain.records import DefinitionsFact, RunsFact

SOURCES = {
    "api": "/upshot/api",
    "matcher": "/upshot/matcher",
    "executor": "/upshot/executor",
    "approvals": "/upshot/approvals",
}

_Fact = TypeVar("_Fact")

_DEFINITIONS: dict[str, TypeAdapter[DefinitionsFact]] = {
    each.TYPE: TypeAdapter(each) for each in get_args(DefinitionsFact)
}
_RUNS: dict[str, TypeAdapter[RunsFact]] = {each.TYPE: TypeAdapter(each) for each in get_args(RunsFact)}
_RUNS_CLASSES: dict[str, type[RunsFact]] = {each.TYPE: each for each in get_args(RunsFact)}
_SCALARS = frozenset({str, int, bool, type(None)})
_NEWEST = {
    event_type: RECORD_VERSIONS.newest(topic, event_type)
    for topic, adapters in ((DEFINITIONS, _DEFINITIONS), (RUNS, _RUNS))
    for event_type in adapters
}
"""The version of each fact's class. A newer one means something that this version of Upshot cannot know."""


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
    as_read: DefinitionsFact | RunsFact | None = None,
) -> Event:
    """The event that carries `fact`, in its newest version; `write_level.py` sees to what may be written.

    `as_read`: the very fact that reading the event's data would give, where the writer has it at hand; whoever reads it in
    this process is spared the parse, which costs more than all else about a record.
    """
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
        version=_NEWEST[fact.TYPE],
        fact=as_read,
    )


def definitions_fact(event: Event) -> DefinitionsFact:
    """The fact that a record of `upshot.definitions` carries."""
    return _parse(_DEFINITIONS.get(event.type), event)


def read_back(event: Event) -> Event:
    """`event` with the very fact that reading its data of `upshot.runs` gives, which spares this process a second parse.

    Raises `UndecodableRecord` where nobody could read it: to be asked by a writer of what others made, before it appends.
    """
    return replace(event, fact=_parse(_RUNS.get(event.type), event))


def reads_back(members: Mapping[str, object]) -> bool:
    """Whether JSON surely gives back the very same: whole numbers, texts, true, false and null, nothing below them."""
    return _SCALARS.issuperset(map(type, members.values()))


def runs_fact(event: Event) -> RunsFact:
    """The fact that a record of `upshot.runs` carries."""
    fact = event.fact
    if type(fact) is _RUNS_CLASSES.get(event.type):
        return fact
    return _parse(_RUNS.get(event.type), event)


def _parse(adapter: TypeAdapter[_Fact] | None, event: Event) -> _Fact:
    if adapter is None:
        raise UndecodableRecord(f"{event.type!r} is no fact that this version knows (record {event.id})")
    if event.version != _NEWEST[event.type]:
        raise UndecodableRecord(f"{event.type} in version {event.version} is from a later Upshot (record {event.id})")
    if event.data is None:
        raise UndecodableRecord(f"{event.type} without data (record {event.id})")
    try:
        return adapter.validate_json(event.data)
    except ValidationError as error:
        raise UndecodableRecord(f"{event.type} does not fit (record {event.id}): {error}") from error
