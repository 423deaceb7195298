"""What a workflow would make of one event, and why: match, condition, approval, limits, and the run played through.

The verdict is `decide`'s, as in the stream; the reasons come from the functions that it calls. Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from services.backtests.core.candidate import BUDGET, Candidate
from services.backtests.core.rehearsal import Previewer, StepRehearsal, rehearse
from shared.domain.envelope import Event
from shared.domain.errors import Flaw, InvalidInput
from shared.domain.records import EventMatched, Problem
from shared.domain.runs.admission import refusal_of_the_first
from shared.domain.windows import Windows
from shared.domain.workflow import Limits
from shared.expressions import TooMuchTogether, shared_meter
from shared.workflows import left_out
from shared.workflows.catalogue import Catalogue
from shared.workflows.decide import decide, event_data, source_event
from shared.workflows.explaining import ConditionVerdict, EventSeen, Trigger, explain_start, see_event, why_not
from shared.workflows.hiding import HIDDEN, Hiding
from shared.workflows.watching import event_time


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """`reason` in a phrase; then each trigger clause by clause, and the condition part by part (None: there is none)."""

    reason: str
    triggers: tuple[Trigger, ...]
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

    `cooldown_key`: rendered for this event, and hidden where it may be made of a secret. `steps` are empty where nothing matched.
    """

    matched: bool
    why: Why
    approval: ApprovalNeed
    limits: Limits
    cooldown_key: str | None
    held: Problem | None
    steps: tuple[StepRehearsal, ...]


def decided_on(candidate: Candidate, event: Event, at: datetime) -> EventMatched | None:
    """What the stream would record of the event, which happens at `at`. Raises InvalidInput where its data is no JSON.

    Beside `try_event`, so that others can have their turn between the two: on large arrays each takes what one event may cost.
    """
    return decide(candidate.tenant, candidate.rules, event, at, Windows(), BUDGET, lambda: 0.0).matched


def try_event(
    candidate: Candidate,
    catalogue: Catalogue,
    event: Event,
    decided: EventMatched | None,
    *,
    at: datetime,
    outputs: Mapping[str, object],
    previewer: Previewer,
    hiding: Hiding,
) -> Trial:
    """`decided`: by `decided_on`. `at`: when it happens. `hiding`: what no reason and no key may quote; steps are shown as they
    would be sent. Raises InvalidInput where the event's data is no JSON."""
    match = decided.matches[0] if decided is not None and decided.matches else None
    # As if the event had been recorded when it happened: none is too late to be tried.
    seen = see_event(event, event_time(event.time, at), hiding)
    steps: list[StepRehearsal] = []
    held: Problem | None = None
    if match is not None:
        happened = source_event(event, event_data(event))
        held = refusal_of_the_first(match, happened, at)
        try:
            steps = rehearse(
                candidate, match, happened, at=at, outputs=outputs, previewer=previewer, meter=shared_meter()
            )
        except TooMuchTogether as error:
            flaw = Flaw(pointer="#", detail=f"the steps' templates take too much to be tried in one go, {error}")
            raise InvalidInput("it cannot be tried", [flaw]) from None
    return Trial(
        matched=match is not None,
        why=_why(candidate, catalogue, seen, decided),
        approval=_approval(candidate),
        limits=candidate.start.limits,
        cooldown_key=_shown_key(candidate, seen, match.cooldown_key) if match is not None else None,
        held=seen.secrets.problem(held, candidate.start) if held is not None else None,
        steps=tuple(steps),
    )


def _why(candidate: Candidate, catalogue: Catalogue, seen: EventSeen, decided: EventMatched | None) -> Why:
    verdict = explain_start(candidate.start, catalogue, seen)
    matched = decided is not None and bool(decided.matches)
    reason = "the event matches" if verdict.matches or matched else why_not(verdict)
    if decided is not None and decided.unevaluated:
        reason = left_out.WHY[decided.unevaluated[-1].reason]
    return Why(
        reason=reason,
        triggers=verdict.triggers,
        condition=verdict.condition,
    )


def _shown_key(candidate: Candidate, seen: EventSeen, key: str | None) -> str | None:
    made_by = candidate.start.cooldown_key
    return HIDDEN if key and made_by is not None and seen.secrets.in_template(made_by) else key


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
