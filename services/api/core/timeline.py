"""A run's records as its timeline: what each says, where it lies, and which record it follows from. Pure.

Guarantee: what is shown is what the log holds, byte for byte where it is JSON; of the record that matched an event only this
run's part is shown; the answer stays bounded, and says so where data was left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from shared.bus import codec, facts
from shared.bus.port import Record
from shared.domain.envelope import Event
from shared.domain.records import EventMatched

DATA_BYTES_MAX = 4_194_304
"""Of a whole timeline; beyond it entries come without their data."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A record, decoded once."""

    record: Record
    event: Event


def decode_entries(records: Sequence[Record]) -> list[Entry]:
    """The records with their events."""
    return [Entry(record, codec.decode(record)) for record in records]


def show_timeline(run_id: str, entries: Sequence[Entry]) -> list[dict[str, object]]:
    """The entries as JSON, in the order given."""
    left = DATA_BYTES_MAX
    shown = []
    for entry in entries:
        size = len(entry.event.data or b"")
        left -= size
        shown.append(_show(run_id, entry, with_data=left >= 0))
    return shown


def show_data(event: Event) -> object:
    """An event's data: JSON as it stands in the log, anything else as text."""
    raw = event.data
    if raw is None:
        return None
    try:
        orjson.loads(raw)
    except orjson.JSONDecodeError:
        return raw.decode("utf-8", "replace")
    # The very bytes: no digit is lost on the way to whoever asks.
    return orjson.Fragment(raw)


def _show(run_id: str, entry: Entry, *, with_data: bool) -> dict[str, object]:
    record, event = entry.record, entry.event
    shown: dict[str, object] = {
        "id": event.id,
        "type": event.type,
        "source": event.source,
        "time": event.time,
        "recorded_at": codec.recorded_at(record),
        "position": {"topic": record.topic, "partition": record.partition, "offset": record.offset},
        "causation_id": event.causation_id,
        "correlation_id": event.correlation_id,
        "traceparent": event.traceparent,
    }
    if not with_data:
        shown["data_left_out"] = True
    elif event.type == EventMatched.TYPE:
        shown["data"] = _own_part(run_id, event)
    else:
        shown["data"] = show_data(event)
    return shown


def _own_part(run_id: str, event: Event) -> dict[str, object]:
    fact = facts.runs_fact(event)
    if not isinstance(fact, EventMatched):
        raise AssertionError(f"{event.type} is another fact than its type says")
    return {
        "event": {"id": fact.event.id, "type": fact.event.type},
        "definitions_version": fact.definitions_version,
        "match": next((match for match in fact.matches if match.run_id == run_id), None),
        "matches": len(fact.matches),
        "unevaluated": len(fact.unevaluated),
    }
