"""A backtest over the log of a live run finds exactly the matches that the matcher appended, whatever starts the workflow."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.backtests.core.candidate import candidate_of
from services.backtests.core.course import memory_seconds
from services.backtests.core.firings import next_firings
from services.backtests.core.found import Report
from services.backtests.service.asking import job_of
from services.backtests.service.protocol import Ended
from services.backtests.service.worker import run_backtest
from services.backtests.settings import BacktestsSettings
from services.executor.actions import discover_actions
from services.matcher.triggers import discover_triggers
from services.previews import ActionPreviews
from shared.bus.ranges import BusRange
from shared.bus.topics import EVENTS
from shared.testing.examples import examples
from shared.workflows.catalogue import Catalogue

CATALOGUE = Catalogue(actions=discover_actions(), triggers=discover_triggers(), event_schemas={})
START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
SETTINGS = BacktestsSettings(
    batch_records=5, cpu_share_max=1.0, progress_interval_seconds=0.01, samples_bytes_max=100_000_000
)
TYPES = ["order.created", "order.paid", "authz.denied"]
KEY = "{{ event.data.key }}"


def absence(after: str, of: str, within: int, lateness: int) -> dict[str, Any]:
    sides = {"after": {"event": after}, "of": {"event": of}}
    return {"absence": {**sides, "within_seconds": within, "lateness_seconds": lateness, "key": KEY}}


def count(event: str, times: int, within: int, lateness: int) -> dict[str, Any]:
    bounds = {"times": times, "within_seconds": within, "lateness_seconds": lateness}
    return {"count": {"event": event, **bounds, "key": KEY}}


types = st.sampled_from(TYPES)
firings = st.sampled_from([*TYPES, "upshot.schedule.fired"])
lateness = st.sampled_from([1, 10, 25])
triggers = st.one_of(
    st.builds(lambda event: {"event": event}, st.sampled_from([*TYPES, "order.*", "upshot.*"])),
    st.builds(lambda key: {"pattern": {"data": {"key": [{"prefix": key}]}}}, st.sampled_from("xy")),
    st.builds(count, firings, st.integers(2, 3), st.sampled_from([5, 40]), lateness),
    st.builds(absence, types, types, st.sampled_from([5, 20]), lateness),
    st.builds(absence, types, types, st.sampled_from([5, 20]), lateness),
    st.builds(lambda seconds: {"schedule": {"interval": {"seconds": seconds}}}, st.sampled_from([10, 25])),
    st.just({"schedule": {"cron": "* * * * *", "overlap": "allow", "catch_up_max": 3}}),
)
conditions = st.sampled_from([None, None, "event.data.key != 'y'", "event.type != 'order.paid'"])
happenings = st.lists(
    st.tuples(
        st.integers(0, 9),
        types,
        st.sampled_from("xy"),
        st.sampled_from([0, 0, 1, 12, 30]),
        st.sampled_from([0, 0, 1, 5, 9, 20, 61]),
    ),
    max_size=30,
)


async def live_on(world: Any, seconds: float) -> None:
    """A matcher that keeps up: whatever falls due is acted on then."""
    end = world.clock.time + timedelta(seconds=seconds)
    await world.move(0)
    while True:
        due = [each for each in (world.firing.next_due(), world.due.next_due()) if each is not None and each <= end]
        if not due:
            break
        await world.move(max((min(due) - world.clock.time).total_seconds(), 0))
    await world.move((end - world.clock.time).total_seconds())


async def happen(world: Any, happened: Any) -> None:
    for number, event_type, key, ago, pause in happened:
        await world.happen(f"{event_type} {number} {key}", event_type, {"key": key}, ago=ago)
        await live_on(world, pause)


async def backtested(world: Any, workflow: Any, live: Any, since: Any) -> Report:
    tenant = world.definitions.tenant("acme")
    job = job_of(
        tenant,
        workflow,
        live,
        SETTINGS,
        partition=0,
        since=since,
        until=world.clock.now(),
        samples=100_000,
        is_draft=live is not None,
        saved_id=workflow.id,
    )
    told: list[Any] = []
    log = BusRange(world.bus, EVENTS, 0)
    await run_backtest(job, log, CATALOGUE, ActionPreviews(discover_actions()), Standing(), lambda: 0.0, told.append)
    await log.close()
    assert isinstance(told[-1], Ended), told[-1]
    return told[-1].report


class Standing:
    """No time passes."""

    def now(self) -> Any:
        raise AssertionError("a backtest looks at no clock but that for its pauses")

    def monotonic(self) -> float:
        return 0.0


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    trigger=st.one_of(triggers, st.lists(triggers, min_size=1, max_size=3)),
    condition=conditions,
    before=happenings.map(lambda many: many[:5]),
    happened=happenings,
)
async def test_a_backtest_finds_what_the_matcher_matched(
    make_world: Any, trigger: Any, condition: str | None, before: Any, happened: Any
) -> None:
    world = await make_world()
    await happen(world, before)
    await live_on(world, 1.5)  # half a second: nothing is planned, and nothing falls due, at the very edges
    saved_at = world.clock.now()
    world.save(trigger, **({"if": condition} if condition is not None else {}))
    await happen(world, happened)
    await live_on(world, 70.25)

    workflow = world.definitions.tenant("acme").workflows["w"]
    candidate = candidate_of(world.definitions.tenant("acme"), workflow, workflow.newest, CATALOGUE)
    since = saved_at + timedelta(seconds=memory_seconds(candidate))
    report = await backtested(world, workflow, None, since)

    runs = [run for run in world.fold.runs.values() if run.match.workflow_id == "w" and run.requested_at >= since]
    assert sorted((each.at, each.event.id) for each in report.samples) == sorted(
        (run.requested_at, run.event.id) for run in runs
    )
    assert report.matches == len(runs) == sum(day.matches for day in report.matches_per_day)
    waiting = sum(1 for _, key in world.matching.memories[0].windows.waiting() if key.workflow_id == "w")
    assert report.waits_open == waiting
    ids = [(each[0], each[1], each[2]) for each in (*before, *happened)]
    assert report.repeated == 0 or len(ids) > len(set(ids))
    fired = {run.event.id for run in runs if run.event.type == "upshot.schedule.fired"}
    assert report.firings >= len(fired) * (condition is None)


ones = st.one_of(
    st.just({"event": "order.*"}),
    st.builds(count, types, st.just(2), st.sampled_from([5, 40]), lateness),
    st.builds(absence, types, types, st.sampled_from([5, 20]), lateness),
    st.builds(absence, types, types, st.sampled_from([5, 20]), lateness),
    st.builds(lambda seconds: {"schedule": {"interval": {"seconds": seconds}}}, st.sampled_from([10, 20])),
)


@settings(max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=ones, second=ones, happened=happenings)
async def test_what_is_newly_matching_one_way_is_no_longer_matching_the_other_way(
    make_world: Any, first: Any, second: Any, happened: Any
) -> None:
    world = await make_world()
    world.save(first)
    since = world.clock.now() + timedelta(seconds=20.5)
    await happen(world, happened)
    await live_on(world, 22.25)
    world.save(second, base=1)
    saved = world.definitions.tenant("acme").workflows["w"]
    one, other = (replace(saved, revisions=(revision,)) for revision in saved.revisions)

    there, back = await backtested(world, one, other, since), await backtested(world, other, one, since)

    assert there.difference is not None
    assert back.difference is not None
    assert there.difference.both == back.difference.both
    assert there.difference.undecided == back.difference.undecided
    assert there.difference.newly_matching == back.difference.no_longer_matching
    assert there.difference.no_longer_matching == back.difference.newly_matching
    told = there.difference.both + there.difference.newly_matching.count + there.difference.undecided
    assert there.matches <= told
    if first == second:
        assert (there.difference.newly_matching.count, there.difference.undecided) == (0, 0)


async def test_an_event_that_one_has_told_of_and_the_other_still_waits_after_is_undecided(world: Any) -> None:
    world.save(absence("order.created", "order.paid", 5, 1))
    await world.happen("told", "order.created", {"key": "x"})
    await live_on(world, 30)
    await world.happen("open", "order.created", {"key": "y"})
    await live_on(world, 10.5)
    world.save(absence("order.created", "order.paid", 20, 1), base=1)
    saved = world.definitions.tenant("acme").workflows["w"]
    short, long = (replace(saved, revisions=(revision,)) for revision in saved.revisions)

    report = await backtested(world, long, short, START)

    assert [(each.at - START, each.event.id) for each in report.samples] == [(timedelta(seconds=21), "told")]
    assert (report.matches, report.waits_open) == (1, 1)
    difference = report.difference
    assert difference is not None
    assert (difference.both, difference.undecided) == (1, 1)
    assert (difference.newly_matching.count, difference.no_longer_matching.count) == (0, 0)


async def test_a_schedule_that_a_document_says_twice_is_one(world: Any) -> None:
    trigger = {"schedule": {"interval": {"hours": 1}, "overlap": "allow"}}
    world.save([trigger, trigger])
    world.clock.time = START + timedelta(hours=3)
    tenant = world.definitions.tenant("acme")
    workflow = tenant.workflows["w"]

    report = await backtested(world, workflow, None, START)
    firings = next_firings(candidate_of(tenant, workflow, workflow.newest, CATALOGUE), START, 2)

    assert (report.firings, report.matches) == (3, 3)
    assert [each.time for each in firings] == [START + timedelta(hours=1), START + timedelta(hours=2)]


async def test_planned_instants_are_beside_each_other_whatever_the_schedules_are_called(world: Any) -> None:
    """A daily schedule in a zone whose clocks go forward in between: 08:30 comes an hour earlier then."""
    world.save({"schedule": {"cron": "30 8 * * *"}}, timezone="Europe/Paris")
    world.save({"schedule": {"daily": {"at": "08:30"}, "overlap": "allow"}}, base=1, timezone="Europe/Paris")
    saved = world.definitions.tenant("acme").workflows["w"]
    old, new = (replace(saved, revisions=(revision,)) for revision in saved.revisions)
    world.clock.time = START + timedelta(days=30)

    report = await backtested(world, new, old, START + timedelta(days=24))

    assert [each.at.hour for each in report.samples] == [7, 7, 6, 6, 6, 6]
    assert (report.firings, report.matches, report.events) == (6, 6, 0)
    assert report.difference is not None
    assert (report.difference.both, report.difference.newly_matching.count) == (6, 0)
    assert [(each.day, each.matches) for each in report.matches_per_day][:2] == [("2026-03-26", 0), ("2026-03-27", 1)]
