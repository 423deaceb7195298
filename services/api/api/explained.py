"""From an explanation to the API's answer, which `upshot explain --json` prints as well."""

from typing import Any

from services.api.api import explain_models as models
from services.api.api import shown
from services.api.core.explained import Explained, rank, sum_up
from services.api.service.explaining import Explanation
from shared.readmodel.cursors import Cursor, read_cursor, write_cursor
from shared.workflows.explaining import Clause, Conjunct

_LIST = "explanations"
_CONDITION = "#/if"


def answer(explanation: Explanation, *, cursor: str | None, limit: int) -> models.ExplanationAnswer:
    """One page. Raises InvalidInput for a cursor that is none."""
    items = explanation.items
    if cursor is not None:
        last = read_cursor(_LIST, cursor)
        items = tuple(each for each in items if rank(each) > (str(last.after), last.id))
    page, more = items[:limit], len(items) > limit
    after, last_id = rank(page[-1]) if page else ("", "")
    question, occurrence = explanation.question, explanation.occurrence
    return models.ExplanationAnswer(
        event=shown.event(occurrence.item),
        replay_id=question.replay_id,
        as_of=question.as_of,
        definitions=models.DefinitionsAnswer(
            version=explanation.version, at=explanation.version_at, known_from=explanation.version_from
        ),
        sentence=summary(explanation),
        workflows=explanation.workflows,
        workflows_left_out=explanation.left_out,
        items=[_workflow(each) for each in page],
        next_cursor=write_cursor(Cursor(kind=_LIST, after=after, id=last_id)) if more else None,
    )


def summary(explanation: Explanation) -> str:
    """The whole answer in a sentence."""
    if explanation.unreadable is not None:
        return f"the event is a dead letter, put to no workflow: {explanation.unreadable}"
    if explanation.question.workflow is not None and explanation.items:
        return explanation.items[0].sentence
    return sum_up(explanation.items, explanation.occurrence.item.type, explanation.workflows)


def _workflow(each: Explained) -> models.WorkflowExplanationAnswer:
    verdict = each.verdict
    return models.WorkflowExplanationAnswer(
        workflow_id=each.workflow_id,
        workflow_name=each.name,
        revision=each.revision,
        sentence=each.sentence,
        matches=verdict.matches,
        share=verdict.share,
        clauses_held=verdict.held,
        clauses_total=verdict.total,
        outcome=models.OutcomeAnswer.model_validate(each.outcome),
        first_failed=_failed(verdict.first_failed),
        triggers=[_trigger(trigger) for trigger in verdict.triggers],
        condition=models.ConditionAnswer.model_validate(verdict.condition) if verdict.condition is not None else None,
        then=models.StateAnswer.model_validate(each.then) if each.then is not None else None,
        now=models.StateAnswer.model_validate(each.now),
    )


def _trigger(trigger: Any) -> models.TriggerAnswer:  # Any: pydantic reads attributes
    return models.TriggerAnswer.model_validate(trigger)


def _failed(failed: Clause | Conjunct | None) -> models.FailedAnswer | None:
    match failed:
        case Clause():
            return models.FailedAnswer(
                pointer=failed.pointer,
                path=failed.path,
                expected=failed.expected,
                actual=list(failed.actual),
                reasons=list(failed.reasons),
            )
        case Conjunct():
            return models.FailedAnswer(
                pointer=_CONDITION,
                path=failed.values[0].path if len(failed.values) == 1 else None,
                expected=failed.text,
                actual=[each.value for each in failed.values if each.present],
                reasons=[failed.error or "it is false"],
            )
    return None
