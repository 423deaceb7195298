"""The envelope: what every fact in every topic is wrapped in, a CloudEvents 1.0 event with Upshot's extensions.

`data` stays raw JSON bytes, so that relaying never loses a digit; parse it once, where it is needed.
Next: `shared/bus/codec.py` maps it to records in Kafka binary mode; `records` types what Upshot itself appends.
"""

from dataclasses import dataclass, field
from datetime import datetime

JSON_CONTENT_TYPE = "application/json"


@dataclass(slots=True, kw_only=True, unsafe_hash=True)  # a value like all others, but freezing costs 3 µs an event
class Event:
    """A past-tense, immutable fact.

    `id` is unique within a tenant and derived (see `ids.py`); `source` is a URI reference; `time` is when it
    happened by its writer's clock; `causal_chain` are the ids of the workflows whose runs led here, oldest first;
    `version` is the record version that upcasters read; `attributes` are CloudEvents extensions we only carry; `fact` is
    what reading `data` would give, where this process wrote it and knows.
    """

    id: str
    source: str
    type: str
    tenant_id: str
    data: bytes | None
    time: datetime | None = None
    subject: str | None = None
    correlation_id: str | None = None
    causation_id: str | None = None
    causal_chain: tuple[str, ...] = ()
    traceparent: str | None = None
    replay_id: str | None = None
    version: int = 1
    content_type: str | None = JSON_CONTENT_TYPE
    dataschema: str | None = None
    attributes: tuple[tuple[str, str], ...] = ()
    fact: object = field(default=None, repr=False, compare=False)


def routing_key(tenant_id: str, subject: str | None = None) -> bytes:
    """The record key of all that concerns a tenant. Today the tenant itself; `subject` is there for lanes to come."""
    del subject
    return tenant_id.encode()
