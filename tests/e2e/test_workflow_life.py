"""Runs name the revision that they began with, and end under it, whatever becomes of the workflow meanwhile."""

import json

import pytest

from shared.testing.documents import tell, wait, workflow
from shared.testing.receivers import Received, Receiver
from shared.testing.tenant_client import TenantClient

pytestmark = pytest.mark.asyncio(loop_scope="session")


def held(text: str) -> dict[str, object]:
    """Waits for a person before it tells."""
    return workflow("Tell", "shop.sold", tell("sink", body={"text": text}), approval={"when": "always"})


async def grant(tenant: TenantClient, run_id: str) -> None:
    approvals = await tenant.every("/api/v1/approvals?status=pending")
    approval = next(each["id"] for each in approvals if each["run_id"] == run_id)
    boss = tenant.as_person("boss@example.com", "automation:approve")
    (await boss.command("POST", f"/api/v1/approvals/{approval}/grant", {"reason": "fine"})).expect(200)


async def test_a_run_ends_under_the_revision_it_began_with_though_the_workflow_is_edited(
    tenant: TenantClient, inbox: Receiver
) -> None:
    await tenant.make_endpoint("sink", inbox.url("/revisions"))
    workflow_id = await tenant.make_workflow(held("as it was"))
    path = f"/api/v1/workflows/{workflow_id}"
    await tenant.emit("shop.sold")
    first = await tenant.run_of(workflow_id, {"pending_approval"})

    edited = {**held("edited"), "steps": [wait(0, "before"), tell("sink", body={"text": "edited"})]}
    (await tenant.command("PUT", path, edited, headers={"If-Match": '"1"'})).expect(200)
    await tenant.emit("shop.sold")
    second = next(
        each for each in await tenant.runs_of(workflow_id, 2, {"pending_approval"}) if each["id"] != first["id"]
    )
    assert (first["revision"], second["revision"]) == (1, 2)
    (await tenant.command("POST", f"{path}/archive")).expect(200)
    for run_id in (first["id"], second["id"]):
        await grant(tenant, run_id)

    ended = [await tenant.run_with_status(run_id) for run_id in (first["id"], second["id"])]
    assert [(run["status"], run["revision"]) for run in ended] == [("succeeded", 1), ("succeeded", 2)]
    assert [[step["id"] for step in run["steps"]] for run in ended] == [["tell"], ["before", "tell"]]
    assert ended[0]["timeline"][1]["data"]["match"]["revision"] == 1

    assert sorted(map(_text, await inbox.wait_for(2, path="/revisions"))) == ["as it was", "edited"]


async def test_a_rolled_back_workflow_runs_as_it_did(tenant: TenantClient, inbox: Receiver) -> None:
    await tenant.make_endpoint("sink", inbox.url("/rolled-back"))
    workflow_id = await tenant.make_workflow(workflow("Tell", "shop.sold", tell("sink", body={"text": "one"})))
    path = f"/api/v1/workflows/{workflow_id}"
    two = workflow("Tell", "shop.sold", tell("sink", body={"text": "two"}))
    (await tenant.command("PUT", path, two, headers={"If-Match": '"1"'})).expect(200)
    (await tenant.command("POST", f"{path}/rollback", {"revision": 1}, headers={"If-Match": '"2"'})).expect(200)
    await tenant.emit("shop.sold")
    run = await tenant.run_of(workflow_id)
    assert (run["status"], run["revision"]) == ("succeeded", 3)
    assert list(map(_text, inbox.received("/rolled-back"))) == ["one"]


def _text(delivery: Received) -> str:
    return str(json.loads(delivery.body)["data"]["text"])
