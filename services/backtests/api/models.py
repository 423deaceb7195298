"""What goes in and out over HTTP. What comes in is refused where it is unknown; what goes out is made of the core's values."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

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
    """A workflow, and an event to try it on: thought up, or one that happened."""

    event: JsonObject | None = Field(
        None, description="A CloudEvent in JSON, of which only `type` must be there. Numbers are read as doubles."
    )
    event_id: str | None = Field(None, max_length=600, description="An event that happened.")
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


class TrialAnswer(BaseModel):
    """What would happen. Nothing of it has."""

    workflow: TriedWorkflow
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
    effects: Literal["none"] = "none"
