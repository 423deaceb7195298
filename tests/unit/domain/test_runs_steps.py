"""Steps, attempts and what nobody knows."""

from datetime import timedelta

import pytest

from services.executor.core.plan import Begin, Carry, Settle, next_work, still_wanted
from shared.domain.records import Problem, StepFailed, StepResolved, StepSkipped, StepUnknown
from shared.domain.runs.state import Run
from shared.testing.folds import RunsScenario, command, match, step

DIAMOND = (step("a"), step("b", needs=("a",)), step("c", needs=("a",)), step("d", needs=("b", "c")))


def a_run(*steps: object, **given: object) -> tuple[RunsScenario, Run]:
    log = RunsScenario()
    (run_id,) = log.happens(match(steps=steps or None, **given))  # type: ignore[arg-type]  # step plans
    return log, log.run(run_id)


def resolves(log: RunsScenario, run: Run, how: str, number: int = 1, command_id: str = "r") -> int:
    fact = StepResolved(
        run_id=run.id,
        step_id="a",
        number=number,
        resolution=how,  # type: ignore[arg-type]  # one of the three
        reason="the receiver says so",
        command=command(command_id),
    )
    log.append(fact)
    return log.verdict(command_id).status


def lost(on_unknown: str) -> tuple[RunsScenario, Run]:
    log, run = a_run(step("a", effect="unsafe", on_unknown=on_unknown))
    log.starts(run.id)
    log.append(StepUnknown(run_id=run.id, step_id="a", number=1))
    return log, run


# ---------------------------------------------------------------- the graph


def test_steps_begin_when_all_they_need_has_ended() -> None:
    log, run = a_run(*DIAMOND)
    assert next_work(run) == [Begin("a", 1, None)]
    log.completes(run.id, "a")
    assert next_work(run) == [Begin("b", 1, None), Begin("c", 1, None)]
    log.starts(run.id, "b")
    log.append(StepSkipped(run_id=run.id, step_id="c", reason="its condition is false"))
    assert next_work(run) == [Carry("b", 1, None)]
    log.succeeds(run.id, "b")
    assert next_work(run) == [Begin("d", 1, None)]
    log.completes(run.id, "d")
    assert run.status == "succeeded"
    assert run.closed
    assert next_work(run) == []


def test_a_failed_step_ends_the_run_and_the_others_in_flight_are_awaited() -> None:
    log, run = a_run(step("a"), step("b"))
    log.starts(run.id, "a")
    log.starts(run.id, "b")
    log.fails(run.id, "a")
    assert (run.status, run.closed) == ("failed", False)
    assert run.reason == Problem(kind="http_500", detail="step a: the receiver answered 500")
    assert next_work(run) == [Settle("b", 1)]
    log.succeeds(run.id, "b", output="late")
    assert (run.status, run.closed, run.steps["b"].output) == ("failed", True, "late")


def test_on_error_continue_goes_on() -> None:
    log, run = a_run(step("a", on_error="continue"), step("b", needs=("a",)))
    log.starts(run.id, "a")
    log.fails(run.id, "a")
    assert next_work(run) == [Begin("b", 1, None)]
    log.completes(run.id, "b")
    assert run.status == "succeeded"
    assert run.steps["a"].status == "failed"


def test_a_step_that_cannot_be_tried_fails() -> None:
    log, run = a_run()
    log.append(StepFailed(run_id=run.id, step_id="a", problem=Problem(kind="template", detail="no such path")))
    assert (run.status, run.steps["a"].status, run.steps["a"].number) == ("failed", "failed", 0)


def test_a_run_of_skipped_steps_has_succeeded() -> None:
    log, run = a_run()
    log.append(StepSkipped(run_id=run.id, step_id="a", reason="its condition is false"))
    assert (run.status, run.steps["a"].reason) == ("succeeded", "its condition is false")


# ---------------------------------------------------------------- attempts


def test_a_retry_is_due_when_the_record_says() -> None:
    log, run = a_run()
    log.starts(run.id)
    due_at = log.now + timedelta(seconds=5)
    log.fails(run.id, retry_at=due_at)
    assert next_work(run) == [Begin("a", 2, due_at)]
    log.wait(seconds=5).starts(run.id, number=2)
    assert next_work(run) == [Carry("a", 2, None)]
    log.succeeds(run.id, number=2, output={"status": 200})
    assert (run.status, run.steps["a"].problem, run.steps["a"].due_at) == ("succeeded", None, None)
    assert [each.outcome for each in run.steps["a"].attempts] == ["failed", "succeeded"]


def test_numbers_that_do_not_follow_are_nothing() -> None:
    log, run = a_run()
    log.starts(run.id, number=2)
    log.succeeds(run.id)
    assert run.steps["a"].status == "pending"
    log.starts(run.id)
    log.starts(run.id)
    log.starts(run.id, number=2)
    log.succeeds(run.id, number=2)
    assert (run.steps["a"].status, run.steps["a"].number) == ("started", 1)
    assert run.positions == [0, 3]
    assert run.last_record_id == "record-3"


def test_the_first_result_of_an_attempt_stands() -> None:
    log, run = a_run()
    log.starts(run.id)
    log.fails(run.id, retry_at=log.now)
    log.succeeds(run.id)
    assert run.steps["a"].status == "retrying"


def test_a_wait_is_carried_out_at_its_instant() -> None:
    log, run = a_run()
    due_at = log.now + timedelta(days=30)
    log.starts(run.id, due_at=due_at)
    assert next_work(run) == [Carry("a", 1, due_at)]


# ---------------------------------------------------------------- cancelling


def test_a_cancelled_run_is_over_at_once_and_closed_when_the_attempt_is() -> None:
    log, run = a_run()
    log.starts(run.id)
    assert log.cancels(run.id).status == 200
    assert (run.status, run.closed) == ("cancelled", False)
    assert next_work(run) == [Settle("a", 1)]
    again = log.cancels(run.id, "c2")
    assert (again.status, again.body["status"]) == (409, "cancelled")
    log.fails(run.id, retry_at=log.now)
    assert (run.status, run.closed, run.steps["a"].status) == ("cancelled", True, "failed")
    assert next_work(run) == []


def test_a_cancelled_wait_holds_the_run_open_no_longer() -> None:
    log, run = a_run()
    log.starts(run.id, due_at=log.now + timedelta(days=30))
    log.cancels(run.id)
    assert (run.status, run.closed) == ("cancelled", True)
    attempt = run.steps["a"].attempts[0]
    assert (run.steps["a"].status, attempt.ended_at) == ("failed", log.now)
    log.succeeds(run.id)
    assert run.steps["a"].status == "failed"


def test_an_attempt_that_begins_after_the_cancellation_never_began() -> None:
    log, run = a_run()
    log.cancels(run.id)
    log.starts(run.id)
    assert run.steps["a"].status == "pending"
    assert not still_wanted(run, Carry("a", 1, None))


def test_an_unknown_end_closes_a_cancelled_run_too() -> None:
    log, run = a_run(step("a", effect="unsafe", on_unknown="retry"))
    log.starts(run.id)
    log.cancels(run.id)
    log.append(StepUnknown(run_id=run.id, step_id="a", number=1))
    assert (run.status, run.closed, run.steps["a"].status) == ("cancelled", True, "unknown")
    assert next_work(run) == []


# ---------------------------------------------------------------- what nobody knows


def test_ask_waits_for_a_person() -> None:
    log, run = lost("ask")
    assert (run.status, run.steps["a"].status) == ("running", "unknown")
    assert next_work(run) == []
    assert resolves(log, run, "succeeded") == 200
    assert (run.status, run.steps["a"].problem) == ("succeeded", None)
    assert run.steps["a"].attempts[0].outcome == "succeeded"


def test_a_person_may_call_it_failed() -> None:
    log, run = lost("ask")
    assert resolves(log, run, "failed") == 200
    assert (run.status, run.steps["a"].problem) == ("failed", Problem(kind="resolved", detail="the receiver says so"))


def test_a_person_may_have_it_tried_again() -> None:
    log, run = lost("ask")
    assert resolves(log, run, "retry") == 200
    assert next_work(run) == [Begin("a", 2, log.now)]
    assert resolves(log, run, "failed", command_id="r2") == 409
    log.starts(run.id, number=2)
    log.append(StepUnknown(run_id=run.id, step_id="a", number=2))
    assert resolves(log, run, "succeeded", number=1, command_id="r3") == 409
    assert resolves(log, run, "succeeded", number=2, command_id="r4") == 200
    assert run.status == "succeeded"


def test_nothing_to_resolve_is_said() -> None:
    log, run = a_run()
    assert resolves(log, run, "succeeded") == 409
    assert "pending" in str(log.verdict("r").body["detail"])


def test_fail_fails_it() -> None:
    _, run = lost("fail")
    assert (run.status, run.reason.kind if run.reason else None) == ("failed", "unknown")


def test_retry_tries_again_at_once() -> None:
    log, run = lost("retry")
    assert next_work(run) == [Begin("a", 2, log.now)]


@pytest.mark.parametrize("on_unknown", ["ask", "retry"])
def test_a_late_word_of_success_settles_it(on_unknown: str) -> None:
    log, run = lost(on_unknown)
    log.succeeds(run.id, output={"status": 200})
    assert (run.status, run.steps["a"].output) == ("succeeded", {"status": 200})
    assert not still_wanted(run, Begin("a", 2, None))


def test_a_late_word_of_failure_leaves_the_retry_that_was_decided() -> None:
    log, run = lost("retry")
    log.fails(run.id)
    assert next_work(run) == [Begin("a", 2, log.now)]
    log.succeeds(run.id)
    assert run.steps["a"].status == "retrying"


def test_a_late_word_about_an_earlier_attempt_is_nothing() -> None:
    log, run = lost("retry")
    log.starts(run.id, number=2)
    log.succeeds(run.id, number=1)
    assert (run.steps["a"].status, run.steps["a"].number) == ("started", 2)


def test_after_a_result_it_cannot_become_unknown() -> None:
    log, run = a_run(step("a", effect="unsafe"), step("b"))
    log.completes(run.id, "a")
    log.append(StepUnknown(run_id=run.id, step_id="a", number=1))
    assert run.steps["a"].status == "succeeded"


# ---------------------------------------------------------------- plans


def test_planned_work_is_wanted_while_the_state_asks_for_it() -> None:
    log, run = a_run()
    begin, carry, settle = Begin("a", 1, None), Carry("a", 1, None), Settle("a", 1)

    def wanted() -> list[bool]:
        return [still_wanted(run, each) for each in (begin, carry, settle)]

    assert wanted() == [True, False, False]
    log.starts(run.id)
    assert wanted() == [False, True, False]
    log.cancels(run.id)
    assert wanted() == [False, False, True]
    log.fails(run.id)
    assert wanted() == [False, False, False]
    assert not still_wanted(run, Begin("nothing", 1, None))


def test_runs_that_do_not_run_have_no_work() -> None:
    log = RunsScenario()
    (skipped,) = log.happens(match(), chain=["w1"])
    assert next_work(log.run(skipped)) == []
