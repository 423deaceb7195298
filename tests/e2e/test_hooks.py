"""A workflow's own URL on a running platform: what starts it, what does not, and what its caller is answered."""

import asyncio
import json
from functools import partial
from typing import Any

import pytest

from shared.runtime.clock import SystemClock, draw_token
from shared.testing.documents import ONCE, Document, call, wait
from shared.testing.receivers import Receiver, Reply
from shared.testing.tenant_client import Answer, TenantClient, tenant_client
from shared.testing.vendor_signing import sign_delivery
from shared.testing.waiting import eventually, holds_for
from tests.e2e.conftest import StartPlatform

pytestmark = pytest.mark.asyncio(loop_scope="session")

ECHO = {
    "wait_seconds": 20,
    "status": 201,
    "body": {"ran": "{{ steps.note.output.event_id }}", "n": "{{ event.data.raw.n }}"},
}


def hooked(name: str, *steps: Document, webhook: Any = None, **more: Any) -> Document:
    return {"name": name, "trigger": {"webhook": webhook or {}}, "steps": list(steps), **more}


def note() -> Document:
    return {"id": "note", "uses": "event.emit", "with": {"type": "test.noted", "data": {"n": "{{ event.data.raw.n }}"}}}


async def make(tenant: TenantClient, document: Document) -> tuple[str, dict[str, Any]]:
    """(workflow id, its one hook with the secret)."""
    made = (await tenant.command("POST", "/api/v1/workflows", document)).expect(201).body
    (hook,) = made["hooks"]
    assert hook["secret"]
    return made["id"], hook


async def post(
    tenant: TenantClient,
    hook: dict[str, Any],
    payload: Any = None,
    *,
    secret: str | None = None,
    named: str | None = None,
) -> Answer:
    """A delivery signed as Standard Webhooks says."""
    body = json.dumps(payload if payload is not None else {"n": 1}).encode()
    now = int(SystemClock().now().timestamp())
    headers = sign_delivery("standardwebhooks", secret or hook["secret"], body, now, named or f"msg_{draw_token(9)}")
    path = hook["url"].removeprefix(tenant.platform.url)
    return await tenant.request("POST", path, body=body, headers=headers, authorised=False)


async def test_a_signed_delivery_starts_its_own_workflow_alone_and_once(tenant: TenantClient) -> None:
    first, hook = await make(tenant, hooked("first", wait(0)))
    second, other_hook = await make(tenant, hooked("second", wait(0)))
    await tenant.make_workflow({"name": "all", "trigger": {"event": "*"}, "steps": [wait(0)]})
    assert hook["url"] != other_hook["url"]

    # when
    taken = (await post(tenant, hook, {"n": 5}, named="msg_once")).expect(202).body
    again = (await post(tenant, hook, {"n": 5}, named="msg_once")).expect(202).body
    (await post(tenant, hook, secret=other_hook["secret"])).expect(401)
    (await post(tenant, other_hook)).expect(202)

    # then
    assert again == taken
    run = await tenant.run_of(first)
    assert (run["event_id"], run["event_type"], run["event_subject"]) == (
        taken["event_ids"][0],
        "upshot.webhook.received",
        first,
    )
    (await tenant.runs_of(second, 1))

    async def nothing_else() -> bool:
        runs = await tenant.every("/api/v1/runs")
        return sorted(each["workflow_id"] for each in runs) == sorted([first, second])

    await holds_for(nothing_else, "each delivery is one run of its own workflow", seconds=1.0)
    refused = await tenant.get(f"/api/v1/workflows/{first}/hooks/{hook['id']}/rejections")
    assert [each["reason"] for each in refused["items"]] == ["signature_mismatch"]
    explained = await tenant.get(f"/api/v1/events/{run['event_id']}/explain?workflow={first}")
    assert explained["items"][0]["outcome"]["kind"] == "admitted"
    missed = await tenant.get(f"/api/v1/events/{run['event_id']}/explain?workflow={second}")
    assert "only what is delivered to its own URL starts it" in missed["items"][0]["sentence"]
    text = await tenant.platform.cli("trace", run["id"])
    assert "msg_once" in text
    assert "chain unbroken" in text


async def test_the_url_outlives_revisions_and_the_secret_is_shown_once(tenant: TenantClient) -> None:
    document = hooked("kept", wait(0))
    made = (await tenant.command("POST", "/api/v1/workflows", document, headers={"Idempotency-Key": "k1"})).expect(201)
    (hook,) = made.body["hooks"]
    repeated = (await tenant.command("POST", "/api/v1/workflows", document, headers={"Idempotency-Key": "k1"})).body
    assert [each["secret"] for each in repeated["hooks"]] == [None]
    assert "rotate" in repeated["note"]

    # when
    path = f"/api/v1/workflows/{made.body['id']}"
    document["trigger"]["webhook"] = {"answer": {"wait_seconds": 20}}
    saved = (await tenant.command("PUT", path, document, headers={"If-Match": '"1"'})).expect(200).body

    # then
    assert [(each["url"], each["secret"]) for each in saved["hooks"]] == [(hook["url"], None)]
    assert [(each["url"], each["secret"]) for each in (await tenant.get(path))["hooks"]] == [(hook["url"], None)]
    answered = (await post(tenant, hook)).expect(200).body
    assert answered["status"] == "succeeded"
    cloned = (await tenant.command("POST", f"{path}/clone", {"name": "copy"})).expect(201).body
    assert cloned["hooks"][0]["url"] != hook["url"]
    assert cloned["hooks"][0]["secret"] not in (None, hook["secret"])


async def test_a_rotated_secret_counts_and_the_old_one_as_long_as_said(tenant: TenantClient) -> None:
    workflow_id, hook = await make(tenant, hooked("turned", wait(0)))
    path = f"/api/v1/workflows/{workflow_id}/hooks/{hook['id']}/rotate"

    turned = (await tenant.command("POST", path, {"overlap_seconds": 3600})).expect(200).body
    assert turned["former_valid_until"] is not None
    for secret in (hook["secret"], turned["secret"]):
        (await post(tenant, hook, secret=secret)).expect(202)

    own = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    (await tenant.command("POST", path, {"secret": own, "overlap_seconds": 0})).expect(200)
    (await post(tenant, hook, secret=own)).expect(202)
    for secret in (hook["secret"], turned["secret"]):
        (await post(tenant, hook, secret=secret)).expect(401)
    unusable = (await tenant.command("POST", path, {"secret": "no base64!"})).expect(422).body
    assert unusable["errors"][0]["pointer"] == "#/secret"
    (await tenant.command("POST", f"{path.removesuffix('rotate')}x/rotate", {})).expect(404)


async def test_a_caller_that_waits_is_answered_with_what_a_step_made(tenant: TenantClient) -> None:
    workflow_id, hook = await make(tenant, hooked("asked", note(), webhook={"answer": ECHO}))

    answer = (await post(tenant, hook, {"n": 7}, named="msg_a")).expect(201)

    run = await tenant.run_of(workflow_id)
    (emitted,) = await eventually(partial(tenant.every, "/api/v1/events?type=test.noted"), "what it emitted is listed")
    assert answer.body == {"ran": emitted["id"], "n": 7}
    assert run["status"] == "succeeded"
    assert (await post(tenant, hook, {"n": 7}, named="msg_a")).expect(201).body == answer.body
    assert len(await tenant.every(f"/api/v1/runs?workflow={workflow_id}")) == 1


async def test_a_caller_that_waits_in_vain_is_told_where_the_run_is(tenant: TenantClient, inbox: Receiver) -> None:
    patience = {"answer": {"wait_seconds": 0.3}}
    slow, hook = await make(tenant, hooked("slow", wait(3600), webhook=patience))
    late = (await post(tenant, hook)).expect(202)
    (run,) = await tenant.runs_of(slow, 1, {"running"})
    assert late.headers["Location"] == f"/api/v1/runs/{run['id']}"
    assert (late.body["run_id"], late.body["status"]) == (run["id"], "open")

    long = {"answer": {"wait_seconds": 20}}
    _, picky = await make(tenant, hooked("picky", wait(0), webhook=long, **{"if": "event.data.raw.n > 100"}))
    nothing = (await post(tenant, picky)).expect(202).body
    assert (nothing["run_id"], nothing["status"]) == (None, "not_started")

    held, held_hook = await make(tenant, hooked("held", wait(0), webhook=long, approval={"when": "always"}))
    pending = (await post(tenant, held_hook)).expect(202).body
    assert pending["status"] == "pending_approval"
    assert pending["run_id"] == (await tenant.run_of(held, {"pending_approval"}))["id"]

    broken, broken_hook = await make(
        tenant, hooked("broken", call(inbox.url("/gone"), retry=ONCE), webhook=long, approval={"when": "never"})
    )
    inbox.behave("/gone", Reply(status=400))
    failed = (await post(tenant, broken_hook)).expect(502).body
    assert failed["type"] == "urn:upshot:problem:run-failed"
    assert failed["run_id"] == (await tenant.run_of(broken))["id"]
    assert "call" in failed["detail"]

    _, rare = await make(tenant, hooked("rare", wait(0), webhook=long, limits={"cooldown": {"seconds": 3600}}))
    (await post(tenant, rare)).expect(200)
    skipped = (await post(tenant, rare)).expect(409).body
    assert skipped["type"] == "urn:upshot:problem:run-skipped"


async def test_a_workflow_that_takes_nothing_says_why_to_whom_it_knows(tenant: TenantClient) -> None:
    workflow_id, hook = await make(tenant, hooked("off", wait(0)))
    path = f"/api/v1/workflows/{workflow_id}"

    (await tenant.command("POST", f"{path}/disable")).expect(200)
    assert (await post(tenant, hook)).expect(404).body["type"] == "urn:upshot:problem:hook-disabled"
    (await post(tenant, hook, secret="whsec_c29tZWJvZHkgZWxzZQ==")).expect(401)
    (await tenant.command("POST", f"{path}/enable")).expect(200)
    (await post(tenant, hook)).expect(202)
    other = {"name": "off", "trigger": {"event": "a.b"}, "steps": [wait(0)]}
    (await tenant.command("PUT", path, other, headers={"If-Match": '"1"'})).expect(200)
    assert (await post(tenant, hook)).expect(410).body["type"] == "urn:upshot:problem:hook-gone"
    (await tenant.command("POST", f"{path}/rollback", {"revision": 1}, headers={"If-Match": '"2"'})).expect(200)
    (await post(tenant, hook)).expect(202)
    (await tenant.command("POST", f"{path}/archive")).expect(200)
    assert "archived" in (await post(tenant, hook)).expect(410).body["detail"]


async def test_a_token_in_the_url_a_form_and_no_body_at_all(tenant: TenantClient) -> None:
    answer = {"wait_seconds": 20, "body": "Hello {{ event.data.raw.who | default: event.data.query.who }}"}
    _, hook = await make(tenant, hooked("button", wait(0), webhook={"path_token": True, "answer": answer}))
    path = hook["url"].removeprefix(tenant.platform.url)
    assert path.endswith(hook["secret"])
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    said = (await tenant.request("POST", path, body=b"who=Ada", headers=form, authorised=False)).expect(200)
    assert said.body == "Hello Ada"
    assert said.headers["Content-Type"].startswith("text/plain")
    pressed = await tenant.request("POST", f"{path}?who=Grace", authorised=False)
    assert pressed.expect(200).body == "Hello Grace"
    wrong = await tenant.request("POST", path[:-1] + ("0" if path[-1] != "0" else "1"), authorised=False)
    assert wrong.expect(401).body["type"] == "urn:upshot:problem:signature-token-mismatch"
    unsigned = hooked("open", wait(0), webhook={"signature": "none"})
    refused = (await tenant.command("POST", "/api/v1/workflows", unsigned)).expect(422).body
    assert refused["errors"][0]["pointer"] == "#/trigger/webhook/signature"


async def test_no_more_callers_wait_than_may_and_urls_outlive_a_restart(start_platform: StartPlatform) -> None:
    async with (
        start_platform(UPSHOT_INGEST_WAITING_CALLERS_MAX="0") as platform,
        tenant_client(platform, "full") as tenant,
    ):
        _, waiting = await make(tenant, hooked("waits", wait(0), webhook={"answer": {"wait_seconds": 5}}))
        plain_id, plain = await make(tenant, hooked("plain", wait(0)))
        full = (await post(tenant, waiting)).expect(503)
        assert full.headers["Retry-After"] == "1"
        assert await tenant.every("/api/v1/events") == []
        await platform.kill9()
        await platform.restart()
        (await post(tenant, plain)).expect(202)
        await tenant.run_of(plain_id)


async def test_a_caller_that_hangs_up_leaves_its_place_and_its_run_goes_on(start_platform: StartPlatform) -> None:
    async with (
        start_platform(UPSHOT_INGEST_WAITING_CALLERS_MAX="1") as platform,
        tenant_client(platform, "left") as tenant,
    ):
        waits = {"path_token": True, "answer": {"wait_seconds": 20}}
        slow_id, slow = await make(tenant, hooked("slow", wait(3600), webhook=waits))
        _, quick = await make(tenant, hooked("quick", wait(0), webhook={"answer": {"wait_seconds": 20}}))
        # Given a caller that has the only place
        path = slow["url"].removeprefix(platform.url)
        _, caller = await asyncio.open_connection("127.0.0.1", platform.port)
        caller.write(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{{}}".encode())
        (run,) = await tenant.runs_of(slow_id, 1, {"running"})
        (await post(tenant, quick)).expect(503)
        # When its connection is reset
        caller.transport.abort()

        async def taken() -> bool:
            return (await post(tenant, quick)).status == 200

        # Then the place is free well before the 20 seconds, and the run is none the worse
        await eventually(taken, "a place for another caller", timeout_seconds=10)
        assert (await tenant.run(run["id"]))["status"] == "running"
