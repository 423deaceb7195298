"""What the end of an attempt becomes in the log."""

from datetime import UTC, datetime, timedelta

import pytest

from services.executor.core.outcome import Outcome, conclude
from shared.domain.records import AttemptFinished, Problem, StepUnknown
from shared.domain.retry import NO_RETRY, WEBHOOK_POLICY, RetryPolicy, fixed
from shared.domain.workflow import Effect, OnUnknown

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
PROBLEM = Problem(kind="timeout", detail="no answer in 30 s")


def concluded(
    outcome: Outcome,
    *,
    number: int = 1,
    effect: Effect = "keyed",
    on_unknown: OnUnknown = "ask",
    policy: RetryPolicy = WEBHOOK_POLICY,
    asked_to_retry: bool = False,
) -> AttemptFinished | StepUnknown:
    return conclude(
        outcome,
        run_id="r",
        step_id="a",
        number=number,
        effect=effect,
        on_unknown=on_unknown,
        asked_to_retry=asked_to_retry,
        policy=policy,
        now=NOW,
        unit=0.5,
        elapsed_seconds=0.123456789,
    )


def finished(**given: object) -> AttemptFinished:
    return AttemptFinished(run_id="r", step_id="a", number=1, elapsed_seconds=0.123457, **given)  # type: ignore[arg-type]


def test_success_is_success_whatever_else_is_said() -> None:
    outcome = Outcome(status="succeeded", output={"status": 200}, retry=True, in_doubt=True)
    for effect in ("pure", "keyed", "unsafe"):
        assert concluded(outcome, effect=effect) == finished(outcome="succeeded", output={"status": 200})


def test_a_failure_that_may_pass_is_tried_again_at_a_recorded_instant() -> None:
    outcome = Outcome(status="failed", problem=PROBLEM, retry=True)
    assert concluded(outcome) == finished(outcome="failed", problem=PROBLEM, retry_at=NOW + timedelta(seconds=5))


def test_a_throttle_and_a_wish_are_heard() -> None:
    throttled = concluded(Outcome(status="failed", problem=PROBLEM, retry=True, throttled=True))
    wished = concluded(Outcome(status="failed", problem=PROBLEM, retry=True, retry_after_seconds=8))
    assert isinstance(throttled, AttemptFinished)
    assert isinstance(wished, AttemptFinished)
    assert throttled.retry_at == NOW + timedelta(seconds=60)
    assert wished.retry_at == NOW + timedelta(seconds=8)


@pytest.mark.parametrize(
    ("outcome", "number", "policy"),
    [
        (Outcome(status="failed", problem=PROBLEM), 1, WEBHOOK_POLICY),
        (Outcome(status="failed", problem=PROBLEM, retry=True), 8, WEBHOOK_POLICY),
        (Outcome(status="failed", problem=PROBLEM, retry=True), 1, NO_RETRY),
    ],
)
def test_the_last_failure_has_no_next_try(outcome: Outcome, number: int, policy: RetryPolicy) -> None:
    fact = concluded(outcome, number=number, policy=policy)
    assert isinstance(fact, AttemptFinished)
    assert (fact.outcome, fact.retry_at, fact.problem) == ("failed", None, PROBLEM)


def test_an_unsafe_attempt_in_doubt_is_never_simply_tried_again() -> None:
    doubtful = Outcome(status="failed", problem=PROBLEM, retry=True, in_doubt=True)
    assert concluded(doubtful, effect="unsafe") == StepUnknown(run_id="r", step_id="a", number=1)
    assert isinstance(concluded(doubtful, effect="keyed"), AttemptFinished)
    certain = Outcome(status="failed", problem=PROBLEM, retry=True)
    assert isinstance(concluded(certain, effect="unsafe"), AttemptFinished)


@pytest.mark.parametrize("answered", [False, True])
def test_who_wants_what_is_in_doubt_repeated_has_it_repeated_by_the_policy_and_no_oftener(answered: bool) -> None:
    doubtful = Outcome(status="failed", problem=PROBLEM, retry=True, in_doubt=True, answered=answered)
    first = concluded(doubtful, effect="unsafe", on_unknown="retry", policy=fixed(2, 5))
    assert first == finished(outcome="failed", problem=PROBLEM, retry_at=NOW + timedelta(seconds=5))
    last = concluded(doubtful, effect="unsafe", on_unknown="retry", policy=fixed(2, 5), number=2)
    assert isinstance(last, AttemptFinished)
    assert (last.outcome, last.retry_at, last.problem) == ("failed", None, PROBLEM)
    asked = concluded(doubtful, effect="unsafe", on_unknown="fail")
    assert asked == StepUnknown(run_id="r", step_id="a", number=1)


def test_an_unsafe_attempt_that_was_answered_is_repeated_only_where_the_step_asks_for_it() -> None:
    answered = Outcome(status="failed", problem=PROBLEM, retry=True, answered=True)
    unasked = concluded(answered, effect="unsafe")
    assert isinstance(unasked, AttemptFinished)
    assert unasked.retry_at is None
    asked = concluded(answered, effect="unsafe", asked_to_retry=True)
    assert isinstance(asked, AttemptFinished)
    assert asked.retry_at is not None
    keyed = concluded(answered, effect="keyed")
    assert isinstance(keyed, AttemptFinished)
    assert keyed.retry_at is not None
