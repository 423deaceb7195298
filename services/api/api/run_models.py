"""What goes in and out over HTTP about runs, approvals and events; see `models.py`."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from pydantic import Field

from services.api.api.models import Incoming, JsonObject, Outgoing, Paging, Reason

# ---------------------------------------------------------------- runs

RunStatusName = Literal[
    "pending_approval", "queued", "running", "succeeded", "failed", "cancelled", "denied", "expired", "skipped"
]


class RunInput(Incoming):
    inputs: JsonObject = Field(default_factory=dict, description="As the workflow's `manual` trigger says.")


class RunRequestedAnswer(Outgoing):
    """A run is asked for. Whether it was admitted, and what it waits for, `GET /api/v1/runs/{id}` says."""

    run_id: str


class CancelInput(Incoming):
    reason: Reason = Field("", description="Why, for the record.")


class RunChanged(Outgoing):
    run_id: str
    status: str


class ResolveInput(Incoming):
    """How an attempt ended that nobody knows the end of."""

    resolution: Literal["succeeded", "failed", "retry"] = Field(description="`retry`: it may be tried again.")
    reason: Reason = Field(description="How you know.", min_length=1)
    number: int = Field(ge=1, description="Which attempt.")


class StepResolvedAnswer(Outgoing):
    run_id: str
    step_id: str
    status: str


class ReasonAnswer(Outgoing):
    kind: str
    detail: str


class RunAnswer(Outgoing):
    """A run in a list."""

    id: str
    workflow_id: str
    workflow_name: str
    revision: int
    status: RunStatusName
    reason: ReasonAnswer | None = Field(description="Why it was skipped, or ended as it did.")
    event_id: str | None
    event_type: str | None
    event_subject: str | None
    replay_id: str | None
    requested_by: str | None
    requested_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


class RunList(Outgoing):
    items: list[RunAnswer]
    next_cursor: str | None


class PositionAnswer(Outgoing):
    topic: str
    partition: int
    offset: int


class TimelineEntry(Outgoing):
    """One record of the log."""

    id: str
    type: str
    source: str
    time: datetime | None
    recorded_at: datetime
    position: PositionAnswer
    causation_id: str | None = Field(description="The record that it follows from.")
    correlation_id: str | None
    traceparent: str | None
    data: object = None
    data_left_out: bool = Field(False, description="Whether its data would have made this answer too large.")


class RunQuery(Paging):
    workflow: str | None = Field(None, min_length=1, max_length=200, description="A workflow's id or name.")
    status: RunStatusName | None = Field(None, description="Only runs in this state.")


# ---------------------------------------------------------------- approvals

ApprovalStatusName = Literal["pending", "granted", "denied", "expired", "cancelled", "voided"]


class DecisionInput(Incoming):
    reason: Reason = Field("", description="Why, for the record.")
    subject_hash: str | None = Field(
        None,
        pattern=r"^[0-9a-f]{64}$",
        description="The hash that you were shown: the decision is void if it is on something else by now.",
    )


class DecisionAnswer(Outgoing):
    id: str
    run_id: str
    status: ApprovalStatusName
    granted: int = Field(description="How many people have granted it.")
    quorum: int


class ApprovalAnswer(Outgoing):
    """A human decision that a run waits for."""

    id: str
    run_id: str
    workflow_id: str
    workflow_name: str
    status: ApprovalStatusName
    requested_at: datetime
    expires_at: datetime
    roles: list[str] = Field(description="Any of these lets a person decide.")
    quorum: int
    self_approval: bool
    author: str | None = Field(description="Whose own grant does not count.")
    subject_hash: str
    decisions: list[JsonObject]
    decided_at: datetime | None
    decided_by: str | None


class ApprovalDetail(ApprovalAnswer):
    subject: JsonObject | None = Field(description="What exactly would run.")
    current_hash: str | None = Field(description="The subject's hash now; other than `subject_hash`: it has changed.")


class ApprovalList(Outgoing):
    items: list[ApprovalAnswer]
    next_cursor: str | None


class ApprovalQuery(Paging):
    status: ApprovalStatusName | None = Field(None, description="Only approvals in this state.")


class RunDetailAnswer(RunAnswer):
    """A run with every record about it, oldest first."""

    inputs: JsonObject
    steps: list[JsonObject]
    correlation_id: str | None
    causation_id: str | None
    traceparent: str | None
    approval: ApprovalAnswer | None
    timeline: list[TimelineEntry]
    timeline_left_out: int = Field(description="Newest records that are not shown.")


# ---------------------------------------------------------------- events


class EventAnswer(Outgoing):
    """A platform event in a list."""

    id: str
    type: str
    source: str
    subject: str | None
    time: datetime | None
    recorded_at: datetime
    bytes: int
    correlation_id: str | None
    causation_id: str | None


class EventList(Outgoing):
    items: list[EventAnswer]
    next_cursor: str | None


class EventDetailAnswer(EventAnswer):
    """An event whole, with what it matched."""

    position: PositionAnswer
    content_type: str | None
    dataschema: str | None
    traceparent: str | None
    attributes: Mapping[str, str]
    data: object = Field(description="As it stands in the log.")
    runs: list[RunAnswer]


class EventQuery(Paging):
    type: str | None = Field(None, min_length=1, max_length=200, description="Exactly this type.")
    source: str | None = Field(None, min_length=1, max_length=500, description="Exactly this CloudEvents source.")
