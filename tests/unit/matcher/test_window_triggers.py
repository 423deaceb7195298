"""Counts and absences by the events' own time: once, in whatever order events come, whoever takes over in between."""

import itertools
from collections.abc import Sequence
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from services.matcher.service.matching import SECONDS_AT_ONCE
from services.matcher.service.remembering import restore_memories
from shared.bus.port import NewRecord
from shared.bus.topics import RUNS
from shared.testing.documents import ABSENCE, COUNT
from shared.testing.examples import examples
from shared.testing.folds import NothingRemembered


async def denied(world, name: str, user: str = "ann", *, ago: float = 0) -> None:
    await world.happen(name, "authz.denied", {"user": user}, ago=ago)


async def test_the_run_is_about_the_event_that_completes_the_count(world):
    world.save(COUNT)
    for name in "abcdefg":
        await denied(world, name)
        await denied(world, f"{name} of another", "bob" if name in "ab" else name)
    await world.move(1)
    assert world.told() == ["c", "f"]


async def test_only_what_lies_close_together_counts_together(world):
    world.save(COUNT)
    for name, pause in (("a", 0), ("b", 40), ("c", 40), ("d", 15), ("e", 61), ("f", 1)):
        await world.move(pause)
        await denied(world, name)
    await world.move(0)
    assert world.told() == ["d"]


async def test_an_event_counts_by_its_own_time_until_it_is_too_late(world):
    world.save(COUNT)
    await denied(world, "a")
    await world.move(70)
    await denied(world, "b", ago=29)
    await denied(world, "c", ago=31)
    await denied(world, "d", ago=30)
    await world.move(0)
    assert world.told() == ["d"]


async def test_what_ends_a_wait_in_time_starts_nothing_and_what_does_not_does(world):
    world.save(ABSENCE, **{"if": "event.data.order != 'of no interest'"})
    for order in ("in time", "late", "never", "of no interest"):
        await world.happen(f"{order} created", "order.created", {"order": order})
    await world.move(30)
    await world.happen("in time paid", "order.paid", {"order": "in time"})
    await world.move(31)
    await world.happen("late paid", "order.paid", {"order": "late"})
    await world.move(28)
    assert world.told() == []
    await world.move(1)
    assert sorted(world.told()) == ["late created", "never created"]
    await world.move(1000)
    assert len(world.told()) == 2


async def test_what_was_recorded_in_the_wrong_order_is_told_apart_by_its_time(world):
    world.save(ABSENCE)
    await world.happen("paid", "order.paid", {"order": "1"})
    await world.happen("paid too early", "order.paid", {"order": "2"}, ago=20)
    await world.move(20)
    await world.happen("created", "order.created", {"order": "1"}, ago=21)
    await world.happen("created", "order.created", {"order": "1"}, ago=21)
    await world.happen("created after", "order.created", {"order": "2"}, ago=21)
    await world.move(200)
    assert world.told() == ["created after"]


async def test_a_heartbeat_that_is_missed(world):
    world.save(
        {
            "absence": {
                "after": {"event": "beat"},
                "of": {"event": "beat"},
                "within_seconds": 60,
                "lateness_seconds": 1,
                "key": "{{ event.data.host }}",
            }
        }
    )
    for number in range(5):
        await world.happen(f"{number}", "beat", {"host": "a"})
        await world.move(50)
    assert world.told() == []
    await world.move(11)
    assert world.told() == ["4"]


async def test_a_wait_whose_run_nobody_could_be_shown_to_approve_only_closes(world, caplog):
    loop = {"type": "acme.seen", "data": {"loop": "{% for n in (1..1000) %}{{ n }}{% endfor %}"}}
    steps = [{"id": f"s{number}", "uses": "event.emit", "with": loop} for number in range(11)]
    world.save(ABSENCE, "much", approval={"when": "always"}, steps=steps)
    world.save(ABSENCE, "little")
    await world.happen("created", "order.created", {"order": "1"})
    await world.move(100)
    assert [run.match.workflow_id for run in world.runs()] == ["little"]
    assert "its run cannot be approved" in caplog.text


async def test_a_workflow_that_no_longer_waits_is_not_started(world):
    world.save(ABSENCE, "gone")
    world.save(ABSENCE, "changed")
    world.save(ABSENCE, "kept")
    await world.happen("created", "order.created", {"order": "1"})
    await world.work()
    world.disable("gone")
    longer = {"absence": {**ABSENCE["absence"], "within_seconds": 70}}
    world.save(longer, "changed", base=1)
    world.save(ABSENCE, "kept", base=1, description="edited")
    await world.move(100)
    assert [(run.match.workflow_id, run.match.revision) for run in world.runs()] == [("kept", 2)]
    await world.move(100)
    assert len(world.runs()) == 1


async def test_waits_that_take_long_to_be_told_of_leave_events_their_turn(world):
    world.save(ABSENCE)
    for order in "123456":
        await world.happen(order, "order.created", {"order": order})
    await world.move(1)
    world.cpu_seconds = itertools.count(step=SECONDS_AT_ONCE * 0.6).__next__
    world.clock.time += timedelta(seconds=100)
    for told in (2, 4, 6):
        await world.work()
        assert len(world.runs()) == told
    assert sorted(world.told()) == list("123456")


async def test_a_workflow_that_did_not_wait_all_the_time_is_not_started(world):
    longer = {"absence": {**ABSENCE["absence"], "within_seconds": 70}}
    for workflow_id in ("disabled", "changed", "kept"):
        world.save(ABSENCE, workflow_id)
    await world.happen("created", "order.created", {"order": "1"})
    await world.move(1)
    world.disable("disabled")
    world.save(longer, "changed", base=1)
    await world.happen("paid", "order.paid", {"order": "1"})
    await world.move(1)
    world.enable("disabled")
    world.save(ABSENCE, "changed", base=2)
    world.save([ABSENCE, {"event": "order.lost"}], "kept", base=1)
    await world.move(100)
    assert world.runs() == []
    await world.happen("again", "order.created", {"order": "1"})
    await world.move(1)
    await world.restart()
    await world.move(100)
    assert sorted(run.match.workflow_id for run in world.runs()) == ["changed", "disabled", "kept"]
    assert set(world.told()) == {"again"}


async def test_a_tenant_has_so_many_windows_and_the_rest_says_so(world, monkeypatch):
    monkeypatch.setenv("UPSHOT_MATCHER_WINDOWS_MAX", "2")
    await world.restart()
    world.save(ABSENCE)
    world.save(COUNT, "count")
    for order in "123":
        await world.happen(order, "order.created", {"order": order})
    await denied(world, "d")
    await world.move(0)
    assert [(each.event.id, [(one.workflow_id, one.reason) for one in each.unevaluated]) for each in world.matched] == [
        ("3", [("w", "windows_max")]),
        ("d", [("count", "windows_max")]),
    ]
    await world.move(100)
    assert sorted(world.told()) == ["1", "2"]
    await world.happen("4", "order.created", {"order": "4"})
    await world.move(100)
    assert "4" in world.told()


@pytest.mark.parametrize("data", [{}, {"user": None}, {"user": "x" * 1001}])
async def test_an_event_without_a_key_is_left_out(world, data):
    world.save(COUNT)
    for name in "abcd":
        await world.happen(name, "authz.denied", data)
    await world.move(0)
    assert world.told() == []


happenings = st.lists(
    st.tuples(
        st.integers(0, 11),
        st.sampled_from(["authz.denied", "order.created", "order.paid"]),
        st.sampled_from("xy"),
        st.integers(0, 45),
        st.sampled_from([0, 0, 1, 20, 61]),
        st.sampled_from(["goes on", "goes on", "dies", "reads again"]),
    ),
    max_size=25,
)


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(
    happened=[
        (0, "order.paid", "x", 0, 0, "goes on"),
        (1, "order.created", "x", 0, 40, "goes on"),
        (1, "order.created", "x", 0, 0, "goes on"),
        (0, "authz.denied", "y", 0, 0, "reads again"),
    ]
)
@given(happened=happenings)
async def test_whoever_dies_in_between_and_whatever_is_read_again_makes_no_difference(make_world, happened):
    calm, troubled = await make_world(), await make_world()
    times: dict[str, int] = {}
    elapsed = 0
    for number, event_type, key, ago, pause, trouble in happened:
        # An id names one event: what comes again is what came before, of the same time.
        event_id, data = f"{event_type} {number} {key}", {"user": key, "order": key}
        age = elapsed - times.setdefault(event_id, elapsed - ago)
        for world in (calm, troubled):
            await world.happen(event_id, event_type, data, ago=age)
            await world.move(pause)
        elapsed += pause
        if trouble == "dies":
            await troubled.restart()
            await troubled.work()
        elif trouble == "reads again":
            await troubled.work(forget_commit=True)
            await troubled.work()
    for world in (calm, troubled):
        await world.move(200)
    assert _outcome(troubled) == _outcome(calm)


def _outcome(world) -> Sequence[tuple[str, str, str]]:
    return sorted((run.match.workflow_id, run.event.id, run.id) for run in world.runs())


async def test_a_partition_whose_log_is_of_a_later_version_is_not_matched(world, caplog):
    world.save(COUNT)
    await denied(world, "a")
    await world.move(0)
    bus = world.bus
    (record,) = (await _read(bus))[:1]
    later = NewRecord(topic=RUNS, key=record.key, headers=(*record.headers, ("ce_recordversion", b"9")), value=b"{}")
    await bus.append([later])
    memories, given_up = await restore_memories(bus, NothingRemembered(), [0], retry_seconds=0.1)
    assert memories == {} and "Update this process" in given_up[0]
    assert "nothing of partition 0 is matched" in caplog.text


async def _read(bus):
    reader = bus.reader(RUNS)
    reader.assign({0: 0})
    return (await reader.poll(timeout_seconds=0))[0]
