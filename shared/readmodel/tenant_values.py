"""What tenants are shown, as values. Fields are named like the columns they come from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from shared.domain.verdicts import Verdict

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[Item]):
    """One page of a list; `next_cursor` is None on the last."""

    items: tuple[Item, ...]
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventItem:
    """A platform event. Its data is in the log, at (`partition`, `offset`) of `upshot.events`."""

    tenant_id: str
    event_id: str
    type: str
    source: str
    subject: str | None
    time: datetime | None
    recorded_at: datetime
    partition: int
    offset: int
    bytes: int
    correlation_id: str | None
    causation_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunItem:
    """A run in a list."""

    tenant_id: str
    run_id: str
    workflow_id: str
    workflow_name: str
    revision: int
    status: str
    reason_kind: str | None
    reason: str | None
    event_id: str | None
    event_type: str | None
    event_subject: str | None
    replay_id: str | None
    requested_by: str | None
    requested_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDetail:
    """A run, whole. `positions`: the offsets of its records in `partition` of `upshot.runs`, where requests and
    outputs are; `steps` holds what `rows.summary` keeps of them (id, uses, status, number, attempts, problem, …)."""

    run: RunItem
    partition: int
    positions: tuple[int, ...]
    correlation_id: str | None
    causation_id: str | None
    traceparent: str | None
    inputs: Mapping[str, object]
    steps: Sequence[Mapping[str, object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class EventDetail:
    """An event and the runs it led to, replays' among them, oldest first."""

    event: EventItem
    runs: tuple[RunItem, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalItem:
    """An approval and every decision on it. `roles` are qualified (`automation:approve`)."""

    tenant_id: str
    approval_id: str
    run_id: str
    workflow_id: str
    workflow_name: str
    status: str
    requested_at: datetime
    expires_at: datetime
    roles: Sequence[str]
    quorum: int
    self_approval: bool
    author: str | None
    subject_hash: str
    decisions: Sequence[Mapping[str, object]]
    decided_at: datetime | None
    decided_by: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RevisionItem:
    """One saved state of a workflow."""

    tenant_id: str
    workflow_id: str
    revision: int
    document: Mapping[str, object]
    steps: Sequence[Mapping[str, object]]
    high_risk: bool
    author: str
    saved_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RevisionSummary:
    """One saved state in a list; `changes` says in a line what it changed."""

    tenant_id: str
    workflow_id: str
    revision: int
    author: str
    saved_at: datetime
    changes: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowItem:
    """A workflow with its newest revision."""

    tenant_id: str
    workflow_id: str
    name: str
    enabled: bool
    archived: bool
    newest: RevisionItem


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceItem:
    """A source; `secrets` are sealed, newest first."""

    tenant_id: str
    source_id: str
    name: str
    vendor: str
    settings: Mapping[str, object]
    secrets: Sequence[str]
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointItem:
    """An endpoint; `secrets` are sealed, newest first."""

    tenant_id: str
    endpoint_id: str
    name: str
    url: str
    secrets: Sequence[str]
    created_at: datetime
    revision: int
    disabled_reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantItem:
    """The tenant itself. `…_max` are what its plan allows; None: unbounded."""

    tenant_id: str
    name: str
    plan: str
    created_at: datetime
    version: int
    workflows_max: int | None
    runs_per_month_max: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandItem:
    """What became of a command, and which topic's fold decided it."""

    topic: str
    verdict: Verdict
