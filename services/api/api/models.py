"""What goes in and out over HTTP. Field names are the API's words and stay; what comes in is refused where it is unknown."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(min_length=1, max_length=200, description="Unique per tenant.")]
Reason = Annotated[str, Field(max_length=2000)]
JsonObject = dict[str, object]


class Incoming(BaseModel):
    """A body: unknown members are refused, so that a typing error is never silence."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Outgoing(BaseModel):
    """An answer. Members without a value are null."""

    model_config = ConfigDict(frozen=True, from_attributes=True)


# ---------------------------------------------------------------- lists


class Paging(Incoming):
    """Which part of a list."""

    cursor: str | None = Field(None, max_length=1000, description="`next_cursor` of the page before.")
    limit: int = Field(50, ge=1, le=200, description="Items in a page.")


# ---------------------------------------------------------------- commands


class Pending(Outgoing):
    """The command is in the log; its verdict is not known yet. Ask at `Location`."""

    command_id: str
    status: Literal["pending"]


class CommandAnswer(Outgoing):
    """What the command would have been answered with, had its verdict been known; see there."""

    model_config = ConfigDict(extra="allow")


# ---------------------------------------------------------------- sources


class SourceInput(Incoming):
    """A vendor integration that is to receive deliveries."""

    name: Name
    vendor: Annotated[str, Field(min_length=1, max_length=100, description="github, stripe, shopify, slack, …")]
    secret: str | None = Field(
        None, min_length=1, max_length=1000, description="What the vendor signs with, as the vendor shows it."
    )
    settings: JsonObject = Field(default_factory=dict, description="The vendor's own settings; most need none.")


class SourceMade(Outgoing):
    """The new source."""

    id: str
    hook_url: str = Field(description="Where the vendor is to deliver to.")
    note: str | None = Field(None, description="What there is to know beside that.")


class SourceAnswer(Outgoing):
    """A source. Its secrets are never shown again."""

    id: str
    name: str
    vendor: str
    settings: JsonObject
    hook_url: str
    has_secret: bool
    created_at: datetime


class SourceList(Outgoing):
    items: list[SourceAnswer]
    next_cursor: str | None


# ---------------------------------------------------------------- endpoints


class EndpointInput(Incoming):
    """An outbound URL."""

    name: Name
    url: Annotated[str, Field(min_length=1, max_length=2048, description="https://… of a public host.")]
    secret: str | None = Field(
        None,
        min_length=1,
        max_length=200,
        description="`whsec_…` or `whsk_…`, as Standard Webhooks has them; made for you where you give none.",
    )


class EndpointMade(Outgoing):
    """The new endpoint."""

    id: str
    secret: str | None = Field(None, description="What the receiver verifies with: shown this once.")
    public_key: str | None = Field(None, description="Of an ed25519 pair: what the receiver keeps.")
    note: str | None = Field(None, description="What there is to know beside that.")


class EndpointAnswer(Outgoing):
    """An endpoint. Its secrets are never shown again."""

    id: str
    name: str
    url: str
    revision: int = Field(description="Rises with every change; approvals bind it.")
    enabled: bool
    disabled_reason: str | None
    created_at: datetime


class EndpointList(Outgoing):
    items: list[EndpointAnswer]
    next_cursor: str | None


class EndpointSwitched(Outgoing):
    id: str
    revision: int


class DisableInput(Incoming):
    reason: Reason = Field("", description="Why, for whoever finds it disabled.")


# ---------------------------------------------------------------- workflows


class WorkflowSavedAnswer(Outgoing):
    id: str
    revision: int


class WorkflowSwitched(Outgoing):
    id: str
    revision: int
    enabled: bool


class WorkflowAnswer(Outgoing):
    """A workflow with its newest revision."""

    id: str
    name: str
    enabled: bool
    revision: int
    high_risk: bool = Field(description="Whether a step's action is of high risk.")
    author: str
    saved_at: datetime
    document: JsonObject


class WorkflowList(Outgoing):
    items: list[WorkflowAnswer]
    next_cursor: str | None


class RevisionAnswer(Outgoing):
    """One saved state of a workflow."""

    id: str
    revision: int
    high_risk: bool
    author: str
    saved_at: datetime
    document: JsonObject


class RevisionList(Outgoing):
    items: list[RevisionAnswer]
    next_cursor: str | None


class WorkflowQuery(Paging):
    enabled: bool | None = Field(None, description="Only those that are, or are not.")


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


# ---------------------------------------------------------------- health


class Health(Outgoing):
    status: Literal["ok"]
