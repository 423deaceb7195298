"""What goes in and out over HTTP. What comes in is refused where it is unknown; what goes out is made of the core's values."""

from datetime import datetime
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from services.backtests.core.firings import FIRINGS_MAX
from services.backtests.core.found import Range, Report
from services.backtests.core.rehearsal import StepRehearsal
from services.backtests.core.trial import ApprovalNeed, Why
from shared.domain.records import Problem
from shared.domain.workflow import Limits

JsonObject = dict[str, object]


class Incoming(BaseModel):
    """A body: unknown members are refused, so that a typing error is never silence."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class WorkflowToTry(Incoming):
    """Either a draft or a saved workflow."""

    workflow: JsonObject | None = Field(None, description="A document that need not have been saved.")
    workflow_id: str | None = Field(None, max_length=600, description="A saved workflow, by id or name.")
    revision: int | None = Field(None, ge=1, description="Of `workflow_id`; default: the newest.")


class TrialInput(WorkflowToTry):
    """A workflow, and what to try it on: an event, thought up or one that happened, or its own next firings."""

    event: JsonObject | None = Field(
        None,
        description="A CloudEvent in JSON, of which only `type` must be there. The numbers of its `data` keep their digits, as "
        "those of an event that is sent do.",
    )
    event_id: str | None = Field(None, max_length=600, description="An event that happened.")
    firings: int | None = Field(
        None,
        ge=1,
        le=FIRINGS_MAX,
        description="The next so many planned instants of its schedules, as the events they would be.",
    )
    at: AwareDatetime | None = Field(None, description="With `firings`: those later than this; default: now.")
    steps: JsonObject = Field(
        default_factory=dict,
        description="Outputs that steps are assumed to give, by step id: what later steps then see.",
    )


class TriedWorkflow(BaseModel):
    """What was tried. `id` null: a new one. `revision`: for a draft, the one that saving it would make."""

    id: str | None
    name: str
    revision: int
    is_draft: bool


class TriedEvent(BaseModel):
    """What it was tried on."""

    id: str
    type: str
    source: str
    subject: str | None
    time: datetime | None


class Tried(BaseModel):
    """What would happen on one event. Nothing of it has."""

    event: TriedEvent
    matched: bool
    why: Why
    approval: ApprovalNeed
    limits: Limits
    cooldown_key: str | None
    held: Problem | None = Field(
        description="Why the run would be skipped even if no other run had ever been: a loop, depth, the cooldown's key."
    )
    steps: list[StepRehearsal] = Field(description="By wave, then as in the document; empty where nothing matched.")


class TriedFiring(Tried):
    """What would happen at one planned instant. `data`: the firing's, which conditions and templates see."""

    planned_at: datetime
    data: JsonObject


class TrialAnswer(Tried):
    """What would happen on the event; where firings were asked for, on the first of them."""

    workflow: TriedWorkflow
    firings: list[TriedFiring] = Field(description="Each firing that was asked for, the soonest first; else empty.")
    effects: Literal["none"] = "none"


# ---------------------------------------------------------------- backtests


class BacktestInput(WorkflowToTry):
    """A workflow, and the part of the past to try it on."""

    since: AwareDatetime = Field(description="From events appended at this instant on.")
    until: AwareDatetime | None = Field(
        None, description="Up to, and without, this instant; default: all there is now."
    )
    samples: int | None = Field(
        None, ge=0, description="Matches to show in full, the first ones; default: 5, or what an operator allows."
    )


class Progress(BaseModel):
    """How far it is. Events of other tenants that share the partition are counted: they are read as well.

    `of` null: the range is being looked for.
    """

    events_read: int
    of: int | None
    percent: float
    events_per_second: float
    seconds_left: float | None


class BacktestAnswer(BaseModel):
    """A backtest. `report` is whole once `status` is succeeded, and what was found until then before."""

    id: str
    status: Literal["running", "succeeded", "failed", "cancelled"]
    asked_at: datetime
    ended_at: datetime | None
    range: Range | None
    progress: Progress
    report: Report | None
    problem: str | None
    cpu_seconds: float | None = Field(description="What it cost the process that ran it.")


class BacktestStarted(BaseModel):
    """Ask at `Location`, or follow `stream`."""

    id: str
    status: Literal["running"]
    stream: str
