"""A workflow's inbound URLs over HTTP: secrets shown once and sealed in the log, rotated by whoever owns them."""

import asyncio

import pytest

from shared.bus.topics import DEFINITIONS
from tests.contract.api.test_workflows_as_code import Desk

WAIT = {"id": "pause", "uses": "wait", "with": {"seconds": 60}}
PUBLIC_URL = "https://hooks.upshot.example"


def document(webhook=None, name="Button"):
    return {"name": name, "trigger": {"webhook": webhook or {}}, "steps": [WAIT]}


async def made(world, wanted, **more):
    body = (await world.call("POST", "/api/v1/workflows", wanted, **more)).expect(201)
    return body["id"], body["hooks"][0]


async def everything_in_the_log(world):
    found = []
    reader = world.bus.reader(DEFINITIONS)
    reader.assign(dict.fromkeys(range(world.bus.partition_count), 0))
    while batch := await reader.poll(timeout_seconds=0):
        found += [record.value for records in batch.values() for record in records]
    await reader.close()
    return b"".join(found)


async def test_the_secret_is_shown_once_and_never_in_the_log(world):
    workflow_id, hook = await made(world, document(), key="first")
    assert hook["url"] == f"{PUBLIC_URL}/hooks/{hook['id']}"
    assert (hook["proof"], hook["pointer"], hook["secret"][:6]) == ("standard", "#/trigger/webhook", "whsec_")
    logged = await everything_in_the_log(world)
    assert hook["id"].encode() in logged
    assert hook["secret"].encode() not in logged
    again = (await world.call("POST", "/api/v1/workflows", document(), key="first")).expect(201)
    assert again["hooks"] == [{**hook, "secret": None}]
    assert "rotate" in again["note"]
    shown = (await world.call("GET", f"/api/v1/workflows/{workflow_id}")).expect(200)
    assert shown["hooks"] == [{**hook, "secret": None}]
    listed = (await world.call("GET", "/api/v1/workflows")).expect(200)["items"]
    assert [each["hooks"] for each in listed] == [shown["hooks"]]


async def test_of_callers_that_race_with_one_key_all_but_the_first_are_told_that_they_repeat_it(world):
    answers = await asyncio.gather(
        *(world.call("POST", "/api/v1/workflows", document(), key="raced") for _ in range(10))
    )
    bodies = [answer.expect(201) for answer in answers]
    assert len({body["id"] for body in bodies}) == 1
    told = [
        (body["hooks"][0]["secret"] is None, "note" in body, "Idempotent-Replayed" in answer.headers)
        for answer, body in zip(answers, bodies, strict=True)
    ]
    assert sorted(told) == [(False, False, False)] + [(True, True, True)] * 9


async def test_a_save_that_is_refused_repeats_nothing(world):
    await made(world, document())
    refused = await world.call("POST", "/api/v1/workflows", document())
    assert "note" not in refused.expect(409)
    assert "Idempotent-Replayed" not in refused.headers


async def test_only_what_is_new_has_a_secret_to_show(world):
    workflow_id, hook = await made(world, document({"answer": {"wait_seconds": 1}}))
    wanted = document()
    wanted["trigger"] = [{"webhook": {}}, {"webhook": {"path_token": True}}, {"event": "a.b"}]
    saved = await world.call("PUT", f"/api/v1/workflows/{workflow_id}", wanted, headers={"If-Match": '"1"'})
    kept, new = saved.expect(200)["hooks"]
    assert (kept["url"], kept["secret"], kept["pointer"]) == (hook["url"], None, "#/trigger/0/webhook")
    assert new["url"] == f"{PUBLIC_URL}/hooks/{new['id']}/{new['secret']}"
    shown = (await world.call("GET", f"/api/v1/workflows/{workflow_id}")).expect(200)["hooks"]
    assert shown[1]["url"] == f"{PUBLIC_URL}/hooks/{new['id']}/{{secret}}"
    # A save that somebody was quicker than makes nothing and shows nothing.
    stale = await world.call("PUT", f"/api/v1/workflows/{workflow_id}", document(), headers={"If-Match": '"1"'})
    assert "hooks" not in stale.expect(412)


async def test_rotation_is_of_the_owner_and_told_once(world):
    workflow_id, hook = await made(world, document({"path_token": True}))
    path = f"/api/v1/workflows/{workflow_id}/hooks/{hook['id']}/rotate"
    turned = (await world.call("POST", path, {}, key="turn")).expect(200)
    assert turned["secret"] != hook["secret"]
    assert turned["url"].endswith(turned["secret"])
    again = (await world.call("POST", path, {}, key="turn")).expect(200)
    assert again["url"].endswith("/{secret}")
    assert "secret" not in again
    own = (await world.call("POST", path, {"secret": "my-own-long-token", "overlap_seconds": 0})).expect(200)
    assert (own["url"].endswith("/my-own-long-token"), own["former_valid_until"]) == (True, None)
    (await world.call("POST", path, {"secret": "short"})).expect(422)
    (await world.call("POST", path, {"overlap_seconds": -1})).expect(422)
    stranger = world.token("globex")
    assert (await world.call("POST", path, {}, token=stranger)).status == 404
    reader = world.token("acme", "automation:read")
    assert (await world.call("POST", path, {}, token=reader)).status == 403
    assert b"my-own-long-token" not in await everything_in_the_log(world)


async def test_a_plain_workflow_has_no_hook_to_tell_of(world):
    plain = {"name": "Plain", "trigger": {"manual": {}}, "steps": [WAIT]}
    body = (await world.call("POST", "/api/v1/workflows", plain)).expect(201)
    assert "hooks" not in body
    assert (await world.call("GET", f"/api/v1/workflows/{body['id']}")).expect(200)["hooks"] == []


@pytest.mark.parametrize("path", ["/api/v1/workflows", "/api/v1/workflows/check"])
async def test_who_may_send_is_decided_by_the_operator(world, path):
    refused = (await world.call("POST", path, document({"signature": "none"}))).expect(422)
    assert [each["pointer"] for each in refused["errors"]] == ["#/trigger/webhook/signature"]


async def test_applying_files_prints_no_secret(world, tmp_path):
    desk = Desk(world, tmp_path)
    text = "name: Button\ntrigger: {webhook: {path_token: true}}\nsteps: [{id: a, uses: wait, with: {seconds: 1}}]\n"
    (tmp_path / "button.yaml").write_text(text)
    assert await desk.apply() == 0
    said = "\n".join(desk.said)
    (shown,) = (await world.call("GET", "/api/v1/workflows")).expect(200)["items"]
    assert shown["hooks"][0]["url"] in said
    assert f"/hooks/{shown['hooks'][0]['id']}/rotate" in said
