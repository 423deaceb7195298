"""How a fact moves one step of a run, and how the run thereby ends. Runs' queues and limits are `fold.py`'s.

Guarantee: a fact that was folded before, comes too late or names another attempt gives None and changes nothing; a step
leaves succeeded, failed and skipped never.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from shared.domain.records import (
    AttemptFinished,
    AttemptStarted,
    Problem,
    StepFailed,
    StepResolved,
    StepSkipped,
    StepUnknown,
)
from shared.domain.runs.state import STEP_ENDED, Attempt, Run, RunStatus, Step

StepFact = AttemptStarted | AttemptFinished | StepSkipped | StepFailed | StepUnknown

UNKNOWN = "unknown"
"""The outcome of an attempt that was begun and of which nobody knows how it ended."""


@dataclass(frozen=True, slots=True)
class Change:
    """Something changed. `ends_as`: the run is thereby over, and why."""

    ends_as: RunStatus | None = None
    reason: Problem | None = None


_GOES_ON = Change()
_SUCCEEDED = Change("succeeded")


def evolve(run: Run, fact: StepFact, now: datetime) -> Change | None:
    """Fold what an executor says of a step. None: it says nothing new."""
    step = run.steps.get(fact.step_id)
    if step is None:
        return None
    match fact:
        case AttemptStarted():
            return _start(run, step, fact, now)
        case AttemptFinished():
            return _finish(run, step, fact, now)
        case StepSkipped():
            if run.status != "running" or step.status != "pending":
                return None
            step.status, step.reason = "skipped", fact.reason
            return advance(run)
        case StepFailed():
            if run.status != "running" or step.status not in ("pending", "retrying"):
                return None
            return _fail(run, step, fact.problem)
        case StepUnknown():
            return _lose(run, step, fact, now)
        case _:
            assert_never(fact)


def resolve(run: Run, fact: StepResolved, now: datetime) -> Change | None:
    """Fold what a person says of an attempt whose end nobody knows. None: it is not (any more) unknown."""
    step = run.steps.get(fact.step_id)
    if run.status != "running" or step is None or step.status != "unknown" or step.number != fact.number:
        return None
    match fact.resolution:
        case "retry":
            step.status, step.due_at = "retrying", now
            return _GOES_ON
        case "succeeded":
            step.attempts[-1].outcome = "succeeded"
            step.status, step.problem = "succeeded", None
            return advance(run)
        case "failed":
            step.attempts[-1].outcome = "failed"
            return _fail(run, step, Problem(kind="resolved", detail=fact.reason))
        case _:
            assert_never(fact.resolution)


def advance(run: Run) -> Change:
    """A run whose steps have all ended has succeeded."""
    if run.ended:
        return _GOES_ON
    for step in run.steps.values():
        if step.status not in STEP_ENDED:
            return _GOES_ON
    return _SUCCEEDED


def abandon_waits(run: Run, status: RunStatus, now: datetime) -> None:
    """Nothing outside happens in a wait, so one that its run's end interrupts is over: a month-long one holds no memory."""
    for step in run.steps.values():
        if step.status == "started" and step.due_at is not None:
            problem = Problem(kind="run_ended", detail=f"the run ended meanwhile ({status})")
            attempt = step.attempts[-1]
            attempt.ended_at, attempt.outcome, attempt.problem = now, "failed", problem
            step.status, step.problem, step.due_at = "failed", problem, None


def _start(run: Run, step: Step, fact: AttemptStarted, now: datetime) -> Change | None:
    if run.status != "running" or fact.number != step.number + 1 or step.status not in ("pending", "retrying"):
        return None
    step.status, step.number, step.due_at, step.request = "started", fact.number, fact.due_at, fact.request
    step.attempts.append(Attempt(number=fact.number, started_at=now))
    return _GOES_ON


def _finish(run: Run, step: Step, fact: AttemptFinished, now: datetime) -> Change | None:
    if step.number != fact.number or not _awaits_result(step):
        return None
    attempt = step.attempts[-1]
    attempt.ended_at, attempt.outcome = now, fact.outcome
    attempt.problem, attempt.elapsed_seconds = fact.problem, fact.elapsed_seconds
    if fact.outcome == "succeeded":
        step.status, step.output, step.problem, step.due_at = "succeeded", fact.output, None, None
        return advance(run)
    if step.status == "retrying":
        # Lost, to be tried again, and now known to have failed: the retry that was decided stands.
        return _GOES_ON
    if fact.retry_at is not None and run.status == "running":
        step.status, step.due_at, step.problem = "retrying", fact.retry_at, fact.problem
        return _GOES_ON
    step.output = fact.output
    return _fail(run, step, fact.problem or Problem(kind="failed", detail="the attempt failed"))


def _awaits_result(step: Step) -> bool:
    """Also a lost attempt's late word counts until the next try begins: what succeeded need not be done twice."""
    if step.status == "retrying":
        return step.attempts[-1].outcome == UNKNOWN
    return step.status in ("started", "unknown")


def _lose(run: Run, step: Step, fact: StepUnknown, now: datetime) -> Change | None:
    if step.status != "started" or step.number != fact.number:
        return None
    problem = Problem(kind="unknown", detail="nobody knows how this attempt ended, and it must not simply be repeated")
    attempt = step.attempts[-1]
    attempt.outcome, attempt.problem = UNKNOWN, problem
    step.problem, step.due_at = problem, None
    if run.ended:
        step.status = "unknown"
        return _GOES_ON
    match run.match.plan_of(step.id).on_unknown:
        case "ask":
            step.status = "unknown"
            return _GOES_ON
        case "fail":
            return _fail(run, step, problem)
        case "retry":
            step.status, step.due_at = "retrying", now
            return _GOES_ON


def _fail(run: Run, step: Step, problem: Problem) -> Change:
    step.status, step.problem, step.due_at = "failed", problem, None
    if run.ended:
        return _GOES_ON
    if run.match.plan_of(step.id).on_error == "fail":
        return Change("failed", Problem(kind=problem.kind, detail=f"step {step.id}: {problem.detail}"))
    return advance(run)
