"""GET /api/v1/usage, and what a plan's quotas do to commands and runs, over HTTP."""

from shared.domain.plans import Quotas


def document(name):
    steps = [{"id": "pause", "uses": "wait", "with": {"seconds": 60}}]
    return {"name": name, "trigger": {"manual": {}}, "steps": steps}


async def test_usage_shows_the_plan_and_what_of_it_is_used(world):
    await world.give_plan("tiny", Quotas(workflows=2, runs_per_month=3))
    first = (await world.call("POST", "/api/v1/workflows", document("a"))).expect(201)
    (await world.call("POST", "/api/v1/workflows", document("b"))).expect(201)
    (await world.call("POST", f"/api/v1/workflows/{first['id']}/disable")).expect(200)
    (await world.call("POST", f"/api/v1/workflows/{first['id']}/enable")).expect(200)
    (await world.call("POST", f"/api/v1/workflows/{first['id']}/runs", {"inputs": {}})).expect(202)
    usage = (await world.call("GET", "/api/v1/usage")).expect(200)
    month = usage["runs"]["month"]
    assert usage["plan"] == "tiny"
    assert usage["workflows"] == {"enabled": 2, "quota": 2}
    assert (usage["runs"]["admitted"], usage["runs"]["quota"]) == (1, 3)
    assert usage["runs"]["resets_at"] > month
    assert usage["months"] == [{"month": month, "admitted": 1}]


async def test_one_workflow_too_many_is_refused_with_what_would_mend_it(world):
    await world.give_plan("tiny", Quotas(workflows=1))
    made = (await world.call("POST", "/api/v1/workflows", document("a"))).expect(201)
    refused = (await world.call("POST", "/api/v1/workflows", document("b"))).expect(409)
    assert refused["type"] == "urn:upshot:problem:plan-workflows"
    assert (refused["plan"], refused["quota"], refused["enabled_workflows"]) == ("tiny", 1, 1)
    assert "disable one" in refused["detail"]
    (await world.call("POST", f"/api/v1/workflows/{made['id']}/disable")).expect(200)
    (await world.call("POST", "/api/v1/workflows", document("b"))).expect(201)
    again = (await world.call("POST", f"/api/v1/workflows/{made['id']}/enable")).expect(409)
    assert again["type"] == "urn:upshot:problem:plan-workflows"


async def test_a_run_beyond_the_month_is_skipped_and_says_until_when(world):
    await world.give_plan("tiny", Quotas(runs_per_month=1))
    made = (await world.call("POST", "/api/v1/workflows", document("a"))).expect(201)
    path = f"/api/v1/workflows/{made['id']}/runs"
    first = (await world.call("POST", path, {"inputs": {}})).expect(202)
    second = (await world.call("POST", path, {"inputs": {}})).expect(202)
    admitted = (await world.call("GET", f"/api/v1/runs/{first['run_id']}")).expect(200)
    skipped = (await world.call("GET", f"/api/v1/runs/{second['run_id']}")).expect(200)
    assert (admitted["status"], skipped["status"]) == ("running", "skipped")
    usage = (await world.call("GET", "/api/v1/usage")).expect(200)
    assert skipped["reason"]["kind"] == "plan_runs_per_month"
    assert f"1 run in {usage['runs']['month']} (UTC), the plan 'tiny' allows 1" in skipped["reason"]["detail"]
    assert usage["runs"]["resets_at"][:10] in skipped["reason"]["detail"]
    assert usage["runs"]["admitted"] == 1


async def test_a_tenant_from_before_there_were_quotas_is_bounded_by_none(world):
    usage = (await world.call("GET", "/api/v1/usage")).expect(200)
    assert usage["workflows"] == {"enabled": 0, "quota": None}
    assert (usage["runs"]["admitted"], usage["runs"]["quota"], usage["months"]) == (0, None, [])
