"""What an event led to for one workflow: the verdict of its clauses beside what the log and the runs' fold say. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from shared.domain.definitions_history import WorkflowThen
from shared.domain.records import EventMatched
from shared.readmodel.tenant_values import RunItem
from shared.workflows import left_out
from shared.workflows.compiled import CompiledStart
from shared.workflows.event_secrets import EventSecrets
from shared.workflows.explaining import Outcome, OutcomeKind, Verdict
from shared.workflows.fitting import OTHERS


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatHappened:
    """One match of an event: what the log holds (None: nothing was found), the runs by workflow, and whether the search
    for the record went to its end: `searched_records`, where it did not."""

    match: EventMatched | None
    runs: Mapping[str, RunItem]
    searched_records: int | None = None


def outcome_of(
    workflow_id: str,
    revision: int,
    then: WorkflowThen | None,
    verdict: Verdict,
    happened: WhatHappened,
    secrets: EventSecrets,
    ran: CompiledStart | None,
    *,
    as_of_then: bool,
) -> Outcome:
    """`revision`: the one that is explained; `then`: the workflow as it was when the event was matched.

    `ran`: the revision that the event's run is of (None: unknown), by whose cooldowns a reason that quotes a key is hidden.
    """
    actual = _actual(workflow_id, happened, secrets, ran, would_have=verdict.matches)
    if then is None:
        return Outcome(kind="not_yet_created")
    if actual is None and not then.enabled:
        return Outcome(kind="archived" if then.archived else "disabled")
    if as_of_then and revision != then.revision:
        reason = f"revision {then.revision} was"
        return Outcome(
            kind="superseded",
            reason=reason,
            run_id=actual.run_id if actual else None,
            run_status=actual.run_status if actual else None,
        )
    if actual is not None:
        return actual
    if verdict.broken is not None:
        return Outcome(kind="broken", reason=verdict.broken)
    if verdict.matches and as_of_then and happened.match is None:
        return Outcome(kind="undecided", reason=_not_found(happened.searched_records))
    return Outcome(kind="not_matched")


def _actual(
    workflow_id: str, happened: WhatHappened, secrets: EventSecrets, ran: CompiledStart | None, *, would_have: bool
) -> Outcome | None:
    """What came of it, where the log says that something did. `would_have`: by its clauses it matches, so that it is one of
    the others where the log names not all that it leaves out."""
    run = happened.runs.get(workflow_id)
    if run is not None:
        kind: OutcomeKind = "skipped" if run.status == "skipped" else "admitted"
        reason = secrets.reason(run.reason_kind, run.reason, ran) if run.reason is not None else None
        return Outcome(kind=kind, reason_kind=run.reason_kind, reason=reason, run_id=run.run_id, run_status=run.status)
    if happened.match is None:
        return None
    for match in happened.match.matches:
        if match.workflow_id == workflow_id:
            return Outcome(kind="asked", run_id=match.run_id)
    for each in happened.match.unevaluated:
        if each.workflow_id == workflow_id or (each == OTHERS and would_have):
            reason = left_out.WHY.get(each.reason, each.reason)
            return Outcome(kind="unevaluated", reason_kind=each.reason, reason=reason)
    return None


def _not_found(searched_records: int | None) -> str:
    if searched_records is None:
        return "no match of this event is in the log yet: the matcher has not got to it"
    return f"no match of this event is among the {searched_records} records that follow it"
