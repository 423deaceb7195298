"""A planned instant is fired once, whatever dies when; what was missed is made up for as far as the schedule says."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.bus.port import AppendInDoubt

HOURLY = {"schedule": {"interval": {"hours": 1}, "overlap": "allow"}}


def planned(world) -> list[datetime]:
    return [run.event.time for run in world.runs()]


async def test_each_planned_instant_starts_one_run_about_its_firing(world):
    world.save(HOURLY)
    await world.move(1800)
    assert world.runs() == []
    await world.move(1800)
    await world.move(3600)
    assert planned(world) == [datetime(2026, 3, 2, 10, tzinfo=UTC), datetime(2026, 3, 2, 11, tzinfo=UTC)]
    run = world.runs()[0]
    assert run.event.type == "upshot.schedule.fired"
    assert run.event.subject == "w"
    assert run.event.data["planned_at"] == "2026-03-02T10:00:00Z"


async def test_a_firing_starts_its_own_workflow_only(world):
    world.save(HOURLY)
    world.save({"schedule": {"interval": {"hours": 1}}}, "other")
    world.save({"event": "*"}, "everything")
    world.save({"event": "upshot.*"}, "curious")
    await world.move(3600)
    assert sorted(run.match.workflow_id for run in world.runs()) == ["curious", "curious", "other", "w"]


async def test_a_schedule_that_a_document_says_twice_is_fired_once_and_can_be_switched_off(world):
    world.save([HOURLY, HOURLY])
    await world.move(3600)
    assert planned(world) == [datetime(2026, 3, 2, 10, tzinfo=UTC)]
    world.disable()
    await world.move(3600)
    world.save(HOURLY, base=1)
    world.enable()
    await world.move(3600)
    assert planned(world) == [datetime(2026, 3, 2, 10, tzinfo=UTC), datetime(2026, 3, 2, 12, tzinfo=UTC)]


async def test_whoever_takes_over_fires_nothing_twice_and_nothing_less(world):
    world.save(HOURLY)
    await world.move(3600)
    await world.work(forget_commit=True)
    await world.restart()
    await world.work()
    await world.move(1)
    assert len(world.runs()) == 1
    await world.move(3599)
    await world.restart()
    await world.move(1)
    assert len(world.runs()) == 2


async def test_a_firing_whose_cursor_was_lost_is_fired_again_as_the_same_event(world):
    world.save(HOURLY)
    before = world.bus.append

    async def only_the_event(records):
        return await before([each for each in records if each.topic == "upshot.events"])

    world.clock.time += timedelta(hours=1)
    world.bus.append = only_the_event
    await world.firing.act([0])
    world.bus.append = before
    await world.restart()
    await world.move(1)
    assert len(world.runs()) == 1
    assert len({run.event.id for run in world.fold.runs.values()}) == 1


async def test_no_cursor_stands_where_the_event_of_its_firing_was_lost(world):
    """As where brokers lead different topics, the one of events is away, and the process dies meanwhile."""
    world.save(HOURLY)
    before = world.bus.append

    async def all_but_events(records):
        positions = await before([each for each in records if each.topic != "upshot.events"])
        if len(positions) < len(records):
            raise AppendInDoubt("no answer to an append to upshot.events")
        return positions

    world.clock.time += timedelta(hours=1)
    world.bus.append = all_but_events
    with pytest.raises(AppendInDoubt):
        await world.firing.act([0])
    world.bus.append = before
    await world.restart()
    await world.move(1)
    assert len(world.runs()) == 1


async def test_what_was_missed_is_made_up_for_as_far_as_the_schedule_says(world):
    world.save({"schedule": {"interval": {"hours": 1}, "catch_up_max": 2, "overlap": "allow"}}, "two")
    world.save({"schedule": {"interval": {"hours": 1}, "catch_up_max": 0, "overlap": "allow"}}, "none")
    world.clock.time += timedelta(days=30, minutes=30)
    await world.restart()
    await world.move(0)
    assert [(run.match.workflow_id, run.event.time) for run in world.runs()] == [
        ("two", world.clock.now() - timedelta(hours=1, minutes=30)),
        ("two", world.clock.now() - timedelta(minutes=30)),
    ]
    await world.move(1800)
    assert {run.match.workflow_id for run in world.runs()[2:]} == {"two", "none"}


async def test_however_much_is_made_up_for_nobody_waits_for_all_of_it(world):
    """One append of it all would be more than a log takes, and working it out would hold the process up for seconds."""
    hourly = {"interval": {"hours": 1}, "overlap": "allow", "catch_up_max": 100}
    for number in range(12):
        world.save({"schedule": hourly}, f"behind-{number}")
    world.save({"schedule": {**hourly, "catch_up_max": 1}}, "level")
    world.clock.time += timedelta(hours=200)
    await world.restart()
    appends = []
    before = world.bus.append

    async def append(records):
        appends.append(len(records))
        return await before(records)

    world.bus.append = append
    await world.firing.act([0])
    assert max(appends) <= 60
    assert sum(appends) <= 2 * 300  # events and cursors
    await world.move(0)
    assert "level" in {run.match.workflow_id for run in world.runs()}
    while world.firing.next_due() <= world.clock.now():
        await world.firing.act([0])
    await world.move(0)
    made_up = [run.event.time for run in world.runs() if run.match.workflow_id == "behind-7"]
    assert made_up == [world.clock.now() - timedelta(hours=ago) for ago in range(99, -1, -1)]
    assert len(world.runs()) == 12 * 100 + 1


async def test_an_instant_that_is_only_late_is_fired_whatever_is_made_up_for(world):
    for number in (0, 1):
        schedule = {"interval": {"seconds": 10}, "overlap": "allow", "catch_up_max": number}
        world.save({"schedule": schedule}, str(number))
    await world.move(10)
    world.clock.time += timedelta(seconds=35)
    await world.move(0)
    for number in "01":
        fired = [run.event.time for run in world.runs() if run.match.workflow_id == number]
        assert len(fired) == 4
        assert fired == [fired[0] + timedelta(seconds=10 * each) for each in range(4)]


async def test_a_workflow_makes_up_for_nothing_of_the_time_when_it_was_disabled(world):
    world.save(HOURLY)
    world.disable()
    await world.move(86_400)
    world.enable()
    await world.restart()
    await world.move(60)
    assert world.runs() == []
    await world.move(3600)
    assert len(world.runs()) == 1


async def test_an_edit_that_keeps_the_schedule_loses_no_firing_and_one_that_changes_it_begins_anew(world):
    world.save(HOURLY)
    await world.move(3599)
    world.save(HOURLY, base=1, description="edited")
    await world.move(1)
    assert len(world.runs()) == 1
    world.save({"schedule": {"interval": {"minutes": 10}, "overlap": "allow"}}, base=2)
    await world.move(599)
    assert len(world.runs()) == 1
    await world.move(1)
    assert len(world.runs()) == 2


async def test_while_an_earlier_run_goes_on_the_overlap_policy_decides(world):
    for overlap in ("skip", "queue", "allow"):
        world.save({"schedule": {"interval": {"hours": 1}, "overlap": overlap}}, overlap)
    await world.move(3600)
    await world.move(3600)
    await world.move(3600)
    statuses = {
        name: [run.status for run in world.fold.runs.values() if run.match.workflow_id == name]
        for name in ("skip", "queue", "allow")
    }
    assert statuses == {
        "skip": ["running", "skipped", "skipped"],
        "queue": ["running", "queued", "queued"],
        "allow": ["running", "running", "running"],
    }
    reasons = {run.reason.kind for run in world.fold.runs.values() if run.reason is not None}
    assert reasons == {"queue_full"}


async def test_a_run_that_waits_for_a_person_goes_on_for_the_overlap_policy_too(world):
    for overlap in ("skip", "queue", "allow"):
        document = {"approval": {"when": "always"}, "limits": {"max_queued": 2}}
        world.save({"schedule": {"interval": {"hours": 1}, "overlap": overlap}}, overlap, **document)
    for _ in range(4):
        await world.move(3600)
    statuses = {
        name: [run.status for run in world.fold.runs.values() if run.match.workflow_id == name]
        for name in ("skip", "queue", "allow")
    }
    assert statuses == {
        "skip": ["pending_approval", "skipped", "skipped", "skipped"],
        "queue": ["pending_approval", "pending_approval", "skipped", "skipped"],
        "allow": ["pending_approval"] * 4,
    }
    details = {run.reason.detail for run in world.fold.runs.values() if run.reason is not None}
    assert any("1 waits, 1 of them for approval, and `max_queued` is 0" in each for each in details)


async def test_a_schedule_is_in_the_workflows_zone_and_its_condition_sees_the_firing(world):
    world.save(
        {"schedule": {"daily": {"at": "11:30"}}},
        timezone="Europe/Paris",
        **{"if": "event.data.planned_at == '2026-03-03T10:30:00Z'"},
    )
    await world.move(86_400)
    assert world.runs() == []
    await world.move(86_400)
    assert planned(world) == [datetime(2026, 3, 3, 10, 30, tzinfo=UTC)]
