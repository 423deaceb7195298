"""What goes in and out over HTTP. Field names are the API's words and stay; what comes in is refused where it is unknown.

Definitions and what all answers have in common; `run_models.py` has runs, approvals and events.
"""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(min_length=1, max_length=200, description="Unique per tenant.")]
Reason = Annotated[str, Field(max_length=2000)]
JsonObject = dict[str, object]
REVISION_MAX = 999_999_999


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


class WorkflowHook(Outgoing):
    """An inbound URL of the workflow's own."""

    id: str
    name: str
    pointer: str = Field(description="Where its trigger stands in the document.")
    url: str = Field(description="Where to deliver to. `{secret}` in it stands for a secret that is not shown again.")
    proof: Literal["standard", "signature", "path_token", "none"] = Field(description="What proves a delivery.")
    secret: str | None = Field(None, description="What the sender proves itself with: shown once, when it was made.")


class WorkflowSavedAnswer(Outgoing):
    id: str
    revision: int
    hooks: list[WorkflowHook] | None = Field(None, description="Its inbound URLs, where its triggers ask for any.")
    note: str | None = Field(None, description="What there is to know beside that.")


class RotateInput(Incoming):
    secret: str | None = Field(
        None, min_length=1, max_length=1000, description="One of your own; made for you where you give none."
    )
    overlap_seconds: int = Field(
        86_400, ge=0, le=2_592_000, description="How long the secrets before it stay valid; 0: they end now."
    )


class HookRotated(Outgoing):
    """The hook has a new secret."""

    id: str = Field(description="The workflow's.")
    hook_id: str
    url: str
    former_valid_until: datetime | None = Field(description="Null: those before it are valid no more.")
    secret: str | None = Field(None, description="Shown this once.")
    note: str | None = Field(None, description="What there is to know beside that.")


class WorkflowSwitched(Outgoing):
    id: str
    revision: int
    enabled: bool


class WorkflowPutAway(Outgoing):
    id: str
    revision: int
    archived: bool


class WorkflowChecked(Outgoing):
    """What saving would keep."""

    document: JsonObject
    high_risk: bool = Field(description="Whether a step's action is of high risk.")


class NewWorkflowQuery(Incoming):
    enabled: bool = Field(True, description="Whether it may start runs from the first moment.")


class CloneInput(Incoming):
    name: Name
    revision: int | None = Field(None, ge=1, le=REVISION_MAX, description="Of which revision; default: the newest.")


class RollbackInput(Incoming):
    revision: int = Field(ge=1, le=REVISION_MAX, description="Which one to go back to.")


class WorkflowAnswer(Outgoing):
    """A workflow with its newest revision."""

    id: str
    name: str
    enabled: bool
    archived: bool
    revision: int
    high_risk: bool = Field(description="Whether a step's action is of high risk.")
    author: str
    saved_at: datetime
    document: JsonObject
    hooks: list[WorkflowHook] = Field(description="Its inbound URLs, without their secrets.")


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


class RevisionSummaryAnswer(Outgoing):
    """One saved state in a list; its document is under its number."""

    revision: int
    author: str
    saved_at: datetime
    changes: str = Field(description="What it changed, in a line.")


class RevisionList(Outgoing):
    items: list[RevisionSummaryAnswer]
    next_cursor: str | None


class DiffQuery(Incoming):
    from_: int = Field(alias="from", ge=1, le=REVISION_MAX, description="The older revision, mostly.")
    to: int = Field(ge=1, le=REVISION_MAX, description="The other one.")


class ChangeAnswer(Outgoing):
    op: Literal["add", "remove", "replace"]
    pointer: str = Field(description="Where, once the changes before it are made: `#/steps/0/with`.")
    old: object = Field(description="Null for what is added.")
    new: object = Field(description="Null for what is removed.")


class DiffAnswer(Outgoing):
    """What differs between two revisions."""

    id: str
    from_: int = Field(alias="from")
    to: int
    changes: list[ChangeAnswer] = Field(description="Applied in order they make the one the other.")
    changes_left_out: int = Field(description="Beyond the first 1,000.")
    text: str | None = Field(description="A unified diff of both as YAML; null where they are too long for one.")


class WorkflowQuery(Paging):
    enabled: bool | None = Field(None, description="Only those that are, or are not.")
    archived: bool = Field(False, description="Those that are archived, instead of those in use.")


# ---------------------------------------------------------------- usage


class WorkflowUsage(Outgoing):
    """Enabled workflows: disabled and archived ones count for nothing."""

    enabled: int
    quota: int | None = Field(description="How many the plan allows; null: any number.")


class RunUsage(Outgoing):
    """Runs that were admitted in this calendar month, UTC; skipped ones count for nothing."""

    month: str = Field(description="Such as 2026-03.")
    admitted: int
    quota: int | None = Field(description="How many the plan allows; null: any number.")
    resets_at: datetime = Field(description="When the next month begins.")


class MonthAnswer(Outgoing):
    """One month."""

    month: str
    admitted: int


class UsageAnswer(Outgoing):
    """What the plan allows, and what of it is used."""

    plan: str
    workflows: WorkflowUsage
    runs: RunUsage
    months: list[MonthAnswer] = Field(description="The last months with runs, newest first, twelve at most.")
