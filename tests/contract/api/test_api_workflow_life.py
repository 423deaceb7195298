"""A workflow's life over HTTP: compared, taken back, copied, put away; nothing is lost, nothing overwritten unseen."""

WAITING = {
    "name": "Wait",
    "trigger": {"manual": {}},
    "steps": [{"id": "pause", "uses": "wait", "with": {"seconds": 60}}],
}
TELLING = {
    "name": "Tell",
    "trigger": {"event": "order.refunded"},
    "steps": [{"id": "tell", "uses": "notify.webhook", "with": {"endpoint": "finance", "body": {"text": "one"}}}],
}


async def save(world, document, **more):
    return (await world.call("POST", "/api/v1/workflows", document, **more)).expect(201)["id"]


async def save_again(world, workflow_id, base, document):
    path = f"/api/v1/workflows/{workflow_id}"
    return (await world.call("PUT", path, document, headers={"If-Match": f'"{base}"'})).expect(200)


async def endpoint(world, name="finance"):
    return (await world.call("POST", "/api/v1/endpoints", {"name": name, "url": "https://example.com/"})).expect(201)


# ---------------------------------------------------------------- comparing, going back


async def test_two_revisions_are_compared_by_place_and_as_text(world):
    workflow_id = await save(world, WAITING)
    first = {"id": "first", "uses": "wait", "with": {"seconds": 1}}
    await save_again(world, workflow_id, 1, {**WAITING, "priority": 7, "steps": [first, *WAITING["steps"]]})
    path = f"/api/v1/workflows/{workflow_id}/diff"
    found = (await world.call("GET", f"{path}?from=1&to=2")).expect(200)
    assert (found["from"], found["to"], found["changes_left_out"]) == (1, 2, 0)
    priority, added = found["changes"]
    assert priority == {"op": "replace", "pointer": "#/priority", "old": 50, "new": 7}
    assert (added["op"], added["pointer"], added["old"], added["new"]["id"]) == ("add", "#/steps/0", None, "first")
    assert found["text"].startswith("--- revision 1\n+++ revision 2\n")
    assert "\n+priority: 7\n" in found["text"]
    assert "\n+  - id: first\n" in found["text"]
    back = (await world.call("GET", f"{path}?from=2&to=1")).expect(200)
    assert back["changes"][0] == {"op": "replace", "pointer": "#/priority", "old": 7, "new": 50}
    for wrong, status in (("from=1", 400), ("from=0&to=1", 400), ("from=1&to=3", 404), ("from=x&to=1", 400)):
        (await world.call("GET", f"{path}?{wrong}")).expect(status)
    (await world.call("GET", "/api/v1/workflows/none/diff?from=1&to=2")).expect(404)


async def test_going_back_is_a_new_revision_on_top_of_the_one_that_was_read(world):
    workflow_id = await save(world, WAITING)
    await save_again(world, workflow_id, 1, {**WAITING, "description": "two"})
    path = f"/api/v1/workflows/{workflow_id}/rollback"
    (await world.call("POST", path, {"revision": 1})).expect(428)
    stale = await world.call("POST", path, {"revision": 1}, headers={"If-Match": '"1"'})
    assert stale.expect(412)["revision"] == 2
    done = await world.call("POST", path, {"revision": 1}, headers={"If-Match": '"2"'}, key="back")
    assert (done.expect(200)["revision"], done.headers["ETag"]) == (3, '"3"')
    again = await world.call("POST", path, {"revision": 1}, headers={"If-Match": '"2"'}, key="back")
    assert (again.expect(200)["revision"], again.headers["Idempotent-Replayed"]) == (3, "true")
    shown = (await world.call("GET", f"/api/v1/workflows/{workflow_id}")).expect(200)
    assert (shown["revision"], shown["document"]["description"]) == (3, "")
    newest = (await world.call("GET", f"/api/v1/workflows/{workflow_id}/revisions")).expect(200)["items"][0]
    assert newest["changes"] == "as revision 1: changed description"
    (await world.call("POST", path, {"revision": 9}, headers={"If-Match": "*"})).expect(404)
    (await world.call("POST", path, {"revision": 0}, headers={"If-Match": "*"})).expect(422)


async def test_a_revision_that_names_what_is_gone_is_not_taken_back(world, monkeypatch):
    """Nothing removes an endpoint yet; a revision saved by a version that did not check is the same."""
    workflow_id = await save(world, WAITING)
    await save_again(world, workflow_id, 1, {**WAITING, "description": "two"})
    tenant = world.definitions.tenant("acme")
    workflow = tenant.workflows[workflow_id]
    # The follower's own fold, as it would stand had revision 1 been saved while there was such an endpoint.
    object.__setattr__(workflow.revisions[0], "document", {**TELLING, "name": "Wait"})
    path = f"/api/v1/workflows/{workflow_id}"
    problem = (await world.call("POST", f"{path}/rollback", {"revision": 1}, headers={"If-Match": '"2"'})).expect(422)
    assert problem["type"] == "urn:upshot:problem:revision-unusable"
    assert problem["errors"][0]["pointer"] == "#/steps/0/with/endpoint"
    assert problem["revision"] == 1
    assert (await world.call("GET", path)).expect(200)["revision"] == 2
    (await world.call("POST", f"{path}/clone", {"name": "Copy", "revision": 1})).expect(422)
    await endpoint(world)
    (await world.call("POST", f"{path}/rollback", {"revision": 1}, headers={"If-Match": '"2"'})).expect(200)


# ---------------------------------------------------------------- copies


async def test_a_clone_is_a_workflow_of_its_own_and_disabled(world):
    workflow_id = await save(world, WAITING)
    await save_again(world, workflow_id, 1, {**WAITING, "description": "two"})
    path = f"/api/v1/workflows/{workflow_id}/clone"
    made = await world.call("POST", path, {"name": "Copy"}, key="c")
    copy_id = made.expect(201)["id"]
    assert copy_id != workflow_id
    assert (made.headers["Location"], made.headers["ETag"]) == (f"/api/v1/workflows/{copy_id}", '"1"')
    assert (await world.call("POST", path, {"name": "Copy"}, key="c")).expect(201)["id"] == copy_id
    shown = (await world.call("GET", f"/api/v1/workflows/{copy_id}")).expect(200)
    assert (shown["name"], shown["enabled"], shown["document"]["description"]) == ("Copy", False, "two")
    older = (await world.call("POST", path, {"name": "Older", "revision": 1})).expect(201)
    assert (await world.call("GET", f"/api/v1/workflows/{older['id']}")).expect(200)["document"]["description"] == ""
    (await world.call("POST", path, {"name": "Copy"})).expect(409)
    (await world.call("POST", path, {"name": ""})).expect(422)
    (await world.call("POST", path, {"name": "x", "revision": 3})).expect(404)
    (await world.call("POST", "/api/v1/workflows/none/clone", {"name": "x"})).expect(404)


async def test_a_workflow_may_be_made_disabled(world):
    made = (await world.call("POST", "/api/v1/workflows?enabled=false", WAITING, key="k")).expect(201)
    assert (await world.call("GET", f"/api/v1/workflows/{made['id']}")).expect(200)["enabled"] is False
    (await world.call("POST", "/api/v1/workflows", WAITING, key="k")).expect(422)
    (await world.call("POST", "/api/v1/workflows?enabled=perhaps", WAITING)).expect(400)


# ---------------------------------------------------------------- the archive


async def test_an_archived_workflow_never_starts_and_its_runs_stay(world):
    document = {**WAITING, "trigger": [{"manual": {}}, {"event": "order.refunded"}]}
    workflow_id = await save(world, document)
    path = f"/api/v1/workflows/{workflow_id}"
    run_id = (await world.call("POST", f"{path}/runs")).expect(202)["run_id"]
    archived = (await world.call("POST", f"{path}/archive", key="a")).expect(200)
    assert archived == {"id": workflow_id, "revision": 1, "archived": True}
    assert (await world.call("POST", f"{path}/archive", key="a")).expect(200) == archived
    event_id = await world.publish("order.refunded")
    assert (await world.call("GET", f"/api/v1/events/{event_id}")).expect(200)["runs"] == []
    assert (await world.call("POST", f"{path}/runs")).expect(409)["type"].endswith("workflow-archived")
    assert (await world.call("POST", f"{path}/enable")).expect(409)["type"].endswith("workflow-archived")
    (await world.call("PUT", path, document, headers={"If-Match": '"1"'})).expect(409)

    assert (await world.call("GET", "/api/v1/workflows")).expect(200)["items"] == []
    (listed,) = (await world.call("GET", "/api/v1/workflows?archived=true")).expect(200)["items"]
    assert (listed["id"], listed["archived"], listed["enabled"]) == (workflow_id, True, False)
    assert (await world.call("GET", path)).expect(200)["archived"] is True
    runs = (await world.call("GET", f"/api/v1/runs?workflow={workflow_id}")).expect(200)["items"]
    assert [(each["id"], each["status"], each["revision"]) for each in runs] == [(run_id, "running", 1)]


async def test_a_name_is_free_while_its_workflow_is_archived(world):
    old = await save(world, WAITING)
    (await world.call("POST", f"/api/v1/workflows/{old}/archive")).expect(200)
    new = await save(world, WAITING)
    taken = (await world.call("POST", f"/api/v1/workflows/{old}/unarchive")).expect(409)
    assert (taken["type"], taken["id"]) == ("urn:upshot:problem:name-taken", new)
    (await world.call("POST", f"/api/v1/workflows/{new}/archive")).expect(200)
    back = (await world.call("POST", f"/api/v1/workflows/{old}/unarchive")).expect(200)
    assert back == {"id": old, "revision": 1, "archived": False}
    shown = (await world.call("GET", f"/api/v1/workflows/{old}")).expect(200)
    assert (shown["archived"], shown["enabled"]) == (False, False)
    (await world.call("POST", f"/api/v1/workflows/{old}/enable")).expect(200)


async def test_what_was_edited_meanwhile_is_not_archived(world):
    workflow_id = await save(world, WAITING)
    await save_again(world, workflow_id, 1, {**WAITING, "description": "two"})
    path = f"/api/v1/workflows/{workflow_id}/archive"
    assert (await world.call("POST", path, headers={"If-Match": '"1"'})).expect(412)["revision"] == 2
    (await world.call("POST", path, headers={"If-Match": "two"})).expect(422)
    (await world.call("POST", path, headers={"If-Match": '"2"'})).expect(200)
    for verb in ("archive", "unarchive"):
        (await world.call("POST", f"/api/v1/workflows/none/{verb}")).expect(404)


# ---------------------------------------------------------------- checking


async def test_a_check_says_all_that_saving_would_and_saves_nothing(world):
    path = "/api/v1/workflows/check"
    reader = world.token("acme", "read")
    problem = (await world.call("POST", path, TELLING, token=reader)).expect(422)
    assert problem["errors"][0]["pointer"] == "#/steps/0/with/endpoint"
    await endpoint(world)
    checked = (await world.call("POST", path, TELLING, token=reader)).expect(200)
    assert (checked["document"]["priority"], checked["high_risk"]) == (50, False)
    text = b"name: Y\ntrigger: {manual: {}}\nsteps:\n  - {id: a, uses: wait, with: {seconds: 1}}\n"
    (await world.call("POST", path, body=text, headers={"Content-Type": "application/yaml"})).expect(200)
    assert (await world.call("GET", "/api/v1/workflows")).expect(200)["items"] == []


async def test_a_pattern_on_a_source_that_is_not_there_is_refused(world):
    wanted = {"name": "code", "vendor": "github", "secret": "s"}
    source_id = (await world.call("POST", "/api/v1/sources", wanted)).expect(201)["id"]
    patterns = [[f"/upshot/sources/{source_id}"], [{"prefix": "/upshot/sources/"}], ["/shop", "/upshot/sources/none"]]
    triggers = [{"event": "github.push", "pattern": {"source": each}} for each in patterns]
    for trigger in triggers[:2]:
        (await world.call("POST", "/api/v1/workflows/check", {**WAITING, "trigger": trigger})).expect(200)
    problem = (await world.call("POST", "/api/v1/workflows", {**WAITING, "trigger": triggers})).expect(422)
    assert [each["pointer"] for each in problem["errors"]] == ["#/trigger/2/pattern/source/1"]


async def test_a_workflows_life_is_its_own_tenants(world):
    await world.make_tenant("globex")
    theirs = world.token("globex", subject="hank@globex.example")
    workflow_id = await save(world, WAITING)
    path = f"/api/v1/workflows/{workflow_id}"
    for verb in ("archive", "unarchive", "enable", "disable"):
        (await world.call("POST", f"{path}/{verb}", token=theirs)).expect(404)
    (await world.call("POST", f"{path}/clone", {"name": "x"}, token=theirs)).expect(404)
    any_revision = {"If-Match": "*"}
    (await world.call("POST", f"{path}/rollback", {"revision": 1}, token=theirs, headers=any_revision)).expect(404)
    for part in ("revisions", "revisions/1", "diff?from=1&to=1"):
        (await world.call("GET", f"{path}/{part}", token=theirs)).expect(404)
