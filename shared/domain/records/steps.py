"""What becomes of a run's steps: tries that begin and end, and what could not be tried."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal

from shared.domain.records.common import Command, Problem


@dataclass(slots=True, kw_only=True, unsafe_hash=True)  # a value, but freezing costs 0.1 µs a field
class AttemptStarted:
    """A try of a step begins. `request` is what will be sent, rendered, secrets as references: from here on frozen.

    `due_at`: an action that only waits is over at this instant.
    """

    TYPE: ClassVar[str] = "attempt.started"
    run_id: str
    step_id: str
    number: int
    request: dict[str, object]
    due_at: datetime | None = None


@dataclass(slots=True, kw_only=True, unsafe_hash=True)  # a value, but freezing costs 0.1 µs a field
class AttemptFinished:
    """A try ended. `retry_at` (jitter included): the next one is due then; None after a failure: the step failed."""

    TYPE: ClassVar[str] = "attempt.finished"
    run_id: str
    step_id: str
    number: int
    outcome: Literal["succeeded", "failed"]
    output: object = None
    problem: Problem | None = None
    retry_at: datetime | None = None
    elapsed_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSkipped:
    """The step's `if` was false (or could not be evaluated: then `reason` says why)."""

    TYPE: ClassVar[str] = "step.skipped"
    run_id: str
    step_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFailed:
    """The step could not even be tried: its template did not render, its endpoint is gone, a guard refused."""

    TYPE: ClassVar[str] = "step.failed"
    run_id: str
    step_id: str
    problem: Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class StepUnknown:
    """An unsafe attempt was begun and nobody knows how it ended."""

    TYPE: ClassVar[str] = "step.unknown"
    run_id: str
    step_id: str
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResolved:
    """A person says how an unknown attempt ended, or that it may be tried again."""

    TYPE: ClassVar[str] = "step.resolved"
    run_id: str
    step_id: str
    number: int
    resolution: Literal["succeeded", "failed", "retry"]
    reason: str
    command: Command
