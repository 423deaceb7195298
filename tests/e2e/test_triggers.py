"""What starts workflows beyond the event at hand: how often something happened, what did not happen, and the clock."""

import orjson
import pytest

from shared.domain.ids import published_event_id
from shared.testing.documents import cloud_event, tell, wait, workflow
from shared.testing.receivers import Receiver
from shared.testing.tenant_client import TenantClient
from shared.testing.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_the_third_of_a_kind_starts_a_run_and_explains_itself(tenant: TenantClient) -> None:
    document = workflow("Burst", "unused", wait(0))
    document["trigger"] = {
        "count": {"event": "door.refused", "times": 3, "within_seconds": 60, "key": "{{ event.data.badge }}"}
    }
    workflow_id = await tenant.make_workflow(document)
    events = [cloud_event("door.refused", {"badge": badge}, event_id=f"r{n}") for n, badge in enumerate("aababab")]
    (await tenant.publish(*events, *events[:2])).expect(202)
    runs = await tenant.runs_of(workflow_id, 2)
    completing = {published_event_id(tenant.tenant_id, "/shop", name) for name in ("r3", "r6")}
    assert {run["event_id"] for run in runs} == completing
    explained = await tenant.get(f"/api/v1/events/{runs[0]['event_id']}/explain?workflow={workflow_id}")
    (only,) = explained["items"]
    assert only["outcome"]["kind"] == "admitted"
    assert only["outcome"]["run_id"] == runs[0]["id"]


async def test_what_did_not_follow_in_time_is_told_once_and_what_did_is_not(
    tenant: TenantClient, inbox: Receiver
) -> None:
    await tenant.make_endpoint("desk", inbox.url("/unpaid"))
    document = workflow("Unpaid", "unused", tell("desk", body={"order": "{{ event.data.order }}"}))
    document["trigger"] = {
        "absence": {
            "after": {"event": "till.opened"},
            "of": {"event": "till.closed"},
            "within_seconds": 1,
            "lateness_seconds": 1,
            "key": "{{ event.data.order }}",
        }
    }
    workflow_id = await tenant.make_workflow(document)
    for event_type, order in (("opened", "a"), ("opened", "b"), ("opened", "b"), ("closed", "a")):
        (await tenant.publish(cloud_event(f"till.{event_type}", {"order": order}))).expect(202)
    (run,) = await tenant.runs_of(workflow_id, 1)
    assert run["event_type"] == "till.opened"
    (request,) = inbox.received("/unpaid")
    assert orjson.loads(request.body)["data"] == {"order": "b"}
    timeline = await tenant.get(f"/api/v1/runs/{run['id']}")
    types = [each["type"] for each in timeline["timeline"]]
    assert types[:3] == ["till.opened", "window.elapsed", "attempt.started"], types


async def test_the_clock_starts_a_run_about_its_firing(tenant: TenantClient) -> None:
    document = workflow("Tick", "unused", wait(0))
    document["trigger"] = {"schedule": {"interval": {"seconds": 10}}}
    workflow_id = await tenant.make_workflow(document)
    (run,) = await tenant.runs_of(workflow_id, 1)
    assert run["event_type"] == "upshot.schedule.fired"
    event = await tenant.get(f"/api/v1/events/{run['event_id']}")
    assert event["data"]["schedule"] == "every 10 seconds"
    assert event["data"]["planned_at"].endswith("0Z")

    async def second() -> bool:
        return len(await tenant.every(f"/api/v1/runs?workflow={workflow_id}")) == 2

    await eventually(second, "the next firing")
