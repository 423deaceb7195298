"""Events to records and back: CloudEvents 1.0 in Kafka binary mode, on every adapter.

Attributes stand in `ce_` headers (plain UTF-8), `datacontenttype` in `content-type`, the data is the value. What is
written is frozen by golden bytes in the tests; both directions are on every hot path and take a few microseconds, hence
plain loops and no validation library. What others wrote is decoded by other rules, here as well, so that every reader
knows it by the same id.
Next: `upcasters.py` for record versions, `foreign.py` for what upstream services append themselves.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from shared.bus.cloudevents_json import UnreadableEvent, is_attribute_name, parse_event
from shared.bus.foreign import foreign_event
from shared.bus.headers import HeaderColumns
from shared.bus.port import NewRecord, Record
from shared.bus.record_versions import RECORD_VERSIONS
from shared.bus.upcasters import RecordVersions
from shared.domain import rfc3339
from shared.domain.envelope import JSON_CONTENT_TYPE, Event, routing_key
from shared.domain.errors import Flaw, InvalidInput, PermanentError

CONTENT_TYPE = "content-type"
RECORDED_TIME = "recordedtime"
"""Header of a copied log: when the record was first appended. No `ce_` prefix, so that no event can set it."""

_STRUCTURED_PREFIX = b"application/cloudevents"

# In the order in which they are written; of those that may be absent one bit each says which a record has.
_CONTENT_TYPE, _TIME, _SUBJECT, _DATASCHEMA, _CORRELATION_ID = 1, 2, 4, 8, 16
_CAUSATION_ID, _CAUSAL_CHAIN, _TRACEPARENT, _REPLAY_ID, _RECORD_VERSION = 32, 64, 128, 256, 512
_WRITTEN = (
    (_CONTENT_TYPE, CONTENT_TYPE),
    *((0, f"ce_{name}") for name in ("specversion", "id", "source", "type", "tenantid")),
    *((_TIME, "ce_time"), (_SUBJECT, "ce_subject"), (_DATASCHEMA, "ce_dataschema")),
    *((_CORRELATION_ID, "ce_correlationid"), (_CAUSATION_ID, "ce_causationid"), (_CAUSAL_CHAIN, "ce_causalchain")),
    *((_TRACEPARENT, "ce_traceparent"), (_REPLAY_ID, "ce_replayid"), (_RECORD_VERSION, "ce_recordversion")),
)
_names_by_which: dict[int, tuple[str, ...]] = {}

# Attributes that `Event` has fields for; they can never come from its `attributes`.
_FIELD_NAMES = frozenset(
    {"specversion", "id", "source", "type", "time", "subject", "dataschema", "datacontenttype", "tenantid"}
    | {"correlationid", "causationid", "causalchain", "traceparent", "replayid", "recordversion"}
)


class UndecodableRecord(PermanentError):
    """A record that is no event of ours or anybody's; `reason` says why, `flaws` where. What follows is the reader's policy."""

    def __init__(self, reason: str, flaws: Sequence[Flaw] = ()) -> None:
        super().__init__(reason)
        self.reason = reason
        self.flaws = tuple(flaws)


def encode(topic: str, event: Event) -> NewRecord:
    """The record to append. Optional attributes that are empty are left out, as CloudEvents forbids them.

    Raises ValueError where the event breaks the envelope's own rules (an empty id, a naive time, a reserved name).
    """
    if not (event.id and event.source and event.type and event.tenant_id):
        raise ValueError("id, source, type and tenant_id must not be empty")
    named = 0
    texts: list[str] = []
    content_type = event.content_type
    if content_type:
        if content_type != JSON_CONTENT_TYPE and content_type.lower().startswith("application/cloudevents"):
            raise ValueError("data that is itself a CloudEvent in structured mode would be read as the envelope")
        named |= _CONTENT_TYPE
        texts.append(content_type)
    texts += ("1.0", event.id, event.source, event.type, event.tenant_id)
    if event.time is not None:
        named |= _TIME
        texts.append(rfc3339.render(event.time))
    if event.subject:
        named |= _SUBJECT
        texts.append(event.subject)
    if event.dataschema:
        named |= _DATASCHEMA
        texts.append(event.dataschema)
    if event.correlation_id:
        named |= _CORRELATION_ID
        texts.append(event.correlation_id)
    if event.causation_id:
        named |= _CAUSATION_ID
        texts.append(event.causation_id)
    if event.causal_chain:
        named |= _CAUSAL_CHAIN
        texts.append(_joined_chain(event.causal_chain))
    if event.traceparent:
        named |= _TRACEPARENT
        texts.append(event.traceparent)
    if event.replay_id:
        named |= _REPLAY_ID
        texts.append(event.replay_id)
    if event.version != 1:
        named |= _RECORD_VERSION
        texts.append(str(event.version))
    names = _names_by_which.get(named) or _names_by_which.setdefault(named, _names_of(named))
    for name, value in event.attributes:
        if name in _FIELD_NAMES or not is_attribute_name(name):
            raise ValueError(f"{name!r} cannot name an extension attribute")
        names += (f"ce_{name}",)
        texts.append(value)
    return NewRecord(
        topic=topic,
        key=routing_key(event.tenant_id, event.subject),
        headers=HeaderColumns.of_texts(names, texts),
        value=event.data,
        origin=event if _reads_back_the_same(event) else None,
    )


def decode(record: Record | NewRecord, versions: RecordVersions = RECORD_VERSIONS) -> Event:
    """The event that a record holds, in its newest version. Raises `UndecodableRecord`.

    One that this process has encoded itself, in that version, is that very event.
    """
    if record.origin is not None:
        event = record.origin
    elif record.foreign and isinstance(record, Record):
        try:
            return foreign_event(record.headers, record.value, recorded_at(record))
        except InvalidInput as error:
            raise UndecodableRecord(str(error), error.flaws) from None
    else:
        try:
            event = _event(*_fields(record))
        except UnicodeDecodeError as error:
            raise UndecodableRecord(f"a header is not UTF-8: {error}") from None
    return versions.upcast(record.topic, event) if versions.upcasters else event


def parse_attributes(record: Record | NewRecord) -> tuple[dict[str, str], bytes | None]:
    """Attributes by CloudEvents name, and data, with what CloudEvents itself demands and no more (no tenant).

    Raises `UndecodableRecord`.
    """
    fields, data = _fields(record)
    content_type = fields.pop(CONTENT_TYPE, None)
    _check_required(fields, ("ce_id", "ce_source", "ce_type"))
    try:
        attributes = {name[3:]: value.decode() for name, value in fields.items() if name.startswith("ce_")}
        if content_type is not None:
            attributes["datacontenttype"] = content_type.decode()
    except UnicodeDecodeError as error:
        raise UndecodableRecord(f"a header is not UTF-8: {error}") from None
    return attributes, data


def _names_of(which: int) -> tuple[str, ...]:
    return tuple(name for bit, name in _WRITTEN if not bit or which & bit)


def _reads_back_the_same(event: Event) -> bool:
    """Whether decoding gives the same event: empty optional attributes come back as None, times in UTC."""
    if event.time is not None and event.time.tzinfo is not UTC:
        return False
    if len(event.attributes) > 1 and len(dict(event.attributes)) < len(event.attributes):
        return False
    optional = (event.content_type, event.subject, event.dataschema, event.correlation_id, event.causation_id)
    return "" not in optional and "" not in (event.traceparent, event.replay_id)


def recorded_at(record: Record) -> datetime:
    """When the fact entered the log: the bus's append time, or, in a copied log, the first log's."""
    if record.origin is not None:
        return record.recorded_at  # encoded here, not copied: `encode` writes no such header
    for name, value in record.headers:
        if name == RECORDED_TIME:
            try:
                return rfc3339.parse(value.decode())
            except ValueError as error:
                raise UndecodableRecord(f"header {RECORDED_TIME}: {error}") from None
    return record.recorded_at


def _fields(record: Record | NewRecord) -> tuple[dict[str, bytes], bytes | None]:
    """The headers as in binary mode, and the data; specversion is checked. Of a name that stands twice the last counts,
    as in Kafka's own `lastHeader`."""
    fields = dict(record.headers)
    data = record.value
    content_type = fields.get(CONTENT_TYPE)
    if content_type is not None and content_type[:23].lower() == _STRUCTURED_PREFIX:
        fields, data = _structured_fields(record.value)
    specversion = fields.get("ce_specversion")
    if specversion != b"1.0":
        raise UndecodableRecord("no ce_specversion" if specversion is None else "ce_specversion is not 1.0")
    return fields, data


def _event(fields: dict[str, bytes], data: bytes | None) -> Event:
    pop = fields.pop
    event_id = pop("ce_id", None)
    source = pop("ce_source", None)
    event_type = pop("ce_type", None)
    tenant_id = pop("ce_tenantid", None)
    if not (event_id and source and event_type and tenant_id):
        named = {"ce_id": event_id, "ce_source": source, "ce_type": event_type, "ce_tenantid": tenant_id}
        _check_required(named, tuple(named))
        raise AssertionError("one of them is empty")
    content_type = pop(CONTENT_TYPE, None)
    time = pop("ce_time", None)
    subject = pop("ce_subject", None)
    correlation_id = pop("ce_correlationid", None)
    causation_id = pop("ce_causationid", None)
    chain = pop("ce_causalchain", None)
    traceparent = pop("ce_traceparent", None)
    replay_id = pop("ce_replayid", None)
    version = pop("ce_recordversion", None)
    dataschema = pop("ce_dataschema", None)
    del fields["ce_specversion"]
    return Event(
        id=event_id.decode(),
        source=source.decode(),
        type=event_type.decode(),
        tenant_id=tenant_id.decode(),
        data=data,
        time=_parsed_time(time) if time else None,
        subject=subject.decode() if subject else None,
        correlation_id=correlation_id.decode() if correlation_id else None,
        causation_id=causation_id.decode() if causation_id else None,
        causal_chain=tuple(chain.decode().split(",")) if chain else (),
        traceparent=traceparent.decode() if traceparent else None,
        replay_id=replay_id.decode() if replay_id else None,
        version=_parsed_version(version) if version else 1,
        content_type=content_type.decode() if content_type else None,
        dataschema=dataschema.decode() if dataschema else None,
        attributes=_extensions(fields) if fields else (),
    )


def _structured_fields(value: bytes | None) -> tuple[dict[str, bytes], bytes | None]:
    if value is None:
        raise UndecodableRecord("structured mode without a value")
    try:
        parsed = parse_event(value)
    except UnreadableEvent as error:
        raise UndecodableRecord(f"structured mode: {error}") from None
    content_type = parsed.attributes.pop("datacontenttype", None)
    fields = {f"ce_{name}": text.encode() for name, text in parsed.attributes.items()}
    if content_type is not None:
        fields[CONTENT_TYPE] = content_type.encode()
    return fields, parsed.data


def _extensions(fields: dict[str, bytes]) -> tuple[tuple[str, str], ...]:
    return tuple((_checked_name(name[3:]), value.decode()) for name, value in fields.items() if name[:3] == "ce_")


def _parsed_time(value: bytes) -> datetime:
    try:
        return rfc3339.parse(value.decode())
    except UnicodeDecodeError:
        raise
    except ValueError as error:
        raise UndecodableRecord(f"ce_time: {error}") from None


def _check_required(fields: Mapping[str, bytes | None], names: tuple[str, ...]) -> None:
    if absent := [name for name in names if not fields.get(name)]:
        raise UndecodableRecord(f"no {', no '.join(absent)}")


def _checked_name(name: str) -> str:
    if not is_attribute_name(name):
        raise UndecodableRecord(f"{name!r} cannot name an attribute")
    return name


def _parsed_version(digits: bytes) -> int:
    if not (digits.isdigit() and len(digits) < 10 and int(digits) > 0):
        raise UndecodableRecord(f"ce_recordversion {digits[:20]!r} is not a positive integer")
    return int(digits)


def _joined_chain(workflow_ids: tuple[str, ...]) -> str:
    chain = ",".join(workflow_ids)
    if "" in workflow_ids or chain.count(",") >= len(workflow_ids):
        raise ValueError("a workflow id in the causal chain is empty or holds a comma")
    return chain
