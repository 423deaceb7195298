"""Sources, endpoints and workflows over HTTP: what is made, what is refused and why, and what repeating does."""

import asyncio

import pytest
from multidict import CIMultiDict

from services.api.service.ports import ENDPOINT_SECRET, SOURCE_SECRET

WORKFLOW = {
    "name": "Tell finance",
    "trigger": {"event": "order.refunded"},
    "steps": [
        {"id": "tell", "uses": "notify.webhook", "with": {"endpoint": "finance", "body": {"id": "{{ event.id }}"}}}
    ],
}
WAITING = {
    "name": "Wait",
    "trigger": {"manual": {}},
    "steps": [{"id": "pause", "uses": "wait", "with": {"seconds": 60}}],
}


async def make_endpoint(world, name="finance"):
    return (await world.call("POST", "/api/v1/endpoints", {"name": name, "url": "https://example.com/hook"})).expect(
        201
    )


# ---------------------------------------------------------------- sources


async def test_a_source_is_made_with_its_hook_url_and_its_secret_is_sealed(world):
    wanted = {"name": "code", "vendor": "github", "secret": "hunter2-hunter2"}
    made = (await world.call("POST", "/api/v1/sources", wanted)).expect(201)
    assert made == {"id": made["id"], "hook_url": f"https://hooks.upshot.example/hooks/{made['id']}"}
    shown = (await world.call("GET", f"/api/v1/sources/{made['id']}")).expect(200)
    assert (shown["name"], shown["vendor"], shown["has_secret"]) == ("code", "github", True)
    assert "hunter2" not in str((await world.call("GET", "/api/v1/sources")).expect(200))
    kept = await world.queries.get_source("acme", made["id"])
    assert await world.sealer.unseal("acme", kept.secrets[0], SOURCE_SECRET) == "hunter2-hunter2"
    records = [record for log in world.bus._logs.values() for record in log]
    assert not any(b"hunter2" in (record.value or b"") for record in records)


async def test_an_unknown_vendor_is_refused_with_the_ones_there_are(world):
    answer = await world.call("POST", "/api/v1/sources", {"name": "x", "vendor": "gitlab"})
    problem = answer.expect(400)
    assert problem["type"] == "urn:upshot:problem:unknown-vendor"
    assert problem["errors"][0]["pointer"] == "#/vendor"
    assert {"github", "stripe", "shopify", "slack", "generic"} <= set(problem["known"])


@pytest.mark.parametrize(
    ("wanted", "pointer"),
    [
        ({"name": "x", "vendor": "github"}, "#/secret"),
        ({"name": "x", "vendor": "github", "secret": "s", "settings": {"colour": 1}}, "#/settings/colour"),
        ({"name": "", "vendor": "github", "secret": "s"}, "#/name"),
        ({"name": "x", "vendor": "generic"}, "#/settings"),
        ({"name": "x", "vendor": "generic", "secret": "short", "settings": {"path_token": True}}, "#/secret"),
        ({"vendor": "github", "secret": "s", "extra": 1}, "#/extra"),
    ],
)
async def test_each_flaw_of_a_source_is_named(world, wanted, pointer):
    problem = (await world.call("POST", "/api/v1/sources", wanted)).expect(422)
    assert pointer in [each["pointer"] for each in problem["errors"]]


async def test_a_token_in_the_path_is_shown_to_its_maker_once(world):
    wanted = {"name": "crm", "vendor": "generic", "settings": {"path_token": True}}
    made = (await world.call("POST", "/api/v1/sources", wanted, key="k")).expect(201)
    token = made["hook_url"].rpartition("/")[2]
    assert made["hook_url"] == f"https://hooks.upshot.example/hooks/{made['id']}/{token}"
    assert len(token) == 48
    again = await world.call("POST", "/api/v1/sources", wanted, key="k")
    assert again.expect(201)["id"] == made["id"]
    assert token not in str(again.body)
    assert "first answer" in again.body["note"]
    assert token not in str((await world.call("GET", "/api/v1/sources")).body)


async def test_a_taken_name_is_a_conflict(world):
    wanted = {"name": "code", "vendor": "github", "secret": "s"}
    (await world.call("POST", "/api/v1/sources", wanted)).expect(201)
    problem = (await world.call("POST", "/api/v1/sources", wanted)).expect(409)
    assert problem["type"] == "urn:upshot:problem:name-taken"


# ---------------------------------------------------------------- endpoints


async def test_an_endpoint_shows_its_secret_once(world):
    made = (
        await world.call("POST", "/api/v1/endpoints", {"name": "f", "url": "https://example.com/a?b=c"}, key="1")
    ).expect(201)
    assert made["secret"].startswith("whsec_")
    kept = await world.queries.get_endpoint("acme", made["id"])
    assert await world.sealer.unseal("acme", kept.secrets[0], ENDPOINT_SECRET) == made["secret"]
    again = await world.call("POST", "/api/v1/endpoints", {"name": "f", "url": "https://example.com/a?b=c"}, key="1")
    assert again.expect(201)["id"] == made["id"]
    assert "secret" not in again.body
    assert "first answer" in again.body["note"]
    assert again.headers["Idempotent-Replayed"] == "true"
    shown = (await world.call("GET", f"/api/v1/endpoints/{made['id']}")).expect(200)
    assert (shown["enabled"], shown["revision"], shown["url"]) == (True, 1, "https://example.com/a?b=c")


async def test_of_two_requests_at_once_under_one_key_only_the_maker_sees_the_secret_that_stands(world):
    wanted = {"name": "f", "url": "https://example.com/"}
    answers = await asyncio.gather(*(world.call("POST", "/api/v1/endpoints", wanted, key="same") for _ in range(5)))
    assert {answer.expect(201)["id"] for answer in answers} == {answers[0].body["id"]}
    shown = [answer.body["secret"] for answer in answers if "secret" in answer.body]
    kept = await world.queries.get_endpoint("acme", answers[0].body["id"])
    assert shown == [await world.sealer.unseal("acme", kept.secrets[0], ENDPOINT_SECRET)]


async def test_private_addresses_are_refused_and_the_way_out_is_named(world):
    problem = (await world.call("POST", "/api/v1/endpoints", {"name": "f", "url": "http://127.0.0.1:80/"})).expect(422)
    assert problem["errors"][0]["pointer"] == "#/url"
    assert "UPSHOT_EGRESS_ALLOW" in problem["errors"][0]["detail"]
    (await world.call("POST", "/api/v1/endpoints", {"name": "f", "url": "http://127.0.0.1:9999/"})).expect(201)
    (await world.call("POST", "/api/v1/endpoints", {"name": "m", "url": "http://169.254.169.254/"})).expect(422)


async def test_a_secret_of_ones_own_must_be_able_to_sign(world):
    wanted = {"name": "f", "url": "https://example.com/", "secret": "hunter2"}
    problem = (await world.call("POST", "/api/v1/endpoints", wanted)).expect(422)
    assert problem["errors"][0]["pointer"] == "#/secret"
    assert "hunter2" not in str(problem)
    wanted["secret"] = "whsec_" + "A" * 32
    assert (await world.call("POST", "/api/v1/endpoints", wanted)).expect(201)["secret"] == wanted["secret"]


async def test_endpoints_are_switched_and_their_revision_rises(world):
    made = await make_endpoint(world)
    path = f"/api/v1/endpoints/{made['id']}"
    assert (await world.call("POST", f"{path}/disable", {"reason": "moving house"})).expect(200)["revision"] == 2
    shown = (await world.call("GET", path)).expect(200)
    assert (shown["enabled"], shown["disabled_reason"]) == (False, "moving house")
    assert (await world.call("POST", f"{path}/enable")).expect(200)["revision"] == 3
    assert (await world.call("POST", f"{path}/enable")).expect(200)["revision"] == 3
    assert (await world.call("POST", "/api/v1/endpoints/none/enable")).expect(404)["type"].endswith("unknown-endpoint")
    (await world.call("GET", "/api/v1/endpoints/none")).expect(404)


# ---------------------------------------------------------------- workflows


async def test_a_workflow_is_saved_and_read_back_with_its_etag(world):
    await make_endpoint(world)
    saved = await world.call("POST", "/api/v1/workflows", WORKFLOW)
    assert saved.expect(201)["revision"] == 1
    assert saved.headers["ETag"] == '"1"'
    shown = await world.call("GET", f"/api/v1/workflows/{saved.body['id']}")
    assert shown.expect(200)["document"]["name"] == "Tell finance"
    assert (shown.headers["ETag"], shown.body["author"], shown.body["enabled"]) == ('"1"', "ada@acme.example", True)


async def test_a_workflow_may_be_yaml(world):
    text = b"name: Y\ntrigger: {manual: {}}\nif: 'true'\nsteps:\n  - {id: a, uses: wait, with: {seconds: 1}}\n"
    answer = await world.call("POST", "/api/v1/workflows", body=text, headers={"Content-Type": "application/yaml"})
    answer.expect(201)
    bad = await world.call(
        "POST", "/api/v1/workflows", body=b"name: a\nname: b\n", headers={"Content-Type": "application/yaml"}
    )
    assert "line 2" in bad.expect(400)["errors"][0]["detail"]


async def test_saving_builds_on_the_revision_that_was_read(world):
    saved = (await world.call("POST", "/api/v1/workflows", WAITING)).expect(201)
    path = f"/api/v1/workflows/{saved['id']}"
    changed = {**WAITING, "description": "two"}
    (await world.call("PUT", path, changed)).expect(428)
    second = await world.call("PUT", path, changed, headers={"If-Match": '"1"'})
    assert (second.expect(200)["revision"], second.headers["ETag"]) == (2, '"2"')
    stale = await world.call("PUT", path, changed, headers={"If-Match": '"1"'})
    assert stale.expect(412)["revision"] == 2
    (await world.call("PUT", path, changed, headers={"If-Match": "*"})).expect(200)
    for matches_nothing in ('"1", "2"', 'W/"3"', '"03"', '"abc"', '"99999999999"'):
        assert (await world.call("PUT", path, changed, headers={"If-Match": matches_nothing})).expect(412)[
            "revision"
        ] == 3
    (await world.call("PUT", path, changed, headers={"If-Match": "three"})).expect(422)
    (await world.call("PUT", "/api/v1/workflows/none", changed, headers={"If-Match": '"1"'})).expect(404)
    (await world.call("PUT", "/api/v1/workflows/none", changed, headers={"If-Match": "*"})).expect(404)
    revisions = (await world.call("GET", f"{path}/revisions")).expect(200)["items"]
    assert [(each["revision"], each["changes"]) for each in revisions] == [
        (3, "nothing changed"),
        (2, "changed description"),
        (1, "new"),
    ]
    page = (await world.call("GET", f"{path}/revisions?limit=2")).expect(200)
    rest = (await world.call("GET", f"{path}/revisions?limit=2&cursor={page['next_cursor']}")).expect(200)
    assert ([each["revision"] for each in rest["items"]], rest["next_cursor"]) == ([1], None)
    assert (await world.call("GET", f"{path}/revisions/1")).expect(200)["document"]["description"] == ""
    for wrong in ("4", "0", "x", "99999999999999"):
        (await world.call("GET", f"{path}/revisions/{wrong}")).expect(404)


async def test_any_revision_of_a_list_may_be_the_newest(world):
    saved = (await world.call("POST", "/api/v1/workflows", WAITING)).expect(201)
    path, listed = f"/api/v1/workflows/{saved['id']}", {"If-Match": '"1", "2"'}
    first = await world.call("PUT", path, {**WAITING, "description": "two"}, headers=listed, key="k")
    assert first.expect(200)["revision"] == 2
    (await world.call("PUT", path, {**WAITING, "description": "three"}, headers=listed)).expect(200)
    assert (await world.call("PUT", path, WAITING, headers=listed)).expect(412)["revision"] == 3
    again = await world.call("PUT", path, {**WAITING, "description": "two"}, headers=listed, key="k")
    assert (again.expect(200)["revision"], again.headers["Idempotent-Replayed"]) == (2, "true")
    lines = CIMultiDict([("If-Match", '"2"'), ("If-Match", '"3"')])
    (await world.call("POST", f"{path}/archive", headers={"If-Match": '"1", "2"'})).expect(412)
    (await world.call("POST", f"{path}/archive", headers={"If-Match": 'W/"3"'})).expect(412)
    (await world.call("POST", f"{path}/archive", headers=lines)).expect(200)


async def test_of_two_who_save_at_once_one_is_stale(world):
    saved = (await world.call("POST", "/api/v1/workflows", WAITING)).expect(201)
    path = f"/api/v1/workflows/{saved['id']}"
    answers = await asyncio.gather(
        *(world.call("PUT", path, {**WAITING, "description": str(n)}, headers={"If-Match": '"1"'}) for n in range(4))
    )
    assert sorted(answer.status for answer in answers) == [200, 412, 412, 412]


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"steps": []}, "#/steps"),
        ({"name": 5}, "#/name"),
        ({"colour": "red"}, "#/colour"),
        ({"steps": [{"id": "a", "uses": "nothing.known", "with": {}}]}, "#/steps/0/uses"),
        ({"steps": [{"id": "a", "uses": "wait", "with": {"seconds": 1}, "needs": ["b"]},
                    {"id": "b", "uses": "wait", "with": {"seconds": 1}, "needs": ["a"]}]}, "#/steps/0/needs"),
        ({"if": "event.data.("}, "#/if"),
        ({"steps": [{"id": "a", "uses": "notify.webhook", "with": {"endpoint": "nobody"}}]}, "#/steps/0/with/endpoint"),
        ({"trigger": {"manual": {"inputs": {"type": "object", "required": 5}}}}, "#/trigger/manual/inputs"),
        ({"trigger": {"manual": {"inputs": {"$ref": "http://169.254.169.254/x"}}}}, "#/trigger/manual/inputs"),
    ],
)  # fmt: skip
async def test_each_flaw_of_a_workflow_is_named_with_its_place(world, change, pointer):
    problem = (await world.call("POST", "/api/v1/workflows", {**WAITING, **change})).expect(422)
    assert pointer in [each["pointer"] for each in problem["errors"]]


async def test_workflows_are_switched_listed_and_paged(world):
    ids = [
        (await world.call("POST", "/api/v1/workflows", {**WAITING, "name": name})).expect(201)["id"] for name in "cab"
    ]
    assert (await world.call("POST", f"/api/v1/workflows/{ids[0]}/disable")).expect(200)["enabled"] is False
    first = (await world.call("GET", "/api/v1/workflows?limit=2")).expect(200)
    assert [each["name"] for each in first["items"]] == ["a", "b"]
    second = (await world.call("GET", f"/api/v1/workflows?limit=2&cursor={first['next_cursor']}")).expect(200)
    assert ([each["name"] for each in second["items"]], second["next_cursor"]) == (["c"], None)
    enabled = (await world.call("GET", "/api/v1/workflows?enabled=true")).expect(200)
    assert [each["name"] for each in enabled["items"]] == ["a", "b"]
    (await world.call("GET", "/api/v1/workflows?cursor=nonsense")).expect(400)
    (await world.call("POST", "/api/v1/workflows/none/enable")).expect(404)


async def test_sources_and_endpoints_are_listed_by_name_and_paged(world):
    for name in "cab":
        await make_endpoint(world, name)
        wanted = {"name": name, "vendor": "github", "secret": "s"}
        (await world.call("POST", "/api/v1/sources", wanted)).expect(201)
    for kind in ("sources", "endpoints"):
        first = (await world.call("GET", f"/api/v1/{kind}?limit=2")).expect(200)
        assert [each["name"] for each in first["items"]] == ["a", "b"]
        second = (await world.call("GET", f"/api/v1/{kind}?limit=2&cursor={first['next_cursor']}")).expect(200)
        assert ([each["name"] for each in second["items"]], second["next_cursor"]) == (["c"], None)
        for wrong in ("cursor=nonsense", "limit=0", "colour=red"):
            (await world.call("GET", f"/api/v1/{kind}?{wrong}")).expect(400)
    (await world.call("GET", f"/api/v1/sources?cursor={first['next_cursor']}")).expect(400)


# ---------------------------------------------------------------- whose they are


async def test_one_tenants_definitions_do_not_exist_for_another(world):
    await world.make_tenant("globex")
    theirs = world.token("globex", subject="hank@globex.example")
    endpoint = await make_endpoint(world)
    source = (await world.call("POST", "/api/v1/sources", {"name": "s", "vendor": "github", "secret": "s"})).expect(201)
    workflow = (await world.call("POST", "/api/v1/workflows", WORKFLOW)).expect(201)
    for path in (f"endpoints/{endpoint['id']}", f"sources/{source['id']}", f"workflows/{workflow['id']}"):
        (await world.call("GET", f"/api/v1/{path}", token=theirs)).expect(404)
    for kind in ("endpoints", "sources", "workflows"):
        assert (await world.call("GET", f"/api/v1/{kind}", token=theirs)).expect(200)["items"] == []
    (await world.call("POST", f"/api/v1/workflows/{workflow['id']}/disable", token=theirs)).expect(404)
    (await world.call("POST", f"/api/v1/endpoints/{endpoint['id']}/disable", {}, token=theirs)).expect(404)
    (
        await world.call(
            "PUT", f"/api/v1/workflows/{workflow['id']}", WAITING, token=theirs, headers={"If-Match": '"1"'}
        )
    ).expect(404)
    (
        await world.call("POST", "/api/v1/endpoints", {"name": "finance", "url": "https://example.com"}, token=theirs)
    ).expect(201)


async def test_a_tenant_that_was_never_made_can_change_nothing(world):
    nobody = world.token("nobody")
    problem = (
        await world.call("POST", "/api/v1/endpoints", {"name": "f", "url": "https://example.com"}, token=nobody)
    ).expect(404)
    assert problem["type"] == "urn:upshot:problem:unknown-tenant"
    (await world.call("POST", "/api/v1/workflows", WAITING, token=nobody)).expect(404)


async def test_roles_are_needed_and_named(world):
    reader = world.token("acme", "read")
    problem = (await world.call("POST", "/api/v1/workflows", WAITING, token=reader)).expect(403)
    assert "automation:write" in problem["detail"]
    (await world.call("GET", "/api/v1/workflows", token=reader)).expect(200)
    (await world.call("GET", "/api/v1/workflows", token=world.token("acme", "events:write"))).expect(403)
