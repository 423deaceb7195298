"""Commands when something is slow or away: never a lie about what happened, always a way to ask again."""

import asyncio

import pytest

from services.api.settings import ApiSettings
from shared.bus.port import AppendInDoubt
from shared.runtime.shards import RunsFollower
from shared.testing.waiting import eventually

ENDPOINT = {"name": "f", "url": "https://example.com/"}
MANUAL = {"name": "m", "trigger": {"manual": {}}, "steps": [{"id": "a", "uses": "wait", "with": {"seconds": 60}}]}


@pytest.fixture
def api_settings():
    return ApiSettings(command_wait_seconds=0.2)


@pytest.fixture
def slow(world, monkeypatch):
    """The read model stands still until it is let go."""
    gate = asyncio.Event()
    write_rows = world.readmodel.write_rows

    async def wait_first(rows):
        await gate.wait()
        return await write_rows(rows)

    monkeypatch.setattr(world.readmodel, "write_rows", wait_first)
    return gate


async def test_a_late_verdict_is_a_202_that_says_where_it_will_be(world, slow):
    answer = await world.call("POST", "/api/v1/endpoints", ENDPOINT, key=r'"late/one 100%2F \"x"')
    assert answer.expect(202)["status"] == "pending"
    path = answer.headers["Location"]
    assert (await world.call("GET", path)).expect(202)["status"] == "pending"
    slow.set()

    async def decided():
        found = await world.call("GET", path)
        return found if found.status != 202 else None

    found = await eventually(decided, "the verdict")
    assert found.expect(201)["id"] == answer.body["id"]
    assert "secret" not in answer.body


async def test_an_event_that_is_not_written_yet_is_waited_for_and_never_denied(world, slow):
    slow.set()
    event_id, _ = await world.append("a.b")
    assert (await world.call("GET", f"/api/v1/events/{event_id}")).expect(200)["id"] == event_id
    event_id, _ = await world.append("a.b", event_id="e-2")
    assert (await world.call("GET", f"/api/v1/events/{event_id}/explain")).expect(200)["event"]["id"] == event_id

    slow.clear()
    event_id, _ = await world.append("a.b", event_id="e-3")
    for path in (event_id, "none", f"{event_id}/explain"):
        late = await world.call("GET", f"/api/v1/events/{path}")
        assert late.expect(503)["type"] == "urn:upshot:problem:unavailable"
        assert late.headers["Retry-After"] == "1"
    slow.set()
    (await world.call("GET", "/api/v1/events/none")).expect(404)
    (await world.call("GET", f"/api/v1/events/{event_id}")).expect(200)


async def test_what_was_never_asked_for_is_unknown_once_all_that_was_asked_is_decided(world, slow):
    slow.set()
    unknown = (await world.call("GET", "/api/v1/commands/never")).expect(404)
    assert unknown["type"] == "urn:upshot:problem:unknown-command"
    slow.clear()
    (await world.call("POST", "/api/v1/endpoints", ENDPOINT, key="on-its-way")).expect(202)
    for command_id in ("on-its-way", "never"):
        assert (await world.call("GET", f"/api/v1/commands/{command_id}")).expect(202)["status"] == "pending"
    slow.set()

    async def decided():
        return (await world.call("GET", "/api/v1/commands/never")).status == 404

    await eventually(decided, "the read model has caught up")
    (await world.call("GET", "/api/v1/commands/on-its-way")).expect(201)


async def test_a_pending_endpoint_shows_its_secret_only_where_no_earlier_try_can_have_been(world, slow):
    unkeyed = (await world.call("POST", "/api/v1/endpoints", ENDPOINT)).expect(202)
    assert unkeyed["secret"].startswith("whsec_")
    slow.set()


async def test_a_pending_run_is_named_all_the_same(world, slow):
    slow.set()
    saved = await world.call("POST", "/api/v1/workflows", MANUAL)

    async def known():
        return (await world.call("GET", f"/api/v1/workflows/{saved.body['id']}")).status == 200

    await eventually(known, "the workflow")
    slow.clear()
    answer = await world.call("POST", f"/api/v1/workflows/{saved.body['id']}/runs", {}, key="r")
    run_id = answer.expect(202)["run_id"]
    assert answer.body["status"] == "pending"
    slow.set()

    async def shown():
        return (await world.call("GET", f"/api/v1/runs/{run_id}")).status == 200

    await eventually(shown, "the run")
    assert (await world.call("GET", "/api/v1/commands/r")).expect(200) == {"run_id": run_id}


async def test_an_append_in_doubt_says_that_repeating_is_safe_and_it_is(world, monkeypatch):
    append = world.bus.append

    async def lose_the_answer(records):
        await append(records)
        raise AppendInDoubt("the connection broke")

    monkeypatch.setattr(world.bus, "append", lose_the_answer)
    doubtful = await world.call("POST", "/api/v1/endpoints", ENDPOINT)
    key = doubtful.expect(503)["idempotency_key"]
    assert doubtful.headers["Retry-After"] == "1"
    monkeypatch.setattr(world.bus, "append", append)
    repeated = await world.call("POST", "/api/v1/endpoints", ENDPOINT, key=key)
    if repeated.status == 202:
        return
    # The first try made it, with a secret that nobody was told: the second one must not show another as if it stood.
    assert "secret" not in repeated.expect(201)
    assert len((await world.call("GET", "/api/v1/endpoints")).expect(200)["items"]) == 1


async def test_a_refused_command_is_a_problem_under_its_name_too(world):
    (await world.call("POST", "/api/v1/endpoints", ENDPOINT)).expect(201)
    (await world.call("POST", "/api/v1/endpoints", ENDPOINT, key="again")).expect(409)
    problem = (await world.call("GET", "/api/v1/commands/again")).expect(409)
    assert problem["type"] == "urn:upshot:problem:name-taken"
    (await world.call("POST", "/api/v1/endpoints", ENDPOINT, key="again")).expect(409)


async def test_a_read_model_that_is_away_is_a_503_before_anything_is_appended(world):
    await world.queries.close()
    answer = await world.call("POST", "/api/v1/endpoints", ENDPOINT, key="k")
    assert answer.status in (500, 503)


async def test_readiness_says_what_is_missing(world):
    (await world.call("GET", "/healthz")).expect(200)
    (await world.call("GET", "/readyz")).expect(200)
    world.reasons.append("the log cannot be reached")
    assert "the log" in (await world.call("GET", "/readyz")).expect(503)["errors"][0]["detail"]


async def test_who_has_not_been_told_its_partitions_yet_knows_so(world):
    follower = RunsFollower(world.bus, world.readmodel, [], group="another", member_id="one")
    assert not follower.assigned
    task = asyncio.create_task(follower.run())

    async def level():
        return follower.assigned and follower.level

    await eventually(level, "its partitions")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
