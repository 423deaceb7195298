"""Commands over HTTP: the fold's verdict is the answer, repeating one is doing it once, and a stale change is refused."""

import asyncio

import pytest

from shared.testing.documents import tell, wait, workflow
from shared.testing.receivers import Receiver
from shared.testing.tenant_client import TenantClient
from shared.testing.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")

MANUAL = {
    "name": "By hand",
    "trigger": {
        "manual": {"inputs": {"type": "object", "required": ["who"], "properties": {"who": {"type": "string"}}}}
    },
    "steps": [wait(0)],
}


async def test_a_stale_change_is_refused_and_a_fresh_one_is_a_new_revision(tenant: TenantClient) -> None:
    document = workflow("Tell", "shop.sold", wait(0))
    made = (await tenant.command("POST", "/api/v1/workflows", document)).expect(201).body
    assert made["revision"] == 1
    path = f"/api/v1/workflows/{made['id']}"
    changed = {**document, "description": "better"}

    (await tenant.command("PUT", path, changed, headers={"If-Match": '"1"'})).expect(200)
    stale = await tenant.command("PUT", path, {**document, "description": "late"}, headers={"If-Match": '"1"'})

    assert stale.status == 412
    now = await tenant.get(path)
    assert (now["revision"], now["document"]["description"]) == (2, "better")


async def test_of_many_changes_at_once_to_one_revision_exactly_one_wins(tenant: TenantClient) -> None:
    document = workflow("Tell", "shop.sold", wait(0))
    workflow_id = await tenant.make_workflow(document)
    path = f"/api/v1/workflows/{workflow_id}"
    changes = [{**document, "description": f"by {number}"} for number in range(8)]
    answers = await asyncio.gather(
        *(tenant.command("PUT", path, each, headers={"If-Match": '"1"'}) for each in changes)
    )
    assert sorted(answer.status for answer in answers) == [200] + [412] * 7
    won = next(n for n, answer in enumerate(answers) if answer.status == 200)
    assert (await tenant.get(path))["document"]["description"] == f"by {won}"


async def test_the_same_key_is_the_same_command_and_another_payload_is_refused(tenant: TenantClient) -> None:
    key = {"Idempotency-Key": '"first-try"'}
    document = workflow("Tell", "shop.sold", wait(0))
    first = (await tenant.command("POST", "/api/v1/workflows", document, headers=key)).expect(201)
    again = (await tenant.command("POST", "/api/v1/workflows", document, headers=key)).expect(201)
    other = await tenant.command("POST", "/api/v1/workflows", {**document, "name": "Other"}, headers=key)
    assert first.body["id"] == again.body["id"]
    assert other.status == 422
    assert len(await tenant.every("/api/v1/workflows")) == 1


async def test_a_manual_run_asked_for_twice_with_one_key_is_one_run(tenant: TenantClient) -> None:
    workflow_id = await tenant.make_workflow(MANUAL)
    path, inputs = f"/api/v1/workflows/{workflow_id}/runs", {"inputs": {"who": "ann"}}
    key = {"Idempotency-Key": '"run-1"'}
    answers = await asyncio.gather(*(tenant.request("POST", path, json=inputs, headers=key) for _ in range(5)))
    assert {answer.status for answer in answers} == {202}
    (run_id,) = {answer.body["run_id"] for answer in answers}
    run = await tenant.run_with_status(run_id)
    assert run["status"] == "succeeded"
    assert run["inputs"] == {"who": "ann"}
    assert len(await tenant.every("/api/v1/runs")) == 1


async def test_inputs_that_do_not_fit_are_refused_with_their_place(tenant: TenantClient) -> None:
    workflow_id = await tenant.make_workflow(MANUAL)
    answer = await tenant.request("POST", f"/api/v1/workflows/{workflow_id}/runs", json={"inputs": {"who": 7}})
    assert answer.status == 422
    assert answer.body["errors"][0]["pointer"] == "#/inputs/who"


async def test_a_workflow_answered_201_sees_every_later_event_and_a_disabled_one_none(
    tenant: TenantClient, inbox: Receiver
) -> None:
    await tenant.make_endpoint("sink", inbox.url("/switched"))
    workflow_id = await tenant.make_workflow(workflow("Tell", "shop.sold", tell("sink")))
    await tenant.emit("shop.sold")
    await tenant.runs_of(workflow_id, 1)
    (await tenant.command("POST", f"/api/v1/workflows/{workflow_id}/disable")).expect(200)
    await tenant.emit("shop.sold")
    (await tenant.command("POST", f"/api/v1/workflows/{workflow_id}/enable")).expect(200)
    await tenant.emit("shop.sold")
    runs = await tenant.runs_of(workflow_id, 2)
    assert len(runs) == 2
    assert len(await tenant.every("/api/v1/events")) == 3


async def test_a_cancelled_run_stops_where_it_is(tenant: TenantClient, inbox: Receiver) -> None:
    await tenant.make_endpoint("sink", inbox.url("/cancelled"))
    workflow_id = await tenant.make_workflow(workflow("Later", "shop.sold", wait(600), tell("sink")))
    await tenant.emit("shop.sold")
    run = await tenant.run_of(workflow_id, {"running"})
    cancelled = await tenant.command("POST", f"/api/v1/runs/{run['id']}/cancel", {"reason": "changed my mind"})
    cancelled.expect(200)
    ended = await tenant.run_with_status(run["id"])
    assert ended["status"] == "cancelled"
    assert "changed my mind" in ended["reason"]["detail"]
    assert (await tenant.command("POST", f"/api/v1/runs/{run['id']}/cancel", {"reason": "again"})).status == 409
    assert inbox.received("/cancelled") == []


async def test_lists_are_paged_without_gaps_or_repetitions(tenant: TenantClient) -> None:
    ids = [await tenant.emit("shop.sold", {"n": number}) for number in range(7)]

    async def all_shown() -> bool:
        return len(await tenant.every("/api/v1/events")) == len(ids)

    await eventually(all_shown, "the events in their list")
    seen: list[str] = []
    cursor = ""
    for _ in range(10):
        page = await tenant.get(f"/api/v1/events?limit=3{cursor}")
        seen += [each["id"] for each in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert sorted(seen) == sorted(ids)
