"""What facts of more than one kind hold: who asked, why something failed, the event that a run is about."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What a caller asked for. `id`: the Idempotency-Key or drawn; the fold keeps its verdict under it for 30 days."""

    id: str
    payload_hash: str
    actor: str
    roles: tuple[str, ...] = ()
    channel: str = "api"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why something failed: a stable `kind` to filter by, and a sentence for people."""

    kind: str
    detail: str


@dataclass(slots=True, kw_only=True, unsafe_hash=True)  # a value, but freezing costs 0.1 µs a field
class SourceEvent:
    """The platform event that a run is about, whole: executors never read `upshot.events`."""

    id: str
    source: str
    type: str
    data: object
    subject: str | None = None
    time: datetime | None = None
    correlation_id: str | None = None
    causation_id: str | None = None
    causal_chain: tuple[str, ...] = ()
    replay_id: str | None = None
