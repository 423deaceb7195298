"""What the end of an attempt becomes: success, another try at a recorded instant, failure, or nobody knows."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from shared.domain.records import AttemptFinished, Problem, StepUnknown
from shared.domain.retry import RetryPolicy, delay_before_next
from shared.domain.workflow import Effect, OnUnknown


@dataclass(slots=True, kw_only=True, unsafe_hash=True)  # a value, but freezing costs 0.1 µs a field
class Outcome:
    """What an action says of one attempt.

    `in_doubt`: it may have had its effect all the same (a time-out, a reset). `answered`: the other side got it and said so.
    `retry`: trying again may help.
    `endpoint_gone`: the receiver says 410; its endpoint is to be disabled.
    """

    status: Literal["succeeded", "failed"]
    output: object = None
    problem: Problem | None = None
    retry: bool = False
    in_doubt: bool = False
    answered: bool = False
    throttled: bool = False
    retry_after_seconds: float | None = None
    endpoint_gone: str | None = None


def conclude(
    outcome: Outcome,
    *,
    run_id: str,
    step_id: str,
    number: int,
    effect: Effect,
    on_unknown: OnUnknown,
    policy: RetryPolicy,
    asked_to_retry: bool,
    now: datetime,
    unit: float,
    elapsed_seconds: float,
) -> AttemptFinished | StepUnknown:
    """The record to append. An unsafe attempt that may have had its effect is tried again only where the step takes that
    upon itself (`on_unknown: retry`), and one that was answered only where the step asks for it (`asked_to_retry`).

    Either is then a failure like others, repeated by `policy` and no oftener: `StepUnknown` would have the fold begin the
    next attempt at once, for as long as the receiver does not answer.
    """
    in_doubt = outcome.in_doubt and effect == "unsafe"
    if outcome.status == "failed" and in_doubt and on_unknown != "retry":
        return StepUnknown(run_id=run_id, step_id=step_id, number=number)
    retry_at = None
    repeatable = effect != "unsafe" or in_doubt or not outcome.answered or asked_to_retry
    if outcome.status == "failed" and outcome.retry and repeatable:
        delay = delay_before_next(
            policy,
            number,
            unit=unit,
            throttled=outcome.throttled,
            retry_after_seconds=outcome.retry_after_seconds,
        )
        retry_at = now + timedelta(seconds=delay) if delay is not None else None
    return AttemptFinished(
        run_id=run_id,
        step_id=step_id,
        number=number,
        outcome=outcome.status,
        output=outcome.output,
        problem=outcome.problem,
        retry_at=retry_at,
        elapsed_seconds=round(elapsed_seconds, 6),
    )
