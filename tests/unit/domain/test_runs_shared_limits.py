"""Limits that the workflows of a tag reach together: one count, each workflow's own bound on it."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from shared.domain.runs.days import QUARTERS_KEPT
from shared.domain.runs.state import tag_scope
from shared.domain.workflow import Match, SharedLimit
from shared.testing.folds import TENANT, RunsScenario, approval, limits, match

FINANCE = (TENANT, tag_scope("finance"))


def of_finance(workflow_id: str, *, max_concurrent: int | None = None, tag: str = "finance", **given: int) -> Match:
    """A workflow that names the tag; `max_concurrent` is the tag's, `own` the workflow's."""
    own = given.pop("own", None)
    shared = SharedLimit(tag=tag, max_concurrent=max_concurrent, **given)
    return match(workflow_id, shared=(shared,), limits=limits(max_concurrent=own))


def statuses(log: RunsScenario, *run_ids: str) -> list[str]:
    return [log.run(each).status for each in run_ids]


def kinds(log: RunsScenario, *run_ids: str) -> list[str | None]:
    return [reason.kind if (reason := log.run(each).reason) else None for each in run_ids]


# ---------------------------------------------------------------- runs per day


def test_runs_of_all_that_name_the_tag_count_and_each_honours_its_own_bound() -> None:
    log = RunsScenario()
    strict, lax = of_finance("strict", max_runs_per_day=2), of_finance("lax", max_runs_per_day=3)
    (first,) = log.happens(strict)
    (second,) = log.happens(lax)
    (refused,) = log.happens(strict)
    (third,) = log.happens(lax)
    (too_many,) = log.happens(lax)
    (elsewhere,) = log.happens(of_finance("other", tag="support", max_runs_per_day=1))
    (next_day,) = log.wait(days=1).happens(strict)
    assert kinds(log, refused, too_many) == ["shared_runs_per_day"] * 2
    assert statuses(log, first, second, third, elsewhere, next_day) == ["running"] * 5


@pytest.mark.parametrize("zone", ["Asia/Kathmandu", "America/St_Johns", "Australia/Lord_Howe", "Europe/Paris"])
def test_each_zones_day_counts_all_runs_since_its_own_midnight(zone: str) -> None:
    """One count, though its workflows begin their days at other instants, on the quarter of an hour."""
    log = RunsScenario(datetime(2026, 4, 4, 0, 0, tzinfo=UTC))
    abroad = match("abroad", shared=(SharedLimit(tag="finance", max_runs_per_day=1_000),), limits=limits(zone=zone))
    asked = []
    for _ in range(3 * 24 * 12):
        wanted = abroad if len(asked) % 2 else of_finance("here", max_runs_per_day=1_000)
        asked.append((log.now, log.happens(wanted)[0]))
        log.wait(minutes=5)
    bound = match("bound", shared=(SharedLimit(tag="finance", max_runs_per_day=1),), limits=limits(zone=zone))
    (refused,) = log.happens(bound)
    today = log.now.astimezone(ZoneInfo(zone)).date()
    counted = sum(1 for at, _ in asked if at.astimezone(ZoneInfo(zone)).date() == today)
    assert f"{counted} run{'s' if counted > 1 else ''} on {today.isoformat()}" in str(log.run(refused).reason)
    assert len(log.activity(FINANCE[1]).quarters) <= QUARTERS_KEPT


# ---------------------------------------------------------------- cooldown


def test_a_key_cools_down_for_all_that_name_the_tag() -> None:
    log = RunsScenario()

    def asks(workflow_id: str, key: str, seconds: int) -> str:
        shared = SharedLimit(tag="finance", cooldown_seconds=seconds, cooldown_key=key)
        return log.happens(match(workflow_id, shared=(shared,)))[0]

    first = asks("w1", "ann", 60)
    refused = asks("w2", "ann", 60)
    other_key = asks("w2", "bob", 60)
    log.wait(seconds=60)
    assert kinds(log, refused) == ["shared_cooldown"]
    assert "'ann'" in str(log.run(refused).reason)
    assert statuses(log, first, other_key, asks("w2", "ann", 60)) == ["running"] * 3


def test_a_short_cooldown_forgets_nothing_that_a_longer_one_asks_for() -> None:
    log = RunsScenario()
    long, short = (
        match(each, shared=(SharedLimit(tag="finance", cooldown_seconds=seconds, cooldown_key="k"),))
        for each, seconds in (("long", 3_600), ("short", 60))
    )
    log.happens(long)
    (soon,) = log.wait(seconds=120).happens(short)
    (too_soon,) = log.wait(seconds=3_599 - 120).happens(long)
    (late_enough,) = log.wait(seconds=121).happens(long)
    assert kinds(log, soon, too_soon, late_enough) == [None, "shared_cooldown", None]


def test_a_tags_key_that_does_not_render_skips_with_that_reason() -> None:
    log = RunsScenario()
    shared = SharedLimit(tag="finance", cooldown_seconds=60, cooldown_problem="event.subject is missing")
    (run_id,) = log.happens(match(shared=(shared,)))
    assert kinds(log, run_id) == ["shared_cooldown_key"]


# ---------------------------------------------------------------- concurrency


def test_workflows_of_a_tag_share_its_places_and_start_in_the_order_of_the_log() -> None:
    log = RunsScenario()
    runs = [log.happens(of_finance(each, max_concurrent=1))[0] for each in ("a", "b", "c", "b", "a")]
    for number, run_id in enumerate(runs):
        assert statuses(log, *runs[number:]) == ["running"] + ["queued"] * (len(runs) - number - 1)
        log.completes(run_id)


def test_a_run_waits_for_its_workflow_and_for_every_tag() -> None:
    log = RunsScenario()
    both = match(
        "both",
        shared=(SharedLimit(tag="finance", max_concurrent=1), SharedLimit(tag="support", max_concurrent=1)),
        limits=limits(max_concurrent=1),
    )
    (finance,) = log.happens(of_finance("f", max_concurrent=1))
    (support,) = log.happens(of_finance("s", max_concurrent=1, tag="support"))
    first, second = (log.happens(both)[0] for _ in range(2))
    log.completes(support)
    assert statuses(log, first, second) == ["queued", "queued"]
    log.completes(finance)
    assert statuses(log, first, second) == ["running", "queued"]
    log.completes(first)
    assert statuses(log, second) == ["running"]


def test_who_waits_for_its_own_workflow_holds_up_nobody_else_of_the_tag() -> None:
    log = RunsScenario()
    narrow = of_finance("narrow", max_concurrent=3, own=1)
    wide = of_finance("wide", max_concurrent=3)
    running, waiting = (log.happens(narrow)[0] for _ in range(2))
    (overtaking,) = log.happens(wide)
    assert statuses(log, running, waiting, overtaking) == ["running", "queued", "running"]
    (last_place,) = log.happens(wide)
    (queued,) = log.happens(wide)
    log.completes(last_place)
    assert statuses(log, waiting, queued) == ["queued", "running"]
    log.completes(running)
    assert statuses(log, waiting) == ["running"]


def test_a_workflow_that_states_a_lower_bound_waits_longer() -> None:
    log = RunsScenario()
    one, two = of_finance("one", max_concurrent=1), of_finance("two", max_concurrent=2)
    (first,) = log.happens(two)
    (patient,) = log.happens(one)
    (second,) = log.happens(two)
    assert statuses(log, first, patient, second) == ["running", "queued", "running"]
    log.completes(first)
    assert statuses(log, patient) == ["queued"]
    log.completes(second)
    assert statuses(log, patient) == ["running"]


def test_cancelling_the_first_of_a_line_lets_the_next_one_be_asked() -> None:
    log = RunsScenario()
    (running,) = log.happens(of_finance("w", max_concurrent=1))
    (held_up,) = log.happens(of_finance("w", max_concurrent=1))
    (behind,) = log.happens(of_finance("w", max_concurrent=5))
    log.cancels(held_up)
    assert statuses(log, running, held_up, behind) == ["running", "cancelled", "running"]


def test_a_granted_run_joins_its_line_when_the_tag_is_full() -> None:
    log = RunsScenario()
    shared = (SharedLimit(tag="finance", max_concurrent=1),)
    (held,) = log.happens(match("held", shared=shared, approval=approval()))
    (running,) = log.happens(match("other", shared=shared))
    log.grants(held)
    assert statuses(log, held, running) == ["queued", "running"]
    log.completes(running)
    assert statuses(log, held) == ["running"]


def test_two_tenants_tags_of_one_name_share_nothing() -> None:
    log = RunsScenario()
    bounded = of_finance("w", max_concurrent=1, max_runs_per_day=1, cooldown_seconds=60)
    log.happens(bounded)
    (theirs,) = log.happens(bounded, event_id="theirs", tenant_id="other")
    assert statuses(log, theirs) == ["running"]


def test_an_end_looks_at_no_more_waiting_runs_than_it_starts() -> None:
    """However many wait: whoever ends asks for the first of each line that its own scopes held up."""

    class Counting(dict[str, object]):
        asked = 0

        def __getitem__(self, key: str) -> object:
            self.asked += 1
            return super().__getitem__(key)

    log = RunsScenario()
    counting = Counting()
    log.fold._waiting._runs = counting  # type: ignore[assignment]  # counts what is looked at
    log.fold.runs = counting  # type: ignore[assignment]  # as above
    runs = [log.happens(of_finance(f"w{number % 3}", max_concurrent=2))[0] for number in range(1_500)]
    for run_id in runs[:50]:
        log.starts(run_id)
        before = counting.asked
        log.succeeds(run_id)
        assert counting.asked - before <= 12
