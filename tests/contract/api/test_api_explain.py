"""Why, and why not, over HTTP: as of then and now, after edits, renames, rollbacks and replays, for what ran and what did not."""

from itertools import count
from typing import Any
from urllib.parse import quote

import orjson
import pytest

from shared.bus import codec, facts
from shared.bus.facts import Cause
from shared.bus.topics import DEFINITIONS
from shared.domain.records import Command, WorkflowArchived
from shared.runtime.clock import SystemClock
from shared.testing.waiting import eventually

_NUMBERS = count()
STEP = {"id": "pause", "uses": "wait", "with": {"seconds": 60}}
BIG = {"pattern": {"type": ["order.refunded"], "data": {"amount_minor": [{"numeric": [">", 10000]}]}}}
ALERT = {"name": "Refund alert", "trigger": BIG, "steps": [STEP]}
WITNESS = {"name": "Witness", "trigger": {"event": "witness.seen"}, "steps": [STEP]}


async def save(world, document=None, **changes):
    answer = await world.call("POST", "/api/v1/workflows", {**(document or ALERT), **changes})
    return answer.expect(201)["id"]


async def edit(world, workflow_id, document, base):
    path = f"/api/v1/workflows/{workflow_id}"
    return (await world.call("PUT", path, document, headers={"If-Match": f'"{base}"'})).expect(200)["revision"]


async def publish(world, data, event_type="order.refunded", **more):
    return await world.publish(event_type, orjson.dumps(data), **more)


async def settle(world):
    """Returns once the matcher is past all that was published before: a later event of the tenant has led to a run."""
    number = next(_NUMBERS)
    witness = await save(world, WITNESS, name=f"Witness {number}", trigger={"event": f"witness.seen_{number}"})
    await world.publish(f"witness.seen_{number}", event_id=f"witness-{number}")
    await world.run_of(witness)


async def archive(world, workflow_id):
    fact = WorkflowArchived(
        workflow_id=workflow_id, command=Command(id=f"archive-{workflow_id}", payload_hash="", actor="ada")
    )
    cause = Cause(causation_id=None, correlation_id=None)
    at = SystemClock().now()
    event = facts.envelop(fact, id=fact.command.id, tenant_id="acme", source="/upshot/api", at=at, cause=cause)
    await world.bus.append([codec.encode(DEFINITIONS, event)])


async def explain(world, event_id, **query):
    parameters = "&".join(f"{name}={quote(str(value), safe='')}" for name, value in query.items())
    return (await world.call("GET", f"/api/v1/events/{event_id}/explain?{parameters}")).expect(200)


async def explain_one(world, event_id, workflow, **query):
    (item,) = (await explain(world, event_id, workflow=workflow, **query))["items"]
    return item


# ---------------------------------------------------------------- what came of it


async def test_what_matched_says_which_run_it_led_to(world):
    workflow = await save(world)
    event = await publish(world, {"amount_minor": 20000})
    run = await world.run_of(workflow)

    answer = await explain(world, event, workflow="Refund alert")
    (item,) = answer["items"]

    assert (item["matches"], item["share"], item["first_failed"]) == (True, 1.0, None)
    assert (item["outcome"]["kind"], item["outcome"]["run_id"]) == ("admitted", run["id"])
    assert answer["sentence"] == f"Refund alert: yes, it led to run {run['id']} (running)"
    assert answer["definitions"]["known_from"] == "match"
    assert answer["event"]["id"] == event


async def test_what_did_not_match_names_the_clause_with_every_reason(world):
    workflow = await save(world, **{"if": "event.data.currency == 'EUR' && event.data.reason != ''"})
    event = await publish(world, {"amount_minor": "900", "currency": "EUR"})
    await settle(world)

    answer = await explain(world, event, workflow=workflow)
    (item,) = answer["items"]

    assert item["first_failed"] == {
        "pointer": "#/trigger/pattern/data/amount_minor/0",
        "path": "data.amount_minor",
        "expected": {"numeric": [">", 10000]},
        "actual": ["900"],
        "reasons": ["it is text, not a number", "read as a number it is not > 10000 either"],
    }
    assert [each["holds"] for each in item["triggers"][0]["clauses"]] == [True, False]
    assert [(each["holds"], each["error"]) for each in item["condition"]["conjuncts"]] == [
        (True, None),
        (False, "event.data.reason is missing; has(…) tests for it"),
    ]
    assert (item["clauses_held"], item["clauses_total"]) == (2, 4)
    assert item["outcome"]["kind"] == "not_matched"
    assert item["sentence"] == 'Refund alert: no, data.amount_minor is "900", expected a number > 10000'
    assert answer["definitions"]["known_from"] == "time"


async def test_what_was_skipped_says_by_which_limit(world):
    workflow = await save(world, limits={"cooldown": {"seconds": 600}})
    await publish(world, {"amount_minor": 20000}, event_id="first")
    second = await publish(world, {"amount_minor": 30000}, event_id="second")

    async def skipped():
        item = await explain_one(world, second, workflow)
        return item if item["outcome"]["kind"] == "skipped" else None

    item = await eventually(skipped, "the second is skipped")
    assert item["outcome"]["reason_kind"] == "cooldown"
    assert "but run" in item["sentence"]
    assert "was skipped (cooldown): last admitted" in item["sentence"]


async def test_a_cooldown_by_a_secret_key_tells_no_key(world):
    limits = {"cooldown": {"seconds": 600, "key": "{{ event.data.access_token }}"}}
    workflow = await save(world, limits=limits)
    for number in range(2):
        event = await publish(world, {"amount_minor": 20000, "access_token": "s3cr3t"}, event_id=f"{number}")

    async def skipped():
        item = await explain_one(world, event, workflow)
        return item if item["outcome"]["kind"] == "skipped" else None

    item = await eventually(skipped, "the second is skipped")
    assert "s3cr3t" not in orjson.dumps(item).decode()
    assert "(hidden)" in item["outcome"]["reason"]


@pytest.mark.parametrize("matcher_settings_change", [{"conditions_max": 2}])
async def test_what_the_budget_left_out_says_so_even_where_nothing_else_matched(world):
    first = await save(world, **{"if": "event.data.raw.vip == true", "priority": 1})
    await save(world, name="Another", **{"if": "event.data.raw.vip == true", "priority": 2})
    second = await save(world, name="Second", **{"if": "event.data.amount_minor > 1"})
    event = await publish(world, {"amount_minor": 20000, "raw": {"vip": False}})
    await settle(world)

    left_out = await explain_one(world, event, second)
    assert (left_out["outcome"]["kind"], left_out["outcome"]["reason_kind"]) == ("unevaluated", "budget")
    assert left_out["matches"]
    assert left_out["sentence"].endswith("by itself it would have matched")
    assert (await explain_one(world, event, first))["outcome"]["kind"] == "not_matched"
    assert (await explain(world, event))["definitions"]["known_from"] == "match"


@pytest.mark.parametrize("matcher_settings_change", [{"matches_max": 1}])
async def test_what_was_one_workflow_too_many_says_so(world):
    first = await save(world, priority=1)
    second = await save(world, name="Second")
    event = await publish(world, {"amount_minor": 20000})
    await world.run_of(first)

    item = await explain_one(world, event, second)
    assert (item["outcome"]["kind"], item["outcome"]["reason_kind"]) == ("unevaluated", "matches_max")


# ---------------------------------------------------------------- windows


async def test_a_count_says_how_many_of_how_many(world):
    count = {"event": "order.refunded", "times": 3, "within_seconds": 600, "key": "{{ event.data.customer_id }}"}
    workflow = await save(world, trigger={"count": count}, **{"if": "event.data.amount_minor > 1"})
    events = [
        await publish(world, {"customer_id": "ada", "amount_minor": 5}, event_id=f"ada-{number}") for number in range(2)
    ]
    other = await publish(world, {"customer_id": "bob", "amount_minor": 5}, event_id="bob")
    small = await publish(world, {"customer_id": "ada", "amount_minor": 1}, event_id="small")
    await settle(world)

    second = await explain_one(world, events[1], workflow)
    assert second["sentence"] == 'Refund alert: no, it counted as 2 of 3 within 600 s for the key "ada"'
    assert second["first_failed"]["pointer"] == "#/trigger/count/times"
    assert (second["first_failed"]["expected"], second["first_failed"]["actual"]) == (3, [2])
    assert [each["pointer"] for each in second["triggers"][0]["clauses"]] == [
        "#/trigger/count/event",
        "#/trigger/count/times",
    ]
    assert (second["clauses_held"], second["clauses_total"]) == (2, 3)
    assert "counted as 1 of 3" in (await explain_one(world, other, workflow))["sentence"]
    assert "event.data.amount_minor > 1 is false" in (await explain_one(world, small, workflow))["sentence"]

    third = await publish(world, {"customer_id": "ada", "amount_minor": 5}, event_id="third")
    run = await world.run_of(workflow)
    item = await explain_one(world, third, workflow)
    assert (item["matches"], item["outcome"]["run_id"]) == (True, run["id"])
    assert (await explain(world, third))["items"][0]["matches"]
    assert "counted as 2 of 3" in (await explain_one(world, events[1], workflow))["sentence"]


async def test_an_absence_says_what_it_waits_for_and_what_ended_it(world):
    absence = {
        "after": {"event": "order.created"},
        "of": {"event": "order.paid"},
        "within_seconds": 3600,
        "key": "{{ event.data.access_token }}",
    }
    workflow = await save(world, trigger={"absence": absence})
    created = await publish(world, {"access_token": "s3cr3t"}, "order.created")
    await settle(world)

    waiting = await explain_one(world, created, workflow)
    assert waiting["sentence"].startswith("Refund alert: no, it opened a wait for the key (hidden) until ")
    assert waiting["first_failed"]["pointer"] == "#/trigger/absence/of"
    assert waiting["first_failed"]["expected"] == {"event": "order.paid"}

    paid = await publish(world, {"access_token": "s3cr3t"}, "order.paid", event_id="paid")
    await settle(world)
    ended = await explain_one(world, created, workflow)
    assert ended["sentence"].endswith(f"no, it opened a wait that event {paid} ended in time")
    closing = await explain_one(world, paid, workflow)
    assert "is what a wait for the key (hidden) is for, and ended one" in closing["sentence"]
    assert "s3cr3t" not in orjson.dumps([waiting, ended, closing]).decode()


# ---------------------------------------------------------------- as of then


async def test_an_edit_after_the_event_changes_nothing_of_then(world):
    workflow = await save(world)
    event = await publish(world, {"amount_minor": 900})
    await settle(world)
    eased = {**ALERT, "trigger": {"event": "order.refunded"}}
    assert await edit(world, workflow, eased, 1) == 2

    then = await explain_one(world, event, workflow)
    assert (then["revision"], then["matches"], then["now"]["revision"]) == (1, False, 2)
    today = await explain_one(world, event, workflow, as_of="now")
    assert (today["revision"], today["matches"], today["outcome"]["kind"]) == (2, True, "not_matched")
    assert today["sentence"] == (
        "Refund alert: as it is today (revision 2) it would have matched; no run came of it then"
    )
    supposed = await explain_one(world, event, workflow, revision=2)
    assert (supposed["matches"], supposed["outcome"]["kind"]) == (True, "superseded")
    assert "revision 1 was" in supposed["sentence"]


async def test_a_rollback_is_a_revision_of_its_own(world):
    workflow = await save(world)
    eased = {**ALERT, "trigger": {"event": "order.refunded"}}
    await edit(world, workflow, eased, 1)
    event = await publish(world, {"amount_minor": 900})
    run = await world.run_of(workflow)
    await edit(world, workflow, ALERT, 2)

    then = await explain_one(world, event, workflow)
    assert (then["revision"], then["outcome"]["run_id"]) == (2, run["id"])
    for revision in (1, 3):
        rolled = await explain_one(world, event, workflow, revision=revision)
        assert (rolled["matches"], rolled["outcome"]["kind"]) == (False, "superseded")
    today = await explain_one(world, event, workflow, as_of="now")
    assert (today["revision"], today["matches"]) == (3, False)
    assert today["sentence"].endswith(f"it led to run {run['id']} (running)")


async def test_a_renamed_workflow_is_found_by_either_name_and_shown_by_that_of_then(world):
    workflow = await save(world)
    event = await publish(world, {"amount_minor": 900})
    await settle(world)
    await edit(world, workflow, {**ALERT, "name": "Big refunds"}, 1)
    namesake = await save(world, trigger={"event": "x.y"})

    for reference in (workflow, "Refund alert", "Big refunds"):
        item = await explain_one(world, event, reference)
        assert item["workflow_id"] == workflow
        assert (item["workflow_name"], item["now"]["name"]) == ("Refund alert", "Big refunds")
    assert (await explain_one(world, event, "Refund alert", as_of="now"))["workflow_id"] == namesake


async def test_what_was_not_live_says_why(world):
    disabled, archived, later_off = [await save(world, name=name) for name in ("Off", "Gone", "Off later")]
    (await world.call("POST", f"/api/v1/workflows/{disabled}/disable")).expect(200)
    await archive(world, archived)
    event = await publish(world, {"amount_minor": 20000})
    await world.run_of(later_off)
    (await world.call("POST", f"/api/v1/workflows/{later_off}/disable")).expect(200)
    (await world.call("POST", f"/api/v1/workflows/{disabled}/enable")).expect(200)
    created = await save(world, name="Later")

    found = {each["workflow_name"]: each for each in (await explain(world, event))["items"]}
    assert {name: each["outcome"]["kind"] for name, each in found.items()} == {
        "Off": "disabled",
        "Gone": "archived",
        "Off later": "admitted",
        "Later": "not_yet_created",
    }
    assert found["Off"]["sentence"] == "Off: no, it was disabled; by itself it would have matched"
    assert found["Later"]["sentence"] == "Later: no, it did not exist yet; revision 1 would have matched"
    assert found["Later"]["then"] is None
    assert next(iter(found)) == "Off later"
    today = await explain_one(world, event, created, as_of="now")
    assert today["outcome"]["kind"] == "not_yet_created"
    assert today["sentence"] == ("Later: as it is today (revision 1) it would have matched; it did not exist yet then")
    off = await explain_one(world, event, later_off, as_of="now")
    assert off["sentence"].startswith(
        "Off later: as it is today (revision 1, disabled) it would have matched; it led to run"
    )


async def test_a_replay_has_an_explanation_of_its_own(world):
    workflow = await save(world)
    event = await publish(world, {"amount_minor": 900})
    await settle(world)
    await edit(world, workflow, {**ALERT, "trigger": {"event": "order.refunded"}}, 1)
    assert await publish(world, {"amount_minor": 900}, replay_id="march") == event
    run = await world.run_of(workflow)
    await edit(world, workflow, {**ALERT, "trigger": {"event": "x.y"}}, 2)
    await publish(world, {"amount_minor": 900}, replay_id="april")
    await settle(world)

    original = await explain_one(world, event, workflow)
    assert (original["revision"], original["outcome"]["kind"]) == (1, "not_matched")
    march = await explain_one(world, event, workflow, replay="march")
    assert (march["revision"], march["outcome"]["run_id"]) == (2, run["id"])
    april = await explain_one(world, event, workflow, replay="april")
    assert (april["revision"], april["outcome"]["kind"]) == (3, "not_matched")
    unknown = await world.call("GET", f"/api/v1/events/{event}/explain?replay=may")
    assert unknown.expect(404)["type"] == "urn:upshot:problem:unknown-replay"


# ---------------------------------------------------------------- a whole event


async def test_all_workflows_are_ranked_by_the_share_of_clauses_that_hold(world):
    await save(world, name="Far", trigger={"pattern": {"type": ["x.y"], "data": {"b": [1]}}})
    await save(world, name="Near", **{"if": "event.data.raw.a == 1"})
    ran = await save(world, name="Ran", trigger={"event": "order.*"})
    await save(world, name="By hand", trigger={"manual": {}})
    event = await publish(world, {"amount_minor": 5, "raw": {"a": 1}})
    await world.run_of(ran)

    whole = await explain(world, event)
    assert [(each["workflow_name"], round(each["share"], 2)) for each in whole["items"]] == [
        ("Ran", 1.0),
        ("Near", 0.67),
        ("By hand", 0.0),
        ("Far", 0.0),
    ]
    assert whole["sentence"] == "of 4 workflows: 1 led to a run"
    paged: list[Any] = []
    cursor: dict[str, str] = {}
    while True:
        page = await explain(world, event, limit=1, **cursor)
        paged += page["items"]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert paged == whole["items"]
    bad = await world.call("GET", f"/api/v1/events/{event}/explain?cursor=nonsense")
    assert bad.expect(400)["errors"][0]["pointer"] == "#/cursor"


async def test_an_event_that_nobody_waits_for_and_one_that_came_near(world):
    await save(world)
    await save(world, name="Manual", trigger={"manual": {}})
    unnamed = await publish(world, {}, "parcel.lost")
    near = await publish(world, {"amount_minor": 1}, event_id="near")

    assert (await explain(world, unnamed))["sentence"] == "no workflow is for events of the type parcel.lost"
    assert (await explain(world, near))["sentence"] == (
        "none of 2 workflows was started; the nearest is Refund alert (1 of 2 clauses hold)"
    )


async def test_a_tenant_without_workflows_and_an_event_before_any_definition(world):
    event = await publish(world, {})
    assert (await explain(world, event))["items"] == []

    early = await publish(world, {}, tenant_id="newcomer", event_id="early")
    await world.make_tenant("newcomer")
    token = world.token("newcomer")
    (await world.call("POST", "/api/v1/workflows", ALERT, token=token)).expect(201)
    answer = (await world.call("GET", f"/api/v1/events/{early}/explain", token=token)).expect(200)
    assert [each["outcome"]["kind"] for each in answer["items"]] == ["not_yet_created"]
    assert answer["definitions"]["version"] is None


@pytest.mark.parametrize("api_settings_change", [{"explain_workflows_max": 2}])
async def test_of_more_workflows_than_may_be_the_likeliest_are_explained(world):
    for number in range(3):
        await save(world, name=f"A {number}", trigger={"event": "x.y"})
    ran = await save(world, name="Ran")
    await save(world, name="Near", trigger={"event": ["order.*"], "pattern": {"data": {"a": [1]}}})
    event = await publish(world, {"amount_minor": 20000})
    await world.run_of(ran)

    answer = await explain(world, event)
    assert [each["workflow_name"] for each in answer["items"]] == ["Ran", "Near"]
    assert (answer["workflows"], answer["workflows_left_out"]) == (5, 3)
    assert (await explain_one(world, event, "A 2"))["share"] == 0


@pytest.mark.parametrize("api_settings_change", [{"explain_seconds_max": 1e-9}])
async def test_an_explanation_stops_when_its_time_is_used_up_and_says_what_it_left_out(world):
    ran = await save(world)
    await save(world, name="Another")
    event = await publish(world, {"amount_minor": 20000})
    await world.run_of(ran)

    answer = await explain(world, event)
    assert (len(answer["items"]), answer["workflows_left_out"]) == (1, 1)
    assert answer["items"][0]["matches"]


async def test_an_event_that_could_not_be_read_says_that_it_is_a_dead_letter(world):
    await save(world)
    event = await world.publish("order.refunded", b"no JSON")

    answer = await explain(world, event)
    assert answer["items"] == []
    assert answer["sentence"].startswith("the event is a dead letter")


# ---------------------------------------------------------------- what is not told


async def test_secrets_are_hidden_wherever_they_stand(world):
    trigger = {"pattern": {"data": {"login": {"Password": ["expected-one"]}, "id": [1]}}}
    condition = "event.data.login.api_key == 'expected-two' && size(event.data.login) == 9"
    workflow = await save(world, trigger=trigger, **{"if": condition})
    event = await publish(world, {"login": {"Password": "s3cr3t", "api_key": "k3y", "user": "ada"}, "id": 2})

    item = await explain_one(world, event, workflow)
    text = orjson.dumps(item).decode()
    for secret in ("s3cr3t", "k3y", "expected-one", "expected-two"):
        assert secret not in text
    assert '"ada"' in text
    assert item["first_failed"]["actual"] == ["(hidden)"]


@pytest.mark.parametrize("api_settings_change", [{"hidden_names": ["User"]}])
async def test_which_names_are_hidden_is_the_operators_to_say(world):
    workflow = await save(world, trigger={"pattern": {"data": {"user_name": [1], "password": [1]}}})
    event = await publish(world, {"user_name": "countess", "password": "shown"})

    text = orjson.dumps(await explain_one(world, event, workflow)).decode()
    assert "countess" not in text
    assert "shown" in text


async def test_what_is_not_there_is_a_problem_that_says_which(world):
    workflow = await save(world)
    event = await publish(world, {})

    async def kind(path, status=404, **more):
        return (await world.call("GET", f"/api/v1/events/{path}", **more)).expect(status)["type"].rpartition(":")[2]

    assert await kind("none/explain") == "unknown-event"
    assert await kind(f"{event}/explain?workflow=none") == "unknown-workflow"
    assert await kind(f"{event}/explain?workflow={workflow}&revision=2") == "unknown-revision"
    assert await kind(f"{event}/explain?revision=1", 400) == "invalid-query"
    assert await kind(f"{event}/explain?as_of=yesterday", 400) == "invalid-query"
    await world.make_tenant("other")
    assert await kind(f"{event}/explain", token=world.token("other")) == "unknown-event"
    assert await kind(f"{event}/explain", 403, token=world.token("acme", "events:write")) == "forbidden"
