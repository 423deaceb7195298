"""What the fold of one partition of `upshot.runs` remembers. Mutable inside the fold, never changed from outside it.

A run is in memory whole until it is closed and the projector's checkpoint has passed it. Whether a closed run is still
in memory must make no difference to any verdict: facts about closed runs change nothing.
Next: `fold.py`.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime
from operator import attrgetter
from typing import Literal

from shared.domain.records import Problem, SourceEvent
from shared.domain.workflow import Match

FOLD_VERSION = 4
"""Raised whenever the meaning of a snapshot changes: older ones are then rebuilt, never read."""

RunStatus = Literal[
    "pending_approval", "queued", "running", "succeeded", "failed", "cancelled", "denied", "expired", "skipped"
]
ApprovalStatus = Literal["pending", "granted", "denied", "expired", "cancelled", "voided"]
StepStatus = Literal["pending", "started", "retrying", "unknown", "succeeded", "failed", "skipped"]

ActivityKey = tuple[str, str]
"""(tenant id, scope): a workflow's id, or `tag_scope` of a tag."""

ENDED: frozenset[RunStatus] = frozenset({"succeeded", "failed", "cancelled", "denied", "expired", "skipped"})
STEP_ENDED: frozenset[StepStatus] = frozenset({"succeeded", "failed", "skipped"})
_STATUS = attrgetter("status")


@dataclass(slots=True, kw_only=True)
class Attempt:
    """One try of a step, as far as the log tells."""

    number: int
    started_at: datetime
    ended_at: datetime | None = None
    outcome: str | None = None
    problem: Problem | None = None
    elapsed_seconds: float | None = None


@dataclass(slots=True, kw_only=True)
class Step:
    """`number` is that of the newest attempt, 0 before the first. `due_at`: when it goes on by itself."""

    id: str
    status: StepStatus = "pending"
    number: int = 0
    due_at: datetime | None = None
    request: dict[str, object] | None = None
    output: object = None
    problem: Problem | None = None
    reason: str | None = None
    attempts: list[Attempt] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Decision:
    """One person's word on an approval; `void` says why it did not count."""

    actor: str
    decision: Literal["granted", "denied"]
    reason: str
    channel: str
    at: datetime
    void: str | None = None


@dataclass(slots=True, kw_only=True)
class Approval:
    """What a run waits for. `status` leaves `pending` once."""

    id: str
    requested_at: datetime
    expires_at: datetime
    status: ApprovalStatus = "pending"
    decided_at: datetime | None = None
    decided_by: str | None = None
    """Whose word ended it, or who cancelled the run; None also where nobody did."""
    decisions: list[Decision] = field(default_factory=list)

    def close(self, status: ApprovalStatus, at: datetime, *, by: str | None = None) -> None:
        """It is what it is from now on."""
        self.status, self.decided_at, self.decided_by = status, at, by


@dataclass(slots=True, kw_only=True)
class Run:
    """One execution of a revision. `positions`: offsets, in its partition, of every command on it and of every other
    record that changed it; a record's repetition is in nobody's history."""

    id: str
    tenant_id: str
    match: Match
    status: RunStatus
    requested_at: datetime
    event: SourceEvent | None = None
    inputs: dict[str, object] = field(default_factory=dict)
    requested_by: str | None = None
    reason: Problem | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    steps: dict[str, Step] = field(default_factory=dict)
    approval: Approval | None = None
    positions: list[int] = field(default_factory=list)
    queued_position: int | None = None
    """Where in the log it was queued: the order of the queue, which a grant makes another than the order of asking."""
    correlation_id: str | None = None
    causation_id: str | None = None
    """The record that asked for it."""
    last_record_id: str | None = None
    traceparent: str | None = None

    @property
    def ended(self) -> bool:
        return self.status in ENDED

    @property
    def closed(self) -> bool:
        """Ended, and no attempt is still on its way: nothing in the log will change this run any more."""
        return self.status in ENDED and "started" not in map(_STATUS, self.steps.values())

    @property
    def causal_chain(self) -> tuple[str, ...]:
        """What whatever this run causes carries: the chain that led here, then this run's workflow."""
        return (*(self.event.causal_chain if self.event is not None else ()), self.match.workflow_id)


@dataclass(slots=True, kw_only=True)
class Activity:
    """What counts in one scope. `cooldowns`: when a key was last admitted, oldest first.

    A workflow has a line, and days of its own zone. A tag has no line, and its workflows may name several zones, whose days
    begin at other instants: its admissions are counted by the quarter of an hour, which every zone's midnight falls on.
    """

    running: set[str] = field(default_factory=set)
    queued: OrderedDict[str, None] = field(default_factory=OrderedDict)
    """Run ids, next one first."""
    pending: set[str] = field(default_factory=set)
    """Of a workflow: those that wait for a person."""
    day: str = ""
    runs_today: int = 0
    cooldowns: OrderedDict[str, datetime] = field(default_factory=OrderedDict)
    quarters: dict[int, int] = field(default_factory=dict)
    """Of a tag: admissions by quarter of an hour since the epoch, oldest first, as far back as a day can reach."""
    cooldown_seconds: int = 0
    """Of a tag: the longest cooldown that was ever held against it, which is how long keys are remembered."""
    cooldowns_end: datetime | None = field(default=None, compare=False)
    """Since it was restored: up to which instant admissions have been forgotten."""


@dataclass(slots=True, kw_only=True)
class Usage:
    """One tenant's runs that were admitted in `month` (`2026-03`, UTC)."""

    month: str = ""
    runs: int = 0


def tag_scope(tag: str) -> str:
    """The scope that all runs of a tenant share that name this tag. No workflow's id has a colon."""
    return f"tag:{tag}"
