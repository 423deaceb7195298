"""Runs, approvals and events over HTTP: asked for, held, decided, cancelled, explained from the log."""

import asyncio

import pytest

from shared.domain.records import AttemptFinished, AttemptStarted, StepUnknown

STEP = {"id": "pause", "uses": "wait", "with": {"seconds": 60}}
SCHEMA = {"type": "object", "properties": {"amount": {"type": "integer"}}, "required": ["amount"]}
MANUAL = {"name": "By hand", "trigger": {"manual": {"inputs": SCHEMA}}, "steps": [STEP]}
HELD = {**MANUAL, "name": "Held", "approval": {"when": "always", "roles": ["approve"]}}
ON_REFUND = {"name": "On refund", "trigger": {"event": "order.refunded"}, "steps": [STEP]}


async def save(world, document):
    return (await world.call("POST", "/api/v1/workflows", document)).expect(201)["id"]


async def start(world, workflow_id, **more):
    answer = await world.call("POST", f"/api/v1/workflows/{workflow_id}/runs", {"inputs": {"amount": 5}}, **more)
    return answer.expect(202)["run_id"]


async def held_run(world, document=HELD):
    """(run, approval) of a run that waits for a person."""
    run_id = await start(world, await save(world, document))
    approvals = (await world.call("GET", "/api/v1/approvals?status=pending")).expect(200)["items"]
    return run_id, next(each for each in approvals if each["run_id"] == run_id)


# ---------------------------------------------------------------- manual runs


async def test_a_manual_run_that_nobody_could_be_shown_to_approve_is_refused(world):
    loop = {"type": "acme.seen", "data": {"loop": "{% for n in (1..1000) %}{{ n }}{% endfor %}"}}
    steps = [{"id": f"s{number}", "uses": "event.emit", "with": loop} for number in range(11)]
    document = {"name": "Much", "trigger": {"manual": {}}, "approval": {"when": "always"}, "steps": steps}
    workflow_id = (await world.call("POST", "/api/v1/workflows", document)).expect(201)["id"]
    problem = (await world.call("POST", f"/api/v1/workflows/{workflow_id}/runs", {"inputs": {}})).expect(422)
    assert problem["errors"][0]["pointer"] == "#/inputs"
    assert "10000 rounds" in problem["errors"][0]["detail"]


async def test_a_manual_run_is_asked_for_and_shown_at_once(world):
    workflow_id = await save(world, MANUAL)
    run_id = await start(world, workflow_id)
    run = (await world.call("GET", f"/api/v1/runs/{run_id}")).expect(200)
    assert (run["status"], run["inputs"], run["requested_by"]) == ("running", {"amount": 5}, "ada@acme.example")
    (entry,) = run["timeline"]
    assert (entry["type"], entry["data"]["command"]["actor"]) == ("run.requested", "ada@acme.example")
    for workflow in (workflow_id, "By%20hand"):
        listed = (await world.call("GET", f"/api/v1/runs?workflow={workflow}&status=running")).expect(200)
        assert [each["id"] for each in listed["items"]] == [run_id]
    assert (await world.call("GET", "/api/v1/runs?status=failed")).expect(200)["items"] == []
    (await world.call("GET", "/api/v1/runs?status=lost")).expect(400)
    everything = (await world.call("GET", "/api/v1/runs")).expect(200)
    assert (await world.call("GET", "/api/v1/runs?workflow=&status=&cursor=&limit=")).expect(200) == everything
    for empty in (
        "workflows?enabled=&archived=",
        "approvals?status=",
        "events?type=&source=",
        "sources?cursor=&limit=",
    ):
        (await world.call("GET", f"/api/v1/{empty}")).expect(200)
    (await world.call("POST", "/api/v1/workflows?enabled=", {**MANUAL, "name": "another"})).expect(400)


async def test_repeating_a_request_under_its_key_is_one_run(world):
    workflow_id = await save(world, MANUAL)
    first = await start(world, workflow_id, key='"8e03978e-40d5-43dd-bc93-6894a57f9324"')
    again = await start(world, workflow_id, key="8e03978e-40d5-43dd-bc93-6894a57f9324")
    assert first == again
    assert len((await world.call("GET", "/api/v1/runs")).expect(200)["items"]) == 1
    path = f"/api/v1/workflows/{workflow_id}/runs"
    other = await world.call("POST", path, {"inputs": {"amount": 6}}, key="8e03978e-40d5-43dd-bc93-6894a57f9324")
    assert other.expect(422)["type"] == "urn:upshot:problem:idempotency-key-reused"
    other = await world.call("POST", "/api/v1/workflows", ON_REFUND, key="8e03978e-40d5-43dd-bc93-6894a57f9324")
    other.expect(422)
    (await world.call("POST", path, {"inputs": {"amount": 6}}, key='"unfinished')).expect(422)
    (await world.call("POST", path, {"inputs": {"amount": 6}}, key="k" * 300)).expect(422)


async def test_what_cannot_be_run_by_hand_says_why(world):
    workflow_id = await save(world, MANUAL)
    path = f"/api/v1/workflows/{workflow_id}/runs"
    problem = (await world.call("POST", path, {"inputs": {"amount": "5"}})).expect(422)
    assert [each["pointer"] for each in problem["errors"]] == ["#/inputs/amount"]
    assert (await world.call("POST", path)).expect(422)["errors"][0]["pointer"] == "#/inputs"
    lost = await world.call("POST", path, {"inputs": {"amount": 5, "order": 12345678901234567890123}})
    assert [each["pointer"] for each in lost.expect(422)["errors"]] == ["#/inputs/order"]
    (await world.call("POST", f"/api/v1/workflows/{workflow_id}/disable")).expect(200)
    assert (await world.call("POST", path, {"inputs": {"amount": 5}})).expect(409)["type"].endswith("workflow-disabled")
    on_event = await save(world, ON_REFUND)
    assert (await world.call("POST", f"/api/v1/workflows/{on_event}/runs")).expect(409)["type"].endswith("not-manual")
    (await world.call("POST", "/api/v1/workflows/none/runs")).expect(404)
    big = {"inputs": {"amount": 5, "x": "x" * 70_000}}
    (await world.call("POST", path, big)).expect(413)


async def test_runs_are_cancelled_once(world):
    run_id = await start(world, await save(world, MANUAL))
    cancelled = await world.call("POST", f"/api/v1/runs/{run_id}/cancel", {"reason": "changed my mind"}, key="c")
    assert cancelled.expect(200) == {"run_id": run_id, "status": "cancelled"}
    assert (
        await world.call("POST", f"/api/v1/runs/{run_id}/cancel", {"reason": "changed my mind"}, key="c")
    ).status == 200
    (await world.call("POST", f"/api/v1/runs/{run_id}/cancel")).expect(409)
    run = (await world.call("GET", f"/api/v1/runs/{run_id}")).expect(200)
    assert run["reason"]["detail"] == "by ada@acme.example: changed my mind"
    assert [each["type"] for each in run["timeline"]] == ["run.requested", "run.cancelled"]
    assert run["timeline"][1]["causation_id"] == run["timeline"][0]["id"]
    (await world.call("POST", "/api/v1/runs/none/cancel")).expect(404)


async def test_a_step_of_unknown_end_is_resolved_by_a_person(world):
    run_id = await start(world, await save(world, MANUAL))
    await world.record(run_id, AttemptStarted(run_id=run_id, step_id="pause", number=1, request={"n": 1}))
    await world.record(run_id, StepUnknown(run_id=run_id, step_id="pause", number=1))
    path = f"/api/v1/runs/{run_id}/steps/pause/resolve"
    wrong = {"resolution": "succeeded", "reason": "I looked", "number": 2}
    (await world.call("POST", path, wrong)).expect(409)
    (await world.call("POST", path, {**wrong, "resolution": "maybe"})).expect(422)
    resolved = (await world.call("POST", path, {**wrong, "number": 1})).expect(200)
    assert resolved == {"run_id": run_id, "step_id": "pause", "status": "succeeded"}
    run = (await world.call("GET", f"/api/v1/runs/{run_id}")).expect(200)
    assert run["status"] == "succeeded"
    assert [each["type"] for each in run["timeline"]] == [
        "run.requested",
        "attempt.started",
        "step.unknown",
        "step.resolved",
        "step.resolved",
    ]


# ---------------------------------------------------------------- approvals


async def test_a_held_run_shows_what_it_asks_for_and_starts_when_it_is_granted(world):
    run_id, listed = await held_run(world)
    shown = (await world.call("GET", f"/api/v1/approvals/{listed['id']}")).expect(200)
    assert shown["current_hash"] == shown["subject_hash"]
    assert shown["subject"]["inputs"] == {"amount": 5}
    assert shown["subject"]["steps"] == [{"id": "pause", "uses": "wait", "with": {"seconds": 60}}]
    own = await world.call("POST", f"/api/v1/approvals/{listed['id']}/grant", {"reason": "mine"})
    assert own.expect(403)["type"] == "urn:upshot:problem:approval-self"
    bob = world.token("acme", "approve", subject="bob@acme.example")
    wanted = {"reason": "fine", "subject_hash": shown["subject_hash"]}
    granted = (await world.call("POST", f"/api/v1/approvals/{listed['id']}/grant", wanted, token=bob)).expect(200)
    assert (granted["status"], granted["granted"], granted["quorum"]) == ("granted", 1, 1)
    run = (await world.call("GET", f"/api/v1/runs/{run_id}")).expect(200)
    assert (run["status"], run["approval"]["decided_by"]) == ("running", "bob@acme.example")
    assert [each["void"] for each in run["approval"]["decisions"]] == ["approval-self", None]


async def test_who_holds_a_role_of_the_tenants_own_sees_what_it_may_decide(world):
    await held_run(world)
    run_id, listed = await held_run(
        world, {**HELD, "name": "Paid", "approval": {"when": "always", "roles": ["finance"]}}
    )
    assert (await world.call("GET", "/api/v1/approvals")).expect(200)["items"][1:], "whoever may look sees all"
    fay = world.token("acme", "automation:finance", subject="fay@acme.example")
    seen = (await world.call("GET", "/api/v1/approvals?status=pending", token=fay)).expect(200)["items"]
    assert [each["run_id"] for each in seen] == [run_id]
    (await world.call("POST", f"/api/v1/approvals/{listed['id']}/grant", {"reason": "paid"}, token=fay)).expect(200)
    (await world.call("GET", f"/api/v1/runs/{run_id}", token=fay)).expect(403)
    publisher = world.token("acme", "events:write", subject="shop")
    (await world.call("GET", "/api/v1/approvals", token=publisher)).expect(403)


async def test_a_second_decision_hears_who_decided_and_when(world):
    _, listed = await held_run(world)
    path = f"/api/v1/approvals/{listed['id']}"
    bob = world.token("acme", "approve", subject="bob@acme.example")
    (await world.call("POST", f"{path}/deny", {"reason": "no"}, token=bob, key="d")).expect(200)
    assert (await world.call("POST", f"{path}/deny", {"reason": "no"}, token=bob, key="d")).status == 200
    carol = world.token("acme", "approve", subject="carol@acme.example")
    late = (await world.call("POST", f"{path}/grant", {"reason": "yes"}, token=carol)).expect(409)
    assert (late["decision"], late["decided_by"]) == ("denied", "bob@acme.example")
    assert late["decided_at"] in late["detail"]


async def test_a_decision_on_a_cancelled_run_hears_who_cancelled_it_and_when(world):
    run_id, listed = await held_run(world)
    dan = world.token("acme", "execute", subject="dan@acme.example")
    (await world.call("POST", f"/api/v1/runs/{run_id}/cancel", {"reason": "no need"}, token=dan)).expect(200)
    bob = world.token("acme", "approve", subject="bob@acme.example")
    late = (await world.call("POST", f"/api/v1/approvals/{listed['id']}/grant", {"reason": "yes"}, token=bob)).expect(
        409
    )
    assert (late["decision"], late["decided_by"]) == ("cancelled", "dan@acme.example")
    assert late["detail"] == f"already cancelled by dan@acme.example at {late['decided_at']}"
    shown = (await world.call("GET", f"/api/v1/approvals/{listed['id']}")).expect(200)
    assert shown["decided_by"] == "dan@acme.example"


async def test_of_decisions_at_once_one_stands_and_the_others_hear_of_it(world):
    _, listed = await held_run(world)
    tokens = [world.token("acme", "approve", subject=f"p{n}@acme.example") for n in range(6)]
    answers = await asyncio.gather(
        *(
            world.call("POST", f"/api/v1/approvals/{listed['id']}/{verb}", {"reason": "r"}, token=token)
            for token, verb in zip(tokens, ["grant", "deny"] * 3, strict=True)
        )
    )
    assert sorted(answer.status for answer in answers) == [200, 409, 409, 409, 409, 409]
    stands = next(answer.body["status"] for answer in answers if answer.status == 200)
    for answer in answers:
        if answer.status == 409:
            assert answer.body["decision"] == stands
            assert answer.body["decided_by"].endswith("@acme.example")


async def test_only_the_roles_that_the_workflow_names_decide(world):
    _, listed = await held_run(world, {**HELD, "approval": {"when": "always", "roles": ["finance"], "quorum": 2}})
    path = f"/api/v1/approvals/{listed['id']}"
    approver = world.token("acme", "approve", subject="bob@acme.example")
    refused = (await world.call("POST", f"{path}/grant", {"reason": "r"}, token=approver)).expect(403)
    assert "automation:finance" in refused["detail"]
    finance = [world.token("acme", "finance", subject=f"f{n}@acme.example") for n in range(2)]
    (await world.call("GET", path, token=finance[0])).expect(200)
    (await world.call("GET", path, token=world.token("acme", "events:write"))).expect(403)
    first = (await world.call("POST", f"{path}/grant", {"reason": "r"}, token=finance[0])).expect(200)
    assert (first["status"], first["granted"]) == ("pending", 1)
    (await world.call("POST", f"{path}/grant", {"reason": "r"}, token=finance[0])).expect(409)
    assert (await world.call("POST", f"{path}/grant", {"reason": "r"}, token=finance[1])).expect(200)[
        "status"
    ] == "granted"


async def test_a_decision_on_something_else_is_void(world):
    _, listed = await held_run(world)
    bob = world.token("acme", "approve", subject="bob@acme.example")
    path = f"/api/v1/approvals/{listed['id']}"
    void = await world.call("POST", f"{path}/grant", {"reason": "r", "subject_hash": "0" * 64}, token=bob)
    assert void.expect(409)["type"] == "urn:upshot:problem:approval-changed"
    (await world.call("POST", f"{path}/grant", {"reason": "r", "subject_hash": "x"}, token=bob)).expect(422)
    assert (await world.call("GET", path)).expect(200)["status"] == "pending"
    (await world.call("POST", "/api/v1/approvals/none/grant", {"reason": "r"}, token=bob)).expect(404)
    (await world.call("GET", "/api/v1/approvals/none")).expect(404)


async def test_two_people_with_one_idempotency_key_are_two(world):
    _, listed = await held_run(world, {**HELD, "approval": {"when": "always", "roles": ["approve"], "quorum": 2}})
    path = f"/api/v1/approvals/{listed['id']}/grant"
    tokens = [world.token("acme", "approve", subject=f"p{n}@acme.example") for n in range(2)]
    for _ in range(2):
        (await world.call("POST", path, {"reason": "r"}, token=tokens[0], key="k")).expect(200)
    other = (await world.call("POST", path, {"reason": "r"}, token=tokens[1], key="k")).expect(422)
    assert other["type"] == "urn:upshot:problem:idempotency-key-reused"
    assert (await world.call("POST", path, {"reason": "r"}, token=tokens[1], key="l")).expect(200)[
        "status"
    ] == "granted"


async def test_what_no_grant_can_start_any_more_is_not_granted(world):
    body = {"name": "sink", "url": "https://example.com/hook"}
    endpoint = (await world.call("POST", "/api/v1/endpoints", body)).expect(201)["id"]
    tell = {"id": "tell", "uses": "notify.webhook", "with": {"endpoint": "sink", "body": {}}}
    run_id, listed = await held_run(world, {**HELD, "steps": [tell]})
    path, bob = f"/api/v1/approvals/{listed['id']}", world.token("acme", "approve", subject="bob@acme.example")
    for verb in ("disable", "enable"):
        (await world.call("POST", f"/api/v1/endpoints/{endpoint}/{verb}", {"reason": "moving"})).expect(200)
    current = (await world.call("GET", path)).expect(200)["current_hash"]
    for hash_shown in ({}, {"subject_hash": current}, {"subject_hash": listed["subject_hash"]}):
        refused = (await world.call("POST", f"{path}/grant", {"reason": "r", **hash_shown}, token=bob)).expect(409)
        assert (refused["type"], refused["current_hash"]) == ("urn:upshot:problem:approval-changed", current)
    (await world.call("POST", f"{path}/deny", {"reason": "asked for anew"}, token=bob)).expect(200)
    assert (await world.call("GET", f"/api/v1/runs/{run_id}")).expect(200)["status"] == "denied"


async def test_what_did_not_follow_is_shown_to_whoever_must_approve_the_run(world):
    awaited = {"after": {"event": "order.refunded"}, "of": {"event": "payment.failed"}, "within_seconds": 1}
    document = {"name": "Missed", "trigger": {"absence": {**awaited, "lateness_seconds": 1}}, "steps": [STEP]}
    workflow_id = await save(world, {**document, "approval": {"when": "always"}})
    event_id = await world.publish("order.refunded")
    run = await world.run_of(workflow_id)
    approval = (await world.call("GET", f"/api/v1/runs/{run['id']}")).expect(200)["approval"]["id"]
    shown = (await world.call("GET", f"/api/v1/approvals/{approval}")).expect(200)
    assert shown["current_hash"] == shown["subject_hash"]
    assert shown["subject"]["event"]["id"] == event_id


# ---------------------------------------------------------------- events


async def test_an_event_is_shown_with_what_it_matched_and_the_run_leads_back_to_it(world):
    workflow_id = await save(world, {**ON_REFUND, "approval": {"when": "always"}})
    event_id = await world.publish("order.refunded", b'{"amount_minor": 12345678901234567890123, "z": 1.50}')
    run = await world.run_of(workflow_id)
    shown = await world.call("GET", f"/api/v1/events/{event_id}")
    assert [each["id"] for each in shown.expect(200)["runs"]] == [run["id"]]
    async with world.session.get(
        f"{world.url}/api/v1/events/{event_id}", headers={"Authorization": f"Bearer {world.token()}"}
    ) as raw:
        assert '{"amount_minor": 12345678901234567890123, "z": 1.50}' in await raw.text()
    detail = (await world.call("GET", f"/api/v1/runs/{run['id']}")).expect(200)
    assert [each["type"] for each in detail["timeline"]] == ["order.refunded", "event.matched"]
    first, second = detail["timeline"]
    assert (first["id"], second["causation_id"]) == (event_id, event_id)
    assert second["data"]["match"]["run_id"] == run["id"]
    approval = (await world.call("GET", f"/api/v1/approvals/{detail['approval']['id']}")).expect(200)
    assert approval["current_hash"] == approval["subject_hash"]
    assert approval["subject"]["event"]["id"] == event_id


async def test_events_are_listed_filtered_and_paged(world):
    ids = [await world.publish(kind, event_id=str(n)) for n, kind in enumerate(["a.b", "a.c", "a.b"])]
    page = (await world.call("GET", "/api/v1/events?type=a.b&limit=1")).expect(200)
    assert [each["id"] for each in page["items"]] == [ids[2]]
    rest = (await world.call("GET", f"/api/v1/events?type=a.b&limit=1&cursor={page['next_cursor']}")).expect(200)
    assert ([each["id"] for each in rest["items"]], rest["next_cursor"]) == ([ids[0]], None)
    assert len((await world.call("GET", "/api/v1/events?source=/shop")).expect(200)["items"]) == 3
    (await world.call("GET", "/api/v1/events/none")).expect(404)
    (await world.call("GET", f"/api/v1/runs?cursor={page['next_cursor']}")).expect(400)


async def test_data_that_is_no_json_is_shown_as_text(world):
    event_id = await world.publish("a.b", b"\xff not json")
    assert (await world.call("GET", f"/api/v1/events/{event_id}")).expect(200)["data"] == "\ufffd not json"


# ---------------------------------------------------------------- isolation and limits


async def test_runs_approvals_events_and_commands_of_another_tenant_do_not_exist(world):
    await world.make_tenant("globex")
    theirs = world.token("globex", subject="hank@globex.example")
    run_id, listed = await held_run(world)
    event_id = await world.publish("a.b")
    for path in (f"runs/{run_id}", f"approvals/{listed['id']}", f"events/{event_id}"):
        (await world.call("GET", f"/api/v1/{path}", token=theirs)).expect(404)
    for kind in ("runs", "approvals", "events"):
        assert (await world.call("GET", f"/api/v1/{kind}", token=theirs)).expect(200)["items"] == []
    (await world.call("POST", f"/api/v1/runs/{run_id}/cancel", token=theirs)).expect(404)
    (await world.call("POST", f"/api/v1/approvals/{listed['id']}/deny", {"reason": ""}, token=theirs)).expect(404)
    made = await world.call("POST", "/api/v1/endpoints", {"name": "f", "url": "https://example.com"}, key="shared-key")
    made.expect(201)
    (await world.call("GET", "/api/v1/commands/shared-key", token=theirs)).expect(404)
    answer = await world.call(
        "POST", "/api/v1/endpoints", {"name": "g", "url": "https://example.com"}, key="shared-key", token=theirs
    )
    answer.expect(201)


@pytest.mark.parametrize("api_settings_change", [{"timeline_records_max": 3}])
async def test_a_timeline_is_bounded_and_says_so(world, api_settings_change):
    run_id = await start(world, await save(world, MANUAL))
    for number in (1, 2):
        await world.record(run_id, AttemptStarted(run_id=run_id, step_id="pause", number=number, request={}))
        await world.record(
            run_id,
            AttemptFinished(
                run_id=run_id,
                step_id="pause",
                number=number,
                outcome="failed",
                retry_at=None if number == 2 else _past(),
            ),
        )
    run = (await world.call("GET", f"/api/v1/runs/{run_id}")).expect(200)
    assert (len(run["timeline"]), run["timeline_left_out"]) == (3, 2)


def _past():
    from datetime import UTC, datetime

    return datetime(2026, 1, 1, tzinfo=UTC)
