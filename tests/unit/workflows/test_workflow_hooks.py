"""`trigger: {webhook: …}`: what saving refuses, which URL it is, and that its deliveries start its own workflow alone."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.executor.actions import discover_actions
from services.matcher.triggers import discover_triggers
from shared.domain.catalogue import all_types
from shared.domain.envelope import Event
from shared.domain.errors import InvalidInput
from shared.domain.hooks import HOOK_EVENT, HookAnswer, HookPlan, hook_source
from shared.domain.windows import Windows
from shared.testing.folds import START
from shared.testing.workflows import save, tenant_with
from shared.workflows.catalogue import Catalogue
from shared.workflows.check import check_document
from shared.workflows.decide import Budget, decide
from shared.workflows.document import parse_document
from shared.workflows.hooks import hook_flaws, id_of, placed_hooks
from shared.workflows.rules import TenantRules
from shared.workflows.webhook import parse_webhook

CATALOGUE = Catalogue(
    actions=discover_actions(),
    triggers=discover_triggers(),
    event_schemas={each.name: each.schema for each in all_types()},
)
HMAC = {"header": "X-Signature", "algorithm": "sha256", "encoding": "hex", "prefix": "sha256="}
BUDGET = Budget(conditions=9, seconds=9, matches=9, windows=9)


def document(webhook: Any, name: str = "Thermometer", **more: Any) -> dict[str, Any]:
    step = {"id": "pause", "uses": "wait", "with": {"seconds": 1}}
    return {"name": name, "trigger": {"webhook": webhook}, "steps": [step], **more}


def flaws(value: Any, *, allow_unsigned: bool = False) -> dict[str, str]:
    parsed = parse_document(value)
    found = {
        each.pointer: each.detail for each in hook_flaws(placed_hooks(parsed, CATALOGUE), allow_unsigned=allow_unsigned)
    }
    try:
        check_document(parsed, CATALOGUE)
    except InvalidInput as error:
        found.update({each.pointer: each.detail for each in error.flaws})
    return found


@pytest.mark.parametrize(
    ("webhook", "pointer", "says"),
    [
        ("yes", "#/trigger/webhook", "{}"),
        ({"colour": 1}, "#/trigger/webhook/colour", "no such field"),
        ({"signature": "rot13"}, "#/trigger/webhook/signature", "standard, none"),
        ({"signature": {"algorithm": "sha256"}}, "#/trigger/webhook/signature/header", "needed"),
        ({"signature": {**HMAC, "algorithm": "md5"}}, "#/trigger/webhook/signature/algorithm", "sha256"),
        ({"signature": "standard", "path_token": True}, "#/trigger/webhook", "not both"),
        ({"signature": "none"}, "#/trigger/webhook/signature", "UPSHOT_ALLOW_UNSIGNED_SOURCES"),
        ({"answer": {"wait_seconds": 31}}, "#/trigger/webhook/answer/wait_seconds", "30"),
        ({"answer": {"wait_seconds": 1, "status": 404}}, "#/trigger/webhook/answer/status", "299"),
        ({"answer": {"wait_seconds": 1, "status": 204, "body": "x"}}, "#/trigger/webhook/answer", "no body"),
        (
            {"answer": {"wait_seconds": 1, "body": {"n": "{{ steps.none.output }}"}}},
            "#/trigger/webhook/answer/body/n",
            "none",
        ),
        ({"name": "Not A Name"}, "#/trigger/webhook/name", "pattern"),
    ],
)
def test_what_cannot_be_saved_says_where_and_how_to_mend_it(webhook: Any, pointer: str, says: str) -> None:
    found = flaws(document(webhook))
    assert list(found) == [pointer]
    assert says in found[pointer]


def test_what_can_be_saved() -> None:
    for webhook in (None, {}, {"signature": HMAC}, {"path_token": True, "id_path": "event.id"}):
        assert flaws(document(webhook)) == {}
    answer = {"wait_seconds": 5, "status": 201, "body": {"slept": "{{ steps.pause.output }}", "at": "{{ run.id }}"}}
    assert flaws(document({"answer": answer})) == {}
    assert flaws(document({"signature": "none"}), allow_unsigned=True) == {}
    assert flaws(document({}, **{"if": "event.data.raw.temperature > 30 && event.data.query.room == 'kitchen'"})) == {}


def test_a_condition_may_name_only_what_such_an_event_has() -> None:
    found = flaws(document({}, **{"if": "event.data.amount_minor > 1"}))
    assert list(found) == ["#/if"]
    assert "amount_minor" in found["#/if"]


def test_it_stands_alone_in_a_trigger() -> None:
    found = flaws({**document({}), "trigger": {"webhook": {}, "event": "order.created"}})
    assert "stands alone" in next(iter(found.values()))


def test_two_alike_in_one_workflow_need_names() -> None:
    value = document({})
    value["trigger"] = [
        {"webhook": {}},
        {"webhook": {"answer": {"wait_seconds": 1}}},
        {"webhook": {"path_token": True}},
    ]
    assert list(flaws(value)) == ["#/trigger/1/webhook"]
    value["trigger"][1]["webhook"]["name"] = "second"
    assert flaws(value) == {}


def test_what_a_record_keeps_of_it() -> None:
    answer = {"wait_seconds": 2, "body": "done"}
    (placed,) = placed_hooks(
        parse_document(document({"signature": HMAC, "id_path": "id", "answer": answer})), CATALOGUE
    )
    plan = placed.plan("acme", "w")
    assert plan == HookPlan(
        id=plan.id,
        vendor="generic",
        settings={"signature": HMAC},
        id_path="id",
        answer=HookAnswer(wait_seconds=2, status=200, body="done"),
    )
    (standard,) = placed_hooks(parse_document(document({})), CATALOGUE)
    assert (standard.plan("acme", "w").vendor, standard.plan("acme", "w").settings) == ("standardwebhooks", {})


def test_the_url_stays_while_the_answer_changes_and_changes_with_what_proves_a_delivery() -> None:
    def hook(**settings: Any) -> str:
        return id_of("acme", "w", parse_webhook(settings))

    assert hook() == hook(signature="standard") == hook(answer={"wait_seconds": 3}) == hook(id_path="id")
    assert len({hook(), hook(path_token=True), hook(signature=HMAC), hook(signature="none"), hook(name="b")}) == 5


def test_its_deliveries_start_its_own_workflow_alone() -> None:
    tenant = tenant_with()
    rules = TenantRules(CATALOGUE)
    documents = [
        document({}, "first"),
        document({}, "second"),
        {**document({}, "everything"), "trigger": {"event": "*"}},
        {**document({}, "all hooks"), "trigger": {"event": HOOK_EVENT}},
    ]
    first, second, _, named = (save(tenant, each, CATALOGUE) for each in documents)
    for workflow in tenant.workflows.values():
        rules.put(workflow)
    hook_id = id_of("acme", first.id, parse_webhook({}))

    def started(**changes: Any) -> set[str]:
        fields = {"source": hook_source(hook_id), "type": HOOK_EVENT, "subject": first.id, **changes}
        event = Event(id="e", tenant_id="acme", data=b'{"raw": {}, "headers": {}, "query": {}}', **fields)
        matched = decide(tenant, rules, event, START, Windows(), BUDGET, lambda: 0.0).matched
        return {match.workflow_id for match in matched.matches} if matched is not None else set()

    assert started() == {first.id, named.id}
    assert started(subject=second.id) == {named.id}
    assert started(source="/shop") == {named.id}
    assert started(type="order.created") == {tenant.workflow_named("everything").id}  # type: ignore[union-attr]  saved


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8)
SETTINGS = st.one_of(
    st.just({}),
    st.just({"path_token": True}),
    st.builds(lambda header: {"signature": {"header": header}}, st.sampled_from(["X-A", "X-B", "A"])),
    st.builds(lambda name: {"name": name}, st.text("ab-", max_size=3)),
)
PLACES = st.tuples(NAMES, NAMES, SETTINGS)


@given(PLACES, PLACES)
def test_no_two_workflows_share_a_url(one: tuple[str, str, Any], other: tuple[str, str, Any]) -> None:
    ids = [id_of(tenant, workflow, parse_webhook(settings)) for tenant, workflow, settings in (one, other)]
    same = one[:2] == other[:2] and parse_webhook(one[2]).identity == parse_webhook(other[2]).identity
    assert (ids[0] == ids[1]) == same
