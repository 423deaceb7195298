"""What explanations go in and out as over HTTP; see `models.py`. Values that are secret read `(hidden)` already."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from services.api.api.models import Incoming, Outgoing
from services.api.api.run_models import EventAnswer
from shared.workflows.explaining import OutcomeKind


class ExplainQuery(Incoming):
    """What is asked of an event."""

    workflow: str | None = Field(
        None,
        min_length=1,
        max_length=200,
        description="Of this one only: its id, or its name, as it was then or is now.",
    )
    revision: int | None = Field(
        None, ge=1, le=2**31 - 1, description="As if this revision of `workflow` had been live, not the one that was."
    )
    as_of: Literal["then", "now"] = Field(
        "then", description="The workflows as they were when the event was matched, or as they are today."
    )
    replay: str | None = Field(None, min_length=1, max_length=200, description="Of this replay of the event.")
    cursor: str | None = Field(None, max_length=2000, description="`next_cursor` of the page before.")
    limit: int = Field(20, ge=1, le=200, description="Workflows in a page.")


class ClauseAnswer(Outgoing):
    """One field that a trigger names. All must hold, or all of one branch of `$or`."""

    pointer: str = Field(description="Its place in the workflow's document.")
    path: str = Field(description="What it looks at in the event, keys joined by dots.")
    expected: object = Field(description="As the document says it.")
    expected_in_words: str
    actual: list[object] = Field(description="The values that the event has there; none: it has none there.")
    actual_left_out: int
    actual_in_words: str
    holds: bool
    reasons: list[str] = Field(description="Each way in which it fails.")
    counted: bool = Field(description="Whether it is in no branch of `$or`, or in the one that came nearest.")


class TriggerAnswer(Outgoing):
    """One trigger; any of them starts the workflow."""

    pointer: str
    kind: str = Field(description="Its keys, joined by `+`.")
    holds: bool
    held: int
    total: int
    clauses: list[ClauseAnswer] = Field(description="In the document's order.")
    note: str | None


class NamedAnswer(Outgoing):
    path: str
    present: bool
    value: object


class ConjunctAnswer(Outgoing):
    """One of the parts of a condition that must all hold."""

    text: str
    holds: bool
    error: str | None = Field(description="Why it could not be evaluated, which counts as false.")
    values: list[NamedAnswer] = Field(description="What is at the paths that it names.")


class ConditionAnswer(Outgoing):
    """The workflow's `if`. It is told even where no trigger holds, though it was not asked then."""

    pointer: str
    holds: bool
    error: str | None
    conjuncts: list[ConjunctAnswer]


class FailedAnswer(Outgoing):
    """The first thing that kept the workflow from matching."""

    pointer: str
    path: str | None = Field(description="Null where a part of a condition names several.")
    expected: object = Field(description="As the document says it.")
    actual: list[object] = Field(description="Values at `path`, or at each path that is named; none: nothing is there.")
    reasons: list[str]


class OutcomeAnswer(Outgoing):
    """What it led to, as the log says.

    `admitted`, `skipped` (with the reason): a run. `asked`: a run that is not shown yet. `unevaluated`: the event's
    budget was used up. `undecided`: it matches, but no match of the event is in the log, yet. `not_yet_created`,
    `disabled`, `archived`: it was not live. `superseded`: this revision was not. `broken`: it cannot be compiled any more.
    """

    kind: OutcomeKind
    reason_kind: str | None
    reason: str | None
    run_id: str | None
    run_status: str | None


class StateAnswer(Outgoing):
    name: str
    enabled: bool
    archived: bool
    revision: int


class WorkflowExplanationAnswer(Outgoing):
    """Why one workflow was started by the event, or was not."""

    workflow_id: str
    workflow_name: str
    revision: int = Field(description="The one that is explained.")
    sentence: str
    matches: bool = Field(description="Whether the triggers and the condition of this revision hold.")
    share: float = Field(description="Of the clauses of the nearest trigger and the condition's parts: how many hold.")
    clauses_held: int
    clauses_total: int
    outcome: OutcomeAnswer
    first_failed: FailedAnswer | None
    triggers: list[TriggerAnswer]
    condition: ConditionAnswer | None
    then: StateAnswer | None = Field(description="The workflow when the event was matched; null: it was not there yet.")
    now: StateAnswer


class DefinitionsAnswer(Outgoing):
    """Which definitions were asked."""

    version: int | None = Field(description="Counts the tenant's changes; null: there were none yet.")
    at: datetime | None = Field(description="When that version began.")
    known_from: Literal["match", "time", "now"] = Field(
        description="`match`: the match recorded it; `time`: nothing matched, so it is the last before the event."
    )


class ExplanationAnswer(Outgoing):
    """Why an event led to what it led to."""

    event: EventAnswer
    replay_id: str | None
    as_of: Literal["then", "now"]
    definitions: DefinitionsAnswer
    sentence: str
    workflows: int = Field(description="How many there are to explain.")
    workflows_left_out: int = Field(
        description="Beyond `UPSHOT_API_EXPLAIN_WORKFLOWS_MAX` or `…_SECONDS_MAX`: these are not looked at."
    )
    items: list[WorkflowExplanationAnswer] = Field(description="By the share of clauses that hold, largest first.")
    next_cursor: str | None
