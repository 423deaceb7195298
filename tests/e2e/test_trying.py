"""A workflow is tried over HTTP: what is shown is what goes out, drafts are refused as saving refuses them, nothing happens."""

import json
from typing import Any

import pytest

from shared.testing.documents import call, tell, wait, workflow
from shared.testing.receivers import Receiver
from shared.testing.tenant_client import TenantClient
from shared.testing.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")

TEST = "/api/v1/workflows/test"
CLOCKED = {
    **workflow("Clocked", "a.b", wait(3600), wait(60, "then")),
    "timezone": "Europe/Paris",
    "if": "event.data.planned_at != '2026-03-29T06:30:00Z'",
    "trigger": [{"schedule": {"cron": "30 8 * * *"}}, {"schedule": {"weekly": {"on": ["sun"], "at": "09:00"}}}],
}


async def test_what_is_shown_for_a_past_event_is_what_went_out(tenant: TenantClient, inbox: Receiver) -> None:
    await tenant.make_endpoint("sink", inbox.url("/shown"))
    document = workflow("Shown", "shop.sold", tell("sink", body={"n": "{{ event.data.n }}", "at": "{{ event.time }}"}))
    workflow_id = await tenant.make_workflow(document)
    event_id = await tenant.emit("shop.sold", {"n": 12345678901234567890123}, subject="order-1")
    await tenant.run_of(workflow_id)
    (sent,) = inbox.received("/shown")

    for named in ({"workflow_id": workflow_id}, {"workflow_id": "Shown", "revision": 1}, {"workflow": document}):
        tried = (await tenant.request("POST", TEST, json={**named, "event_id": event_id})).expect(200).body
        shown = tried["steps"][0]["sends"]
        assert tried["matched"]
        assert tried["workflow"]["is_draft"] == ("workflow" in named)
        assert shown["body"].encode() == sent.body
        assert shown["url"] == inbox.url("/shown")
        assert shown["headers"]["webhook-id"] == sent.webhook_id
    assert len(inbox.received("/shown")) == 1


@pytest.mark.parametrize("trigger", [{"pattern": {"data": {"x": [{"numeric": [">", 0]}]}}}, {"event": "*"}])
@pytest.mark.parametrize("number", ["0.12345678901234567890", "18446744073709551616", "1.5"])
async def test_an_event_thought_up_has_the_digits_that_it_would_have_in_the_log(
    tenant: TenantClient, trigger: dict[str, object], number: str
) -> None:
    condition = {"if": "event.data.x > 0"} if "event" in trigger else {}
    document = {**workflow("Exact", "a.b", wait(1)), "trigger": trigger, **condition}
    event = f'{{"type": "shop.measured", "data" : {{"x": {number}}} }}'
    published = event.replace("{", '{"specversion": "1.0", "id": "1", "source": "/shop", ', 1).encode()
    headers = {"Content-Type": "application/cloudevents+json"}
    answer = (await tenant.request("POST", "/events", body=published, headers=headers)).expect(202).body
    event_id = answer["results"][0]["event_id"]
    asked = f'{{"event": {event}, "workflow": {json.dumps(document)}}}'.encode()
    headers = {"Content-Type": "application/json"}
    given = (await tenant.request("POST", TEST, body=asked, headers=headers)).expect(200).body

    async def happened() -> Any:
        answer = await tenant.request("POST", TEST, json={"workflow": document, "event_id": event_id})
        return answer.body if answer.status == 200 else None

    past = await eventually(happened, "the event can be looked up")
    assert (given["matched"], given["why"]) == (past["matched"], past["why"])
    if "pattern" in trigger:
        assert given["matched"] == (number == "1.5")


async def test_no_body_at_all_is_told_what_is_missing(tenant: TenantClient) -> None:
    (await tenant.request("POST", TEST)).expect(422)


async def test_a_draft_is_refused_with_every_flaw_that_saving_would_find(tenant: TenantClient) -> None:
    draft = workflow("", "no type", tell("nowhere"), **{"if": "evnt.data.x == 1", "limits": {"max_depth": 0}})
    saved = (await tenant.request("POST", "/api/v1/workflows", json=draft)).expect(422).body
    tried = (await tenant.request("POST", TEST, json={"workflow": draft, "event": {"type": "a.b"}})).expect(422).body
    assert [each["pointer"] for each in tried["errors"]] == [
        each["pointer"].replace("#", "#/workflow") for each in saved["errors"]
    ]
    draft = workflow("Checked", "shop.sold", tell("nowhere"), {**wait(1), "needs": ["none"]})
    tried = (await tenant.request("POST", TEST, json={"workflow": draft, "event": {"type": "a.b"}})).expect(422).body
    assert {each["pointer"] for each in tried["errors"]} == {
        "#/workflow/steps/0/with/endpoint",
        "#/workflow/steps/1/needs/0",
    }


async def test_a_schedule_is_tried_on_its_next_firings(tenant: TenantClient) -> None:
    asked = {"workflow": CLOCKED, "firings": 4, "at": "2026-03-28T07:30:00Z"}
    tried = (await tenant.request("POST", TEST, json=asked)).expect(200).body
    firings = tried["firings"]
    assert [(each["planned_at"], each["matched"]) for each in firings] == [
        ("2026-03-29T06:30:00Z", False),
        ("2026-03-29T07:00:00Z", True),
        ("2026-03-30T06:30:00Z", True),
        ("2026-03-31T06:30:00Z", True),
    ]
    assert tried["why"] == firings[0]["why"]
    assert firings[1]["event"]["type"] == "upshot.schedule.fired"
    assert firings[1]["data"]["schedule"] == "at 09:00 on Sunday, Europe/Paris time"
    assert [each["not_before"] for each in firings[1]["steps"]] == ["2026-03-29T08:00:00Z", "2026-03-29T08:01:00Z"]
    assert (
        len((await tenant.request("POST", TEST, json={"workflow": CLOCKED, "firings": 2})).expect(200).body["firings"])
        == 2
    )


@pytest.mark.parametrize(
    ("asked", "status", "pointers"),
    [
        ({"event": {"type": "a.b"}}, 422, ["#"]),
        ({"workflow": workflow("W", "a.b", wait(1))}, 422, ["#"]),
        ({"workflow": workflow("W", "a.b", wait(1)), "workflow_id": "x", "event": {"type": "a.b"}}, 422, ["#"]),
        ({"workflow": workflow("W", "a.b", wait(1)), "revision": 1, "event": {"type": "a.b"}}, 422, ["#/revision"]),
        ({"workflow": workflow("W", "a.b", wait(1)), "event": {"typ": "a.b"}}, 422, ["#/event/type"]),
        ({"workflow": workflow("W", "a.b", wait(1)), "event": {"type": "a.b"}, "steps": {"x": 1}}, 422, ["#/steps/x"]),
        ({"workflow": workflow("W", "a.b", wait(1)), "evnt": {}}, 422, ["#/evnt"]),
        ({"workflow": workflow("W", "a.b", wait(1)), "event": {"type": "a.b"}, "firings": 1}, 422, ["#"]),
        ({"workflow": workflow("W", "a.b", wait(1)), "firings": 1}, 422, ["#/firings"]),
        ({"workflow": CLOCKED, "firings": 21}, 422, ["#/firings"]),
        ({"workflow": CLOCKED, "firings": 1, "at": "9999-12-31T23:59:59-12:00"}, 422, ["#/firings"]),
        ({"workflow": CLOCKED, "event": {"type": "a.b"}, "at": "2026-03-01T00:00:00Z"}, 422, ["#/at"]),
        ({"workflow_id": "nobody's", "event": {"type": "a.b"}}, 404, []),
        ({"workflow": workflow("W", "a.b", wait(1)), "event_id": "6f8d2a54-94f6-5d0b-9a0e-6b1f6b7d1c11"}, 404, []),
    ],
)
async def test_an_unusable_request_says_where(
    tenant: TenantClient, asked: dict[str, object], status: int, pointers: list[str]
) -> None:
    problem = (await tenant.request("POST", TEST, json=asked)).expect(status).body
    assert [each["pointer"] for each in problem.get("errors", [])] == pointers


async def test_another_tenants_event_and_workflow_cannot_be_tried(
    tenant: TenantClient, other_tenant: TenantClient
) -> None:
    workflow_id = await tenant.make_workflow(workflow("Mine", "shop.sold", wait(0)))
    event_id = await tenant.emit("shop.sold", {"secret": "of the first tenant"})
    await tenant.run_of(workflow_id)
    draft = {"workflow": workflow("Any", "shop.*", wait(0))}
    (await other_tenant.request("POST", TEST, json={**draft, "event_id": event_id})).expect(404)
    (await other_tenant.request("POST", TEST, json={"workflow_id": workflow_id, "event": {"type": "a.b"}})).expect(404)


async def test_an_approval_is_told_and_nobody_asks_for_it(tenant: TenantClient, inbox: Receiver) -> None:
    draft = workflow("Risky", "shop.sold", call(inbox.url("/risky")), approval={"roles": ["finance"]})
    tried = await tenant.request("POST", TEST, json={"workflow": draft, "event": {"type": "shop.sold", "data": {}}})
    assert tried.expect(200).body["approval"] == {
        "needed": True,
        "because": "a step is of high risk",
        "roles": ["finance"],
        "quorum": 1,
        "expires_in_seconds": 86400,
        "self_approval": False,
    }
    assert json.loads(tried.body["steps"][0]["sends"]["body"]) == {"event": "an-event-to-try"}
    assert await tenant.every("/api/v1/approvals") == []
    assert await tenant.every("/api/v1/events") == []
    assert inbox.received("/risky") == []
