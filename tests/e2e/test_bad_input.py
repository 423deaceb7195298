"""Whatever is wrong with what comes in: a clear answer in problem+json, nothing taken, and the platform goes on."""

import asyncio
import json
from typing import Any

import pytest

from shared.runtime.clock import SystemClock
from shared.testing.documents import cloud_event, tell, wait, workflow
from shared.testing.receivers import Receiver
from shared.testing.tenant_client import Answer, Source, TenantClient, make_token

pytestmark = pytest.mark.asyncio(loop_scope="session")

TEN_MEGABYTES = 10 * 1024 * 1024
DEEP = b'{"a":' * 10_000 + b"1" + b"}" * 10_000


def _is_problem(answer: Answer, status: int) -> Answer:
    answer.expect(status)
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert answer.body["status"] == status
    assert answer.body["title"]
    assert answer.body["detail"]
    return answer


async def _nothing_was_taken(tenant: TenantClient, source: Source) -> None:
    """And a good delivery still goes through, so the refusal cost nothing."""
    assert await tenant.every("/api/v1/events") == []
    await tenant.deliver_event(source, {"action": "opened"}, event="issues")


# ---------------------------------------------------------------- deliveries


async def test_a_wrong_signature(tenant: TenantClient) -> None:
    source = await tenant.make_source("hub", "github")
    forged = {"X-Hub-Signature-256": "sha256=" + "0" * 64}
    _is_problem(await tenant.deliver(source, {"action": "opened"}, event="issues", headers=forged), 401)
    rejections = (await tenant.get(f"/api/v1/sources/{source.id}/rejections"))["items"]
    assert rejections[0]["reason"] == "signature_mismatch"
    await _nothing_was_taken(tenant, source)


@pytest.mark.parametrize("header", ["", "sha256", "sha256=zz", "sha1=abc", "=,=,=", "sha256=" + "0" * 5000, "é"])
async def test_a_malformed_signature_header(tenant: TenantClient, header: str) -> None:
    source = await tenant.make_source("hub", "github")
    answer = await tenant.deliver(source, {"action": "opened"}, event="issues", headers={"X-Hub-Signature-256": header})
    _is_problem(answer, 401)


@pytest.mark.parametrize("header", ["t=,v1=", "t=abc,v1=00", "v1=00", "t=99999999999999999999,v1=00", "t=1,t=2"])
async def test_a_malformed_stripe_header(tenant: TenantClient, header: str) -> None:
    source = await tenant.make_source("till", "stripe", secret="whsec_test")
    _is_problem(await tenant.deliver(source, {"id": "evt_1"}, headers={"Stripe-Signature": header}), 401)


async def test_a_stale_timestamp(tenant: TenantClient) -> None:
    source = await tenant.make_source("till", "stripe", secret="whsec_test")
    old = int(SystemClock().now().timestamp()) - 3600
    body = {"id": "evt_1", "type": "charge.succeeded", "data": {"object": {}}}
    answer = _is_problem(await tenant.deliver(source, body, at_seconds=old), 401)
    assert "stale" in answer.body["type"] or "timestamp" in answer.body["type"]
    (await tenant.deliver(source, body)).expect(202)


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"", "empty"),
        (b"{", "JSON"),
        (b'{"a": "\xff\xfe"}', "UTF-8"),
        (DEEP, "deep"),
        (b'{"action": "opened", "action": "closed"}', "action"),
    ],
    ids=["no body", "invalid JSON", "not UTF-8", "10,000 levels deep", "duplicate keys"],
)
async def test_a_signed_body_that_cannot_be_read(tenant: TenantClient, body: bytes, word: str) -> None:
    source = await tenant.make_source("hub", "github")
    answer = _is_problem(await tenant.deliver(source, body, event="issues"), 400)
    assert word.lower() in json.dumps(answer.body).lower()
    await _nothing_was_taken(tenant, source)


async def test_a_body_of_ten_megabytes(tenant: TenantClient) -> None:
    source = await tenant.make_source("hub", "github")
    _is_problem(await tenant.deliver(source, b'"' + b"x" * TEN_MEGABYTES + b'"', event="issues"), 413)
    await _nothing_was_taken(tenant, source)


async def test_a_body_without_an_announced_length_is_cut_off_at_the_limit(tenant: TenantClient) -> None:
    source = await tenant.make_source("hub", "github")
    reader, writer = await asyncio.open_connection("127.0.0.1", tenant.platform.port)
    try:
        writer.write(f"POST {source.hook_path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
        sent = 0
        answered = asyncio.ensure_future(reader.readline())
        while not answered.done() and sent < TEN_MEGABYTES:
            writer.write(chunk)
            sent += 65536
            try:
                await writer.drain()
            except ConnectionError:
                break
        assert b" 413 " in await asyncio.wait_for(answered, 10)
    finally:
        writer.close()
    await _nothing_was_taken(tenant, source)


async def test_an_unknown_source(tenant: TenantClient) -> None:
    answer = await tenant.request("POST", "/hooks/no-such-source", body=b"{}", authorised=False)
    _is_problem(answer, 404)
    assert "hook_url" in answer.body["detail"]


async def test_nobodys_body_is_waited_for_where_there_is_no_source(tenant: TenantClient) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", tenant.platform.port)
    try:
        writer.write(b"POST /hooks/no-such-source HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        assert head.startswith(b"HTTP/1.1 404 ")
    finally:
        writer.close()


# ---------------------------------------------------------------- tokens


async def test_no_token_a_garbled_one_an_expired_one_and_a_foreign_one(tenant: TenantClient) -> None:
    _is_problem(await tenant.request("GET", "/api/v1/runs", authorised=False), 401)
    for token in ("nonsense", "a.b.c", tenant.token[:-4] + "AAAA", "x" * 10_000):
        _is_problem(await tenant.acting_as(token).request("GET", "/api/v1/runs"), 401)
    expired = make_token(tenant.platform, tenant.tenant_id, "automation:read", subject="late", ttl_seconds=-10)
    answer = _is_problem(await tenant.acting_as(expired).request("GET", "/api/v1/runs"), 401)
    assert "expired" in answer.body["detail"]
    assert "WWW-Authenticate" in answer.headers


# ---------------------------------------------------------------- workflows


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"trigger": {"event": "shop.sold", "colour": 1}}, "#/trigger/colour"),
        ({"trigger": {"pattern": {"data": {"n": 5}}}}, "#/trigger/pattern"),
        ({"if": "event.data.n >"}, "#/if"),
        ({"if": "nobody.knows == 1"}, "#/if"),
        ({"steps": [wait(0), wait(0)]}, "#/steps/1/id"),
        ({"steps": []}, "#/steps"),
        ({"steps": [{**wait(0, "a"), "needs": ["b"]}, {**wait(0, "b"), "needs": ["a"]}]}, "#/steps"),
        ({"steps": [{**wait(0, "a"), "needs": ["nowhere"]}]}, "#/steps/0/needs"),
        ({"steps": [{"id": "a", "uses": "make.coffee"}]}, "#/steps/0/uses"),
        ({"steps": [tell("sink", body="{{ evnt.data }}")]}, "#/steps/0/with"),
        ({"steps": [tell("sink", body="{% if %}")]}, "#/steps/0/with"),
        ({"steps": [{"id": "a", "uses": "wait", "with": {"minutes": 1}}]}, "#/steps/0/with"),
        ({"timezone": "Mars/Olympus"}, "#/timezone"),
        ({"limits": {"max_concurrent": 0}}, "#/limits/max_concurrent"),
        ({"colour": "red"}, "#/colour"),
    ],
)
async def test_an_invalid_workflow_is_refused_with_the_place_of_its_flaw(
    tenant: TenantClient, change: dict[str, Any], pointer: str
) -> None:
    document = {**workflow("Flawed", "shop.sold", wait(0)), **change}
    answer = _is_problem(await tenant.request("POST", "/api/v1/workflows", json=document), 422)
    assert any(flaw["pointer"].startswith(pointer) for flaw in answer.body["errors"]), answer.body["errors"]
    assert all(flaw["detail"] for flaw in answer.body["errors"])
    assert await tenant.every("/api/v1/workflows") == []


async def test_every_flaw_is_told_at_once_and_a_cycle_is_named(tenant: TenantClient) -> None:
    steps = [{**wait(0, "a"), "needs": ["b"]}, {**wait(0, "b"), "needs": ["a"]}, {"id": "c", "uses": "make.coffee"}]
    document = {**workflow("Flawed", "shop.sold", *steps), "if": "nobody.knows == 1"}
    answer = _is_problem(await tenant.request("POST", "/api/v1/workflows", json=document), 422)
    text = json.dumps(answer.body["errors"])
    assert "make.coffee" in text
    assert "#/if" in text
    assert any(
        "a" in flaw["detail"] and "b" in flaw["detail"] and "#/steps" in flaw["pointer"]
        for flaw in answer.body["errors"]
    )


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"", 400), (b"{", 400), (b"[]", 422), (b'{"name": "a", "name": "b"}', 400), (DEEP, 400), (b"\xff", 400)],
)
async def test_a_command_whose_body_is_none(tenant: TenantClient, body: bytes, status: int) -> None:
    headers = {"Content-Type": "application/json"}
    answer = await tenant.request("POST", "/api/v1/workflows", body=body, headers=headers)
    _is_problem(answer, status)


async def test_a_workflow_in_yaml_with_duplicate_keys_or_aliases_without_end(tenant: TenantClient) -> None:
    bomb = b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 9)}]\n".encode() for n in range(12)
    )
    for body in (b"name: a\nname: b\n", bomb, b"name: !!python/object/apply:os.system [id]\n"):
        answer = await tenant.request(
            "POST", "/api/v1/workflows", body=body, headers={"Content-Type": "application/yaml"}
        )
        _is_problem(answer, 400)


# ---------------------------------------------------------------- published events


@pytest.mark.parametrize("body", [b"", b"not json", b"{", b"7", DEEP, b"\xef\xbb\xbf{}", b'[{"id": "\xff"}]'])
@pytest.mark.parametrize("kind", ["cloudevents-batch+json", "cloudevents+json"])
async def test_a_text_that_is_no_event_and_no_batch(tenant: TenantClient, kind: str, body: bytes) -> None:
    headers = {"Content-Type": f"application/{kind}"}
    _is_problem(await tenant.request("POST", "/events", body=body, headers=headers), 400)
    assert await tenant.every("/api/v1/events") == []
    (await tenant.publish(cloud_event("shop.sold"))).expect(202)


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("cloudevents+json", b"[1]", 400),
        ("cloudevents+json", b"{}", 207),
        ("cloudevents-batch+json", b"{}", 400),
        ("cloudevents-batch+json", b"[1]", 207),
    ],
)
async def test_what_can_be_read_and_is_flawed_is_a_result(
    tenant: TenantClient, kind: str, body: bytes, status: int
) -> None:
    headers = {"Content-Type": f"application/{kind}"}
    answer = (await tenant.request("POST", "/events", body=body, headers=headers)).expect(status)
    if status == 207:
        assert [each["status"] for each in answer.body["results"]] == ["rejected"]
    assert await tenant.every("/api/v1/events") == []


@pytest.mark.parametrize(
    "content_type",
    ["application/cloudevents+xml", "application/cloudevents", "application/cloudevents+json; charset=utf-16"],
)
async def test_a_format_of_events_that_is_not_understood(tenant: TenantClient, content_type: str) -> None:
    body = json.dumps(cloud_event("shop.sold")).encode()
    answer = await tenant.request("POST", "/events", body=body, headers={"Content-Type": content_type})
    assert "application/cloudevents+json" in _is_problem(answer, 415).body["detail"]


async def test_unknown_paths_and_methods_say_so(tenant: TenantClient) -> None:
    _is_problem(await tenant.request("GET", "/api/v1/nothing"), 404)
    answer = _is_problem(await tenant.request("DELETE", "/api/v1/runs"), 405)
    assert "GET" in answer.headers["Allow"]


async def test_a_template_that_fails_at_run_time_fails_its_run_and_nothing_else(
    tenant: TenantClient, inbox: Receiver
) -> None:
    await tenant.make_endpoint("sink", inbox.url("/templates"))
    workflow_id = await tenant.make_workflow(
        workflow("Tell", "shop.sold", tell("sink", body={"who": "{{ event.data.who }}"}))
    )
    await tenant.emit("shop.sold", {})
    await tenant.emit("shop.sold", {"who": "ann"})
    runs = await tenant.runs_of(workflow_id, 2)
    assert sorted(run["status"] for run in runs) == ["failed", "succeeded"]
    (failed,) = [run for run in runs if run["status"] == "failed"]
    assert "who" in json.dumps((await tenant.run(failed["id"]))["steps"])
