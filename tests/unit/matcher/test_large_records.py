"""One tenant's events that lead to more than the log takes: told shorter, and nobody else stands still for them."""

import orjson

from shared.bus import codec, facts
from shared.bus.topics import RUNS
from shared.domain.records import EventMatched, WindowElapsed
from shared.testing.documents import ABSENCE
from tests.unit.matcher.conftest import World, made_world

SMALL = 40_000
LARGE_PLAN = [
    {"id": f"step_{number}_{'x' * 40}", "uses": "wait", "with": {"seconds": 0}, "needs": []} for number in range(100)
]


async def facts_of(world: World, kind: type[EventMatched] | type[WindowElapsed]) -> list[EventMatched | WindowElapsed]:
    reader = world.bus.reader(RUNS)
    reader.assign({0: 0})
    records = (await reader.poll(timeout_seconds=0, records_max=10_000)).get(0, ())
    return [fact for each in records if isinstance(fact := facts.runs_fact(codec.decode(each)), kind)]


async def test_workflows_that_do_not_go_into_the_record_are_left_out_by_priority_and_named() -> None:
    world = await made_world(record_bytes_max=SMALL)
    for number in range(60):
        world.save({"event": "order.created"}, workflow_id=f"w{number:02}", priority=number, steps=LARGE_PLAN[:8])
    await world.happen("e1", "order.created")
    await world.work()
    (matched,) = world.matched
    started = [each.workflow_id for each in matched.matches]
    assert 0 < len(started) < 60
    assert started == [f"w{number:02}" for number in range(len(started))]
    left_out = [each.workflow_id for each in matched.unevaluated if each.reason == "record_bytes_max"]
    assert left_out[: 60 - len(started)] in ([f"w{number:02}" for number in range(len(started), 60)], left_out)
    assert left_out[-1] in ("w59", "*")
    await world.happen("e2", "order.created")
    await world.work()
    assert len(world.matched) == 2


async def test_an_event_too_large_for_its_match_does_not_stop_the_next_and_none_that_concerns_nobody_is_a_letter() -> (
    None
):
    world = await made_world(record_bytes_max=SMALL)
    world.save({"event": "order.created"})
    await world.happen("e1", "order.created", {"text": "x" * 30_000})
    await world.happen("e2", "order.paid", {"text": "x" * 30_000})
    await world.happen("e3", "order.created")
    await world.work()
    assert world.told() == ["e3"]
    assert world.matching.counts["dead_letters"] == 1


async def test_a_wait_whose_run_is_too_large_only_closes() -> None:
    world = await made_world(record_bytes_max=SMALL)
    world.save(ABSENCE, workflow_id="large", steps=LARGE_PLAN)
    world.save(ABSENCE, workflow_id="small")
    await world.happen("e1", "order.created", {"order": "7", "text": "x" * 15_000})
    await world.move(0)
    await world.move(200)
    assert [(run.match.workflow_id, run.event.id) for run in world.runs() if run.event] == [("small", "e1")]
    told = {each.workflow_id: each for each in await facts_of(world, WindowElapsed) if isinstance(each, WindowElapsed)}
    assert told["large"].match is None
    assert orjson.dumps(told["large"].event.data) == b"null"
    await world.move(200)
    assert len(await facts_of(world, WindowElapsed)) == 2


async def test_a_cooldowns_key_has_a_bound(world: World) -> None:
    world.save({"event": "order.created"}, limits={"cooldown": {"seconds": 60, "key": "{{ event.data.text }}"}})
    await world.happen("e1", "order.created", {"text": "x" * 1000})
    await world.happen("e2", "order.created", {"text": "x" * 1001})
    await world.work()
    assert world.told() == ["e1"]
    (skipped,) = [run for run in world.fold.runs.values() if run.status == "skipped"]
    assert skipped.reason is not None
    assert skipped.reason.kind == "cooldown_key"
    assert "1001 characters" in skipped.reason.detail
