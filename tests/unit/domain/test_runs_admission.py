"""Which of the runs that are asked for start, wait or are skipped."""

from datetime import UTC, datetime

import pytest

from shared.domain.records import ApprovalExpired, EventMatched, Problem, SourceEvent, StepFailed, StepSkipped
from shared.domain.runs.fold import Known, Questions, RunsFold
from shared.domain.runs.state import Usage
from shared.domain.workflow import Match, MonthlyQuota, SharedLimit
from shared.testing.folds import TENANT, RunsScenario, approval, command, limits, match


def skipped_for(log: RunsScenario, run_id: str) -> str | None:
    run = log.run(run_id)
    return run.reason.kind if run.status == "skipped" and run.reason is not None else None


# ---------------------------------------------------------------- duplicates


def test_the_first_match_of_an_event_stands_whole_whatever_a_later_one_says() -> None:
    log = RunsScenario()
    log.happens(match("w1"), event_id="e")
    (later,) = log.happens(match("w2"), event_id="e")
    assert later not in log.fold.runs
    assert not log.last.runs


def test_a_replay_of_an_event_asks_for_runs_of_its_own() -> None:
    log = RunsScenario()
    (live,) = log.happens(match("w1"), event_id="e")
    (replayed,) = log.happens(match("w1"), event_id="e", replay_id="replay-1")
    log.happens(match("w1"), event_id="e", replay_id="replay-1")
    assert set(log.fold.runs) == {live, replayed}


def test_a_match_that_asks_for_nothing_leaves_no_trace_that_could_be_forgotten() -> None:
    log = RunsScenario()
    log.happens(event_id="e")
    questions = Questions()
    log.fold.ask(questions, [(TENANT, log.log[-1].fact)])
    (run_id,) = log.happens(match("w1"), event_id="e")
    assert log.run(run_id).status == "running"
    assert not questions


def test_one_record_cannot_ask_for_one_run_twice() -> None:
    log = RunsScenario()
    twin = match("w1", run_id="r")
    event = SourceEvent(id="e", source="s", type="t", data=None)
    log.append(EventMatched(event=event, definitions_version=1, matches=(twin, twin)))
    assert [run.id for run in log.last.runs] == ["r"]


def test_a_run_without_steps_has_succeeded() -> None:
    log = RunsScenario()
    (run_id,) = log.happens(match(steps=()))
    assert log.run(run_id).status == "succeeded"
    assert not log.activity().running


def test_a_second_request_with_the_same_key_is_the_first_run_under_any_command() -> None:
    log = RunsScenario()
    run_id = log.asks(match("w1"), key="k", command_id="c1")
    log.asks(match("w1"), key="k", command_id="c2")
    assert list(log.fold.runs) == [run_id]
    assert log.verdict("c1").body == log.verdict("c2").body == {"run_id": run_id}
    assert log.run(run_id).requested_by == "ann"
    assert log.run(run_id).inputs == {"n": 1}


def test_what_was_forgotten_is_asked_for_and_known() -> None:
    log = RunsScenario()
    run_id = log.asks(match("w1"), key="k", command_id="c1")
    fact = log.log[-1]
    fresh = RunsFold()
    questions = Questions()
    fresh.ask(questions, [(TENANT, fact.fact)])
    assert questions.run_ids == {run_id}
    assert questions.commands == {(TENANT, "c1")}
    fresh.apply(fact.event, fact.fact, fact.recorded_at, 7, Known(run_ids=frozenset({run_id})))
    assert not fresh.runs
    assert fresh.verdicts[TENANT, "c1"].status == 202


def test_a_repeated_command_finds_its_verdict_for_30_days_then_it_is_a_new_one() -> None:
    log = RunsScenario()
    run_id = log.asks(match("w1"), key="k", command_id="c")
    first = log.verdict("c")
    log.wait(days=29, hours=23).append(log.log[0].fact)
    assert log.last.verdict is None
    assert log.verdict("c") is first
    log.wait(hours=1).append(log.log[0].fact)
    assert log.last.verdict is not None
    assert log.verdict("c").decided_at == log.now
    assert list(log.fold.runs) == [run_id]


def test_time_is_the_highest_append_time_so_far() -> None:
    log = RunsScenario()
    log.happens(match())
    then = log.now
    log.wait(hours=-1)
    (run_id,) = log.happens(match())
    assert log.run(run_id).requested_at == then


# ---------------------------------------------------------------- loops and depth


def test_no_workflow_stands_twice_in_a_causal_chain() -> None:
    log = RunsScenario()
    (run_id,) = log.happens(match("w1"), chain=["w1"])
    assert skipped_for(log, run_id) == "loop"


def test_a_reentrant_workflow_may_until_its_depth() -> None:
    log = RunsScenario()
    again = match("w1", limits=limits(reentrant=True, max_depth=2))
    (allowed,) = log.happens(again, chain=["w1"])
    (too_deep,) = log.happens(again, chain=["w1", "w1"])
    assert log.run(allowed).status == "running"
    assert log.run(allowed).causal_chain == ("w1", "w1")
    assert skipped_for(log, too_deep) == "depth"


def test_three_runs_deep_by_default_and_never_more_than_ten() -> None:
    log = RunsScenario()
    (allowed,) = log.happens(match("w9"), chain=["a", "b"])
    (refused,) = log.happens(match("w9"), chain=["a", "b", "c"])
    (bold,) = log.happens(match("w9", limits=limits(max_depth=99)), chain=[f"w{n}" for n in range(20, 30)])
    assert log.run(allowed).status == "running"
    assert skipped_for(log, refused) == skipped_for(log, bold) == "depth"


# ---------------------------------------------------------------- cooldown


def test_a_cooldown_is_per_key_and_ends_to_the_second() -> None:
    log = RunsScenario()
    ann, bob = (match(limits=limits(cooldown_seconds=300), cooldown_key=key) for key in ("ann", "bob"))
    log.happens(ann)
    (too_soon,) = log.wait(seconds=299).happens(ann)
    (other_key,) = log.happens(bob)
    (late_enough,) = log.wait(seconds=1).happens(ann)
    assert skipped_for(log, too_soon) == "cooldown"
    assert log.run(other_key).status == log.run(late_enough).status == "running"


def test_a_skipped_run_starts_no_cooldown() -> None:
    log = RunsScenario()
    cooled = match(limits=limits(cooldown_seconds=300))
    log.happens(cooled)
    log.wait(seconds=200).happens(cooled)
    (admitted,) = log.wait(seconds=100).happens(cooled)
    assert log.run(admitted).status == "running"


def test_a_key_that_does_not_render_skips_with_that_reason() -> None:
    log = RunsScenario()
    unkeyed = match(limits=limits(cooldown_seconds=300), cooldown_problem="event.subject is missing")
    (run_id,) = log.happens(unkeyed)
    assert skipped_for(log, run_id) == "cooldown_key"
    assert "event.subject" in str(log.run(run_id).reason)


def test_old_cooldowns_are_forgotten() -> None:
    log = RunsScenario()
    for number in range(100):
        log.wait(seconds=60).happens(match(limits=limits(cooldown_seconds=300), cooldown_key=str(number)))
    assert len(log.activity().cooldowns) == 5


# ---------------------------------------------------------------- runs per day


@pytest.mark.parametrize(
    ("zone", "before", "after"),
    [
        ("UTC", "2026-03-02T23:59:59", "2026-03-03T00:00:00"),
        ("Europe/Paris", "2026-03-02T22:59:59", "2026-03-02T23:00:00"),
        # Clocks go forward on 29 March: that day's midnight is at 22:00 UTC.
        ("Europe/Paris", "2026-03-29T21:59:59", "2026-03-29T22:00:00"),
        # And back on 25 October: 25 hours, until 23:00 UTC.
        ("Europe/Paris", "2026-10-25T22:59:59", "2026-10-25T23:00:00"),
        # Here midnight itself is skipped: Santiago's 6 September begins at 01:00, 04:00 UTC.
        ("America/Santiago", "2026-09-06T03:59:59", "2026-09-06T04:00:00"),
    ],
)
def test_a_day_ends_at_midnight_of_the_workflows_zone(zone: str, before: str, after: str) -> None:
    once = match(limits=limits(max_runs_per_day=1, zone=zone))
    log = RunsScenario(datetime.fromisoformat(before).replace(tzinfo=UTC))
    (first,) = log.happens(once)
    (second,) = log.happens(once)
    log.now = datetime.fromisoformat(after).replace(tzinfo=UTC)
    (next_day,) = log.happens(once)
    assert [log.run(each).status for each in (first, second, next_day)] == ["running", "skipped", "running"]
    assert skipped_for(log, second) == "runs_per_day"


def test_skipped_runs_are_not_counted_per_day() -> None:
    log = RunsScenario()
    twice = limits(max_runs_per_day=2, cooldown_seconds=60)
    log.happens(match(limits=twice))
    log.happens(match(limits=twice))
    (second,) = log.wait(seconds=60).happens(match(limits=twice))
    (third,) = log.wait(seconds=60).happens(match(limits=twice))
    assert log.run(second).status == "running"
    assert skipped_for(log, third) == "runs_per_day"


# ---------------------------------------------------------------- concurrency

ENDS = {
    "succeeded": lambda log, run_id: log.completes(run_id),
    "failed": lambda log, run_id: (log.starts(run_id), log.fails(run_id)),
    "skipped step": lambda log, run_id: log.append(StepSkipped(run_id=run_id, step_id="a", reason="")),
    "step that cannot be tried": lambda log, run_id: log.append(
        StepFailed(run_id=run_id, step_id="a", problem=Problem(kind="template", detail=""))
    ),
    "cancelled": lambda log, run_id: log.cancels(run_id),
}


@pytest.mark.parametrize("end", ENDS)
def test_every_end_lets_the_next_in_line_start(end: str) -> None:
    log = RunsScenario()
    one = match(limits=limits(max_concurrent=1))
    first, second, third = (log.happens(one)[0] for _ in range(3))
    assert [log.run(each).status for each in (first, second, third)] == ["running", "queued", "queued"]
    ENDS[end](log, first)
    assert [log.run(each).status for each in (second, third)] == ["running", "queued"]
    assert log.run(second) in log.last.runs
    assert log.run(second).started_at == log.now


def test_a_full_queue_skips_and_a_cancelled_one_leaves_room() -> None:
    log = RunsScenario()
    one = match(limits=limits(max_concurrent=1, max_queued=1))
    first, waiting, refused = (log.happens(one)[0] for _ in range(3))
    assert skipped_for(log, refused) == "queue_full"
    log.cancels(waiting)
    (queued,) = log.happens(one)
    assert log.run(queued).status == "queued"
    log.completes(first)
    assert log.run(queued).status == "running"


def test_nobody_overtakes_the_queue_though_a_newer_revision_would_let_him() -> None:
    log = RunsScenario()
    narrow, wide = match(limits=limits(max_concurrent=1)), match(revision=2, limits=limits(max_concurrent=5))
    first, second = (log.happens(narrow)[0] for _ in range(2))
    (third,) = log.happens(wide)
    assert log.run(third).status == "queued"
    log.completes(first)
    assert [log.run(each).status for each in (second, third)] == ["running", "running"]


def test_cancelling_the_first_in_line_lets_those_start_that_it_held_up() -> None:
    log = RunsScenario()
    narrow, wide = match(limits=limits(max_concurrent=1)), match(revision=2, limits=limits(max_concurrent=5))
    log.happens(narrow)
    (second,) = log.happens(narrow)
    (third,) = log.happens(wide)
    log.cancels(second)
    assert log.run(third).status == "running"


def test_a_run_without_a_bound_waits_for_nobody() -> None:
    log = RunsScenario()
    for _ in range(2):
        log.happens(match(limits=limits(max_concurrent=1)))
    (unbounded,) = log.happens(match(revision=2))
    assert log.run(unbounded).status == "running"


def test_what_a_person_grants_is_queued_even_past_the_queues_bound() -> None:
    log = RunsScenario()
    held = match(approval=approval(), limits=limits(max_concurrent=1, max_queued=0))
    first, second, third = (log.happens(held)[0] for _ in range(3))
    for run_id in (third, first, second):
        log.grants(run_id)
    assert [log.run(each).status for each in (third, first, second)] == ["running", "queued", "queued"]
    log.completes(third)
    assert [log.run(each).status for each in (first, second)] == ["running", "queued"]


def test_the_queue_comes_back_in_the_order_of_the_grants() -> None:
    log = RunsScenario()
    held = match(approval=approval(), limits=limits(max_concurrent=1))
    asked = [log.happens(held)[0] for _ in range(4)]
    for run_id in reversed(asked):
        log.grants(run_id)
    restored = RunsFold()
    restored.restore(list(log.fold.runs.values()), {}, {}, log.now)
    activity = restored.activities[TENANT, "w1"]
    assert activity.running == {asked[3]}
    assert list(activity.queued) == [asked[2], asked[1], asked[0]] == list(log.activity().queued)


# ---------------------------------------------------------------- stop_on_match


def test_the_first_admitted_one_stops_those_after_it() -> None:
    log = RunsScenario()
    first, second, third = log.happens(match("w1"), match("w2", stop_on_match=True), match("w3"))
    assert log.run(first).status == log.run(second).status == "running"
    assert skipped_for(log, third) == "stopped"
    assert "w2" in str(log.run(third).reason)


def test_a_skipped_one_stops_nobody() -> None:
    log = RunsScenario()
    skipped, admitted = log.happens(match("w1", stop_on_match=True), match("w2"), chain=["w1"])
    assert skipped_for(log, skipped) == "loop"
    assert log.run(admitted).status == "running"


@pytest.mark.parametrize(
    "stopping",
    [
        match("w1", stop_on_match=True, approval=approval()),
        match("w1", stop_on_match=True, limits=limits(max_concurrent=1)),
    ],
)
def test_one_that_waits_is_admitted_and_stops(stopping: object) -> None:
    log = RunsScenario()
    log.happens(match("w1", limits=limits(max_concurrent=1)))
    waiting, stopped = log.happens(stopping, match("w2"))  # type: ignore[arg-type]  # a Match
    assert log.run(waiting).status in ("pending_approval", "queued")
    assert skipped_for(log, stopped) == "stopped"


def test_a_stopped_run_counts_for_no_limit() -> None:
    log = RunsScenario()
    log.happens(match("w1", stop_on_match=True), match("w2", limits=limits(max_runs_per_day=1, cooldown_seconds=60)))
    (admitted,) = log.happens(match("w2", limits=limits(max_runs_per_day=1, cooldown_seconds=60)))
    assert log.run(admitted).status == "running"


# ---------------------------------------------------------------- tenants


def test_two_tenants_workflows_of_one_id_share_nothing() -> None:
    log = RunsScenario()
    bounded = match(limits=limits(max_concurrent=1, max_runs_per_day=1, cooldown_seconds=60))
    log.happens(bounded)
    (theirs,) = log.happens(bounded, event_id="theirs", tenant_id="other")
    assert log.run(theirs).status == "running"
    assert log.cancels(theirs).body["kind"] == "run-ended"
    assert log.run(theirs).status == "running"


def test_a_command_id_is_a_tenants_own() -> None:
    log = RunsScenario()
    (run_id,) = log.happens(match(approval=approval()))
    log.cancels(run_id, "c", tenant_id="other")
    assert log.cancels(run_id, "c").status == 200


def test_facts_of_runs_that_nobody_asked_for_are_nothing() -> None:
    log = RunsScenario()
    log.starts("nobody's")
    log.append(ApprovalExpired(run_id="nobody's"))
    assert not log.fold.runs
    assert log.cancels("nobody's").status == 409
    assert command("c").actor == "ann"


# ---------------------------------------------------------------- the plan's runs a month


def on_plan(runs: int, workflow_id: str = "w1") -> Match:
    return match(workflow_id, quota=MonthlyQuota(plan="free", runs=runs))


def test_a_plan_bounds_a_tenants_runs_of_a_calendar_month_over_all_its_workflows() -> None:
    log = RunsScenario(datetime(2026, 12, 31, 23, 59, 58, tzinfo=UTC))
    first, second = (log.happens(on_plan(2, each))[0] for each in ("w1", "w2"))
    (refused,) = log.happens(on_plan(2))
    (theirs,) = log.happens(on_plan(2), event_id="theirs", tenant_id="other")
    (next_month,) = log.wait(seconds=2).happens(on_plan(2))
    admitted = [log.run(each).status for each in (first, second, theirs, next_month)]
    assert admitted == ["running"] * 4
    assert skipped_for(log, refused) == "plan_runs_per_month"
    assert log.run(refused).reason == Problem(
        kind="plan_runs_per_month",
        detail="2 runs in 2026-12 (UTC), the plan 'free' allows 2; the next is admitted from 2027-01-01T00:00:00+00:00",
    )


def test_a_larger_plan_counts_on_and_skipped_runs_count_for_nothing() -> None:
    log = RunsScenario()
    for _ in range(3):
        log.happens(on_plan(1))
    (by_then,) = log.happens(on_plan(2))
    (unbounded,) = log.happens(match())
    assert log.run(by_then).status == log.run(unbounded).status == "running"
    assert log.fold.usage[TENANT] == Usage(month="2026-03", runs=3)


# ---------------------------------------------------------------- what a refusal says


@pytest.mark.parametrize(
    ("wanted", "detail"),
    [
        (
            match(limits=limits(cooldown_seconds=300), cooldown_key="ann"),
            "last admitted for 'ann' at 2026-03-02T09:00:00+00:00, the cooldown is 300 s; "
            "the next is admitted from 2026-03-02T09:05:00+00:00",
        ),
        (
            match(limits=limits(max_runs_per_day=1, zone="Europe/Paris")),
            "1 run on 2026-03-02 (Europe/Paris), `max_runs_per_day` is 1; "
            "the next is admitted from 2026-03-02T23:00:00+00:00",
        ),
        (
            match(limits=limits(max_concurrent=1, max_queued=0)),
            "1 run is running and `max_concurrent` is 1, 0 wait and `max_queued` is 0; "
            "the next is admitted once one of them ends",
        ),
        (
            match(shared=(SharedLimit(tag="finance", max_runs_per_day=1),)),
            "tag 'finance': 1 run on 2026-03-02 (UTC), `max_runs_per_day` is 1; "
            "the next is admitted from 2026-03-03T00:00:00+00:00",
        ),
        (
            match(shared=(SharedLimit(tag="finance", max_concurrent=1),), limits=limits(max_queued=0)),
            "tag 'finance': 1 run is running and `max_concurrent` is 1, 0 wait and `max_queued` is 0; "
            "the next is admitted once one of them ends",
        ),
    ],
)
def test_a_refusal_says_its_numbers_and_when_the_next_is_admitted(wanted: Match, detail: str) -> None:
    log = RunsScenario()
    log.happens(wanted)
    (refused,) = log.happens(wanted)
    reason = log.run(refused).reason
    assert reason is not None
    assert reason.detail == detail
