"""What a workflow would make of one event, and why: match, condition, approval, limits, and the run played through.

The verdict is `decide`'s, as in the stream; the reasons come from the functions that it calls. Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from pydantic_core import from_json

from services.backtests.core.candidate import BUDGET, Candidate
from services.backtests.core.rehearsal import Previewer, StepRehearsal, rehearse
from shared.domain.envelope import Event
from shared.domain.records import Problem
from shared.domain.runs.admission import refusal_of_the_first
from shared.domain.windows import Windows
from shared.domain.workflow import Limits
from shared.matching import AlternativeExplanation, event_of, explain
from shared.workflows.context import attributes_view, start_context
from shared.workflows.decide import decide, source_event


@dataclass(frozen=True, slots=True, kw_only=True)
class PatternVerdict:
    """One trigger's pattern. `alternatives`: each branch of its `$or`, with every field asked for and found."""

    matches: bool
    reason: str
    alternatives: tuple[AlternativeExplanation, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionVerdict:
    """The workflow's `if`. `error`: why a condition that could not be evaluated counts as false."""

    text: str
    value: bool
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """`reason` in one sentence; `condition` None: there is none, or no pattern matched."""

    reason: str
    patterns: tuple[PatternVerdict, ...]
    condition: ConditionVerdict | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalNeed:
    """`because`: one sentence. The rest says who could grant it; without meaning where none is needed."""

    needed: bool
    because: str
    roles: tuple[str, ...] = ()
    quorum: int = 0
    expires_in_seconds: int = 0
    self_approval: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """`held`: why the run would be skipped even if no other run had ever been; None: nothing of that kind stands against it.

    `cooldown_key`: rendered for this event. `steps` are empty where nothing matched.
    """

    matched: bool
    why: Why
    approval: ApprovalNeed
    limits: Limits
    cooldown_key: str | None
    held: Problem | None
    steps: tuple[StepRehearsal, ...]


def try_event(
    candidate: Candidate, event: Event, *, at: datetime, outputs: Mapping[str, object], previewer: Previewer
) -> Trial:
    """`at`: when it happens. Raises InvalidInput where the event's data is no JSON."""
    decided = decide(candidate.tenant, candidate.rules, event, at, Windows(), BUDGET, lambda: 0.0).matched
    match = decided.matches[0] if decided is not None and decided.matches else None
    steps: list[StepRehearsal] = []
    held: Problem | None = None
    if match is not None:
        happened = source_event(event, from_json(event.data) if event.data is not None else None)
        held = refusal_of_the_first(match, happened, at)
        steps = rehearse(candidate, match, happened, at=at, outputs=outputs, previewer=previewer)
    return Trial(
        matched=match is not None,
        why=_why(candidate, event),
        approval=_approval(candidate),
        limits=candidate.start.limits,
        cooldown_key=match.cooldown_key if match is not None else None,
        held=held,
        steps=tuple(steps),
    )


def _why(candidate: Candidate, event: Event) -> Why:
    view = attributes_view(event, candidate.tenant.id)
    fields = event_of(view, event.data)
    found = [explain(pattern, fields) for pattern in candidate.start.patterns]
    patterns = tuple(
        PatternVerdict(matches=each.matches, reason=each.reason, alternatives=each.alternatives) for each in found
    )
    if not any(each.matches for each in patterns):
        reason = "; or ".join(each.reason for each in patterns) if patterns else "no event starts this workflow"
        return Why(reason=reason, patterns=patterns, condition=None)
    condition = candidate.start.condition
    if condition is None:
        return Why(reason="the event matches, and there is no condition", patterns=patterns, condition=None)
    outcome = condition.evaluate(
        start_context(
            tenant_id=candidate.tenant.id,
            workflow_id=candidate.workflow.id,
            workflow_name=candidate.workflow.name,
            revision=candidate.start.revision.number,
            event={**view, "data": from_json(event.data) if event.data is not None else None},
            inputs={},
        )
    )
    verdict = ConditionVerdict(text=condition.text, value=outcome.value, error=outcome.error)
    if outcome.value:
        reason = "the event matches, and the condition is true"
    else:
        reason = f"the condition could not be evaluated: {outcome.error}" if outcome.error else "the condition is false"
    return Why(reason=reason, patterns=patterns, condition=verdict)


def _approval(candidate: Candidate) -> ApprovalNeed:
    rule = candidate.start.approval
    if rule is None:
        because = "no step is of high risk" if not candidate.start.revision.high_risk else "`approval.when` is never"
        return ApprovalNeed(needed=False, because=because)
    because = "`approval.when` is always" if rule.when == "always" else "a step is of high risk"
    return ApprovalNeed(
        needed=True,
        because=because,
        roles=rule.roles,
        quorum=rule.quorum,
        expires_in_seconds=rule.expires_in_seconds,
        self_approval=rule.self_approval,
    )
