"""Every fact that Upshot itself appends to `upshot.definitions` and `upshot.runs`, as values.

A class is one record type at its newest version; its `TYPE` is the CloudEvents type on the wire. Shipped types are
never edited: a new meaning is a new version and an upcaster (`shared/bus/codec.py`). Golden bytes of each stay in the tests.
Next: `definitions.py` and `runs/fold.py` decide what these facts amount to.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal

from shared.domain.hooks import HookPlan
from shared.domain.plans import UNBOUNDED, Quotas
from shared.domain.workflow import Match, StepPlan


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


# ---------------------------------------------------------------- upshot.definitions


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantCreated:
    """`quotas` are the plan's as they were then; tenants from before there were any are bounded by none."""

    TYPE: ClassVar[str] = "tenant.created"
    name: str
    plan: str
    command: Command
    quotas: Quotas = UNBOUNDED


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantPlanChanged:
    """From here on these quotas bound the tenant. What is beyond them already stays; nothing more is added to it."""

    TYPE: ClassVar[str] = "tenant.plan_changed"
    plan: str
    quotas: Quotas
    command: Command


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceCreated:
    """`secrets` are sealed (`sealed:…`), newest first."""

    TYPE: ClassVar[str] = "source.created"
    source_id: str
    name: str
    vendor: str
    settings: dict[str, object]
    secrets: tuple[str, ...]
    command: Command


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointCreated:
    """`secrets` are sealed, newest first; all of them sign."""

    TYPE: ClassVar[str] = "endpoint.created"
    endpoint_id: str
    name: str
    url: str
    secrets: tuple[str, ...]
    command: Command


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointDisabled:
    """By a person, or because the receiver answered 410."""

    TYPE: ClassVar[str] = "endpoint.disabled"
    endpoint_id: str
    reason: str
    command: Command


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointEnabled:
    TYPE: ClassVar[str] = "endpoint.enabled"
    endpoint_id: str
    command: Command


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowSaved:
    """A new revision, void if `base_revision` is not the newest (None: the workflow is new).

    `document` is normalised and checked. `steps` and `high_risk` are what the action catalogue said on saving. `enabled`
    is how a new workflow begins; saving a later revision leaves that as it is. `hooks` are its inbound URLs.
    """

    TYPE: ClassVar[str] = "workflow.saved"
    workflow_id: str
    base_revision: int | None
    document: dict[str, object]
    steps: tuple[StepPlan, ...]
    high_risk: bool
    command: Command
    enabled: bool = True
    hooks: tuple[HookPlan, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowEnabled:
    TYPE: ClassVar[str] = "workflow.enabled"
    workflow_id: str
    command: Command


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowDisabled:
    TYPE: ClassVar[str] = "workflow.disabled"
    workflow_id: str
    command: Command


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowArchived:
    """Out of use: disabled, its name free, its revisions and runs kept. Void if `base_revision` (None: whichever) is not
    the newest."""

    TYPE: ClassVar[str] = "workflow.archived"
    workflow_id: str
    command: Command
    base_revision: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowUnarchived:
    """Back, disabled; void if its name is another's by now."""

    TYPE: ClassVar[str] = "workflow.unarchived"
    workflow_id: str
    command: Command


@dataclass(frozen=True, slots=True, kw_only=True)
class HookSecretRotated:
    """The hook has a new current secret (sealed). Those before it stay valid for `overlap_seconds` at most."""

    TYPE: ClassVar[str] = "hook.secret_rotated"
    workflow_id: str
    hook_id: str
    secret: str
    overlap_seconds: int
    command: Command


DefinitionsFact = (
    TenantCreated
    | TenantPlanChanged
    | SourceCreated
    | EndpointCreated
    | EndpointDisabled
    | EndpointEnabled
    | WorkflowSaved
    | WorkflowEnabled
    | WorkflowDisabled
    | WorkflowArchived
    | WorkflowUnarchived
    | HookSecretRotated
)

# ---------------------------------------------------------------- upshot.runs


@dataclass(frozen=True, slots=True, kw_only=True)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Unevaluated:
    """A workflow that the matcher did not get to, and why (`budget`)."""

    workflow_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
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


@dataclass(frozen=True, slots=True, kw_only=True)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCancelled:
    TYPE: ClassVar[str] = "run.cancelled"
    run_id: str
    reason: str
    command: Command


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalDecided:
    """One person's decision on the subject whose hash that person was shown."""

    TYPE: ClassVar[str] = "approval.decided"
    run_id: str
    decision: Literal["granted", "denied"]
    reason: str
    subject_hash: str
    command: Command


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalExpired:
    """The deadline passed. True only if, by the log's own time, it has."""

    TYPE: ClassVar[str] = "approval.expired"
    run_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalVoided:
    """What was approved is not what would run any more (`detail` says what changed)."""

    TYPE: ClassVar[str] = "approval.voided"
    run_id: str
    subject_hash: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowCounted:
    """An event counts for a window: `key` of the trigger whose settings have the digest `trigger`.

    `at`: the event's own time, at most `seen_at`, which is that of its recording: windows live by the time of the events
    that they are about, however far behind them their records are written. The event that completes the count asks for a
    run in its `event.matched`, which stands before this record.
    """

    TYPE: ClassVar[str] = "window.counted"
    workflow_id: str
    trigger: str
    key: str
    event_id: str
    at: datetime
    seen_at: datetime
    times: int
    within_seconds: int
    lateness_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowOpened:
    """From now on something should follow this event within `within_seconds` of `at`."""

    TYPE: ClassVar[str] = "window.opened"
    workflow_id: str
    trigger: str
    key: str
    event: SourceEvent
    at: datetime
    seen_at: datetime
    within_seconds: int
    lateness_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowFollowed:
    """What should follow has: also where it was recorded before what it follows."""

    TYPE: ClassVar[str] = "window.followed"
    workflow_id: str
    trigger: str
    key: str
    event_id: str
    at: datetime
    seen_at: datetime
    within_seconds: int
    lateness_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowElapsed:
    """Nothing followed in time: asks for a run about the event that opened the window, if it is still open by then.

    `match` None: the workflow no longer waits for it, so the window only closes.
    """

    TYPE: ClassVar[str] = "window.elapsed"
    workflow_id: str
    trigger: str
    key: str
    event: SourceEvent
    match: Match | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleFired:
    """The firing of `planned_at` is in `upshot.events`, under `event_id`. `key` is empty: a schedule has one cursor."""

    TYPE: ClassVar[str] = "schedule.fired"
    workflow_id: str
    trigger: str
    planned_at: datetime
    event_id: str
    key: str = ""


WindowFact = WindowCounted | WindowOpened | WindowFollowed | WindowElapsed | ScheduleFired

RunsFact = (
    EventMatched
    | RunRequested
    | AttemptStarted
    | AttemptFinished
    | StepSkipped
    | StepFailed
    | StepUnknown
    | StepResolved
    | RunCancelled
    | ApprovalDecided
    | ApprovalExpired
    | ApprovalVoided
    | WindowFact
)
