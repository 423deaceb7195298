"""How runs begin and are cancelled: the facts of `upshot.runs` that ask for them."""

from dataclasses import dataclass
from typing import ClassVar

from shared.domain.records.common import Command, SourceEvent
from shared.domain.workflow import Match


@dataclass(frozen=True, slots=True, kw_only=True)
class Unevaluated:
    """A workflow that the matcher did not get to, and why (`budget`). `*`: any that is not named."""

    workflow_id: str
    reason: str


@dataclass(slots=True, kw_only=True, unsafe_hash=True)  # a value, but freezing costs 0.1 µs a field
class EventMatched:
    """All that one event leads to, by priority. The first per (event, replay) stands whole."""

    TYPE: ClassVar[str] = "event.matched"
    event: SourceEvent
    definitions_version: int
    matches: tuple[Match, ...]
    unevaluated: tuple[Unevaluated, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequested:
    """A person or a service asks for a run."""

    TYPE: ClassVar[str] = "run.requested"
    match: Match
    inputs: dict[str, object]
    command: Command


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCancelled:
    TYPE: ClassVar[str] = "run.cancelled"
    run_id: str
    reason: str
    command: Command
