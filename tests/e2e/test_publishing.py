"""`POST /events`: upstream services' CloudEvents, with a result for each, in all three modes of CloudEvents over HTTP."""

import asyncio
import json

import pytest

from shared.testing.documents import cloud_event, tell, workflow
from shared.testing.receivers import Receiver
from shared.testing.tenant_client import TenantClient, make_token

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_each_event_of_a_batch_has_its_own_result(tenant: TenantClient) -> None:
    taken = cloud_event("shop.sold", event_id="1")
    (await tenant.publish(taken)).expect(202)

    mixed = (
        await tenant.publish(taken, cloud_event("shop.sold", event_id="2"), {"specversion": "1.0", "id": "3"})
    ).expect(207)

    results = mixed.body["results"]
    assert [each["id"] for each in results] == ["1", "2", "3"]
    assert [each["status"] for each in results] == ["duplicate", "accepted", "rejected"]
    problem = results[2]["problem"]
    assert {flaw["pointer"] for flaw in problem.pop("errors")} >= {"#/source", "#/type"}
    assert problem == {
        "type": "urn:upshot:problem:invalid-event",
        "title": "Invalid event",
        "status": 400,
        "detail": "this is no CloudEvent",
        "instance": "/events",
    }


async def test_what_is_taken_whole_is_answered_202_also_when_all_of_it_was_there_before(tenant: TenantClient) -> None:
    events = [cloud_event("shop.sold", event_id=str(number)) for number in range(50)]
    first = (await tenant.publish(*events)).expect(202).body["results"]
    second = (await tenant.publish(*events)).expect(202).body["results"]
    assert {each["status"] for each in first} == {"accepted"}
    assert {each["status"] for each in second} == {"duplicate"}
    assert [each["event_id"] for each in first] == [each["event_id"] for each in second]


async def test_an_event_for_another_tenant_is_refused_and_nothing_is_taken(tenant: TenantClient) -> None:
    own, foreign = cloud_event("shop.sold", event_id="own"), cloud_event("shop.sold", tenantid="somebody-else")
    refused = await tenant.publish(own, foreign)
    assert refused.status == 403
    assert (await tenant.publish(own)).expect(202).body["results"][0]["status"] == "accepted"


async def test_an_event_for_a_tenant_that_nobody_made_is_refused(tenant: TenantClient) -> None:
    token = make_token(tenant.platform, "mispelt", "events:write", subject="shop")
    refused = (await tenant.acting_as(token).publish(cloud_event("shop.sold"))).expect(404)
    assert refused.body["type"] == "urn:upshot:problem:unknown-tenant"


async def test_publishing_needs_its_own_role(tenant: TenantClient) -> None:
    writer = tenant.as_person("writer", "automation:admin")
    assert (await writer.publish(cloud_event("shop.sold"))).status == 403
    publisher = tenant.as_person("shop", "events:write")
    (await publisher.publish(cloud_event("shop.sold"))).expect(202)
    assert (await publisher.request("GET", "/api/v1/events")).status == 403


async def test_structured_and_binary_mode_start_workflows_too(tenant: TenantClient, inbox: Receiver) -> None:
    await tenant.make_endpoint("sink", inbox.url("/modes"))
    await tenant.make_workflow(workflow("Tell", "shop.*", tell("sink", body={"how": "{{ event.data.how }}"})))
    structured = json.dumps(cloud_event("shop.sold", {"how": "structured"})).encode()
    headers = {"Content-Type": "application/cloudevents+json; charset=UTF-8"}
    (await tenant.request("POST", "/events", body=structured, headers=headers)).expect(202)
    binary = {
        "Content-Type": "application/json",
        "ce-specversion": "1.0",
        "ce-id": "b1",
        "ce-source": "/shop",
        "ce-type": "shop.sold",
    }
    (await tenant.request("POST", "/events", body=b'{"how": "binary"}', headers=binary)).expect(202)
    arrived = await inbox.wait_for(2, path="/modes")
    assert {json.loads(each.body)["data"]["how"] for each in arrived} == {"structured", "binary"}


async def test_a_catalogued_type_is_held_to_its_schema(tenant: TenantClient) -> None:
    wrong = (await tenant.publish(cloud_event("order.refunded", {"amount_minor": "a lot"}))).expect(207)
    (result,) = wrong.body["results"]
    assert result["status"] == "rejected"
    assert all(flaw["pointer"].startswith("#/data") for flaw in result["problem"]["errors"])


async def test_the_same_event_many_times_at_once_is_one_run(tenant: TenantClient, inbox: Receiver) -> None:
    await tenant.make_endpoint("sink", inbox.url("/same"))
    workflow_id = await tenant.make_workflow(workflow("Tell", "shop.sold", tell("sink")))
    event = cloud_event("shop.sold", event_id="the-same")
    answers = await asyncio.gather(*(tenant.publish(event) for _ in range(20)))
    assert {answer.status for answer in answers} == {202}
    assert len({answer.body["results"][0]["event_id"] for answer in answers}) == 1
    run = await tenant.run_of(workflow_id)
    assert run["status"] == "succeeded"
    assert len(await tenant.every("/api/v1/events")) == 1
    assert len(inbox.received("/same")) == 1
