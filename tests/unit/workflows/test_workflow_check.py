"""What saving a workflow refuses, and where it says the flaw is."""

from itertools import pairwise
from typing import Any

import jsonschema_rs
import orjson
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from services.executor.actions import discover_actions
from services.matcher.triggers import discover_triggers
from shared.domain.catalogue import all_types
from shared.domain.definitions import Revision, Tenant, Workflow
from shared.domain.envelope import Event
from shared.domain.errors import InvalidInput
from shared.domain.plans import Quotas
from shared.domain.windows import Windows
from shared.domain.workflow import MonthlyQuota, SharedLimit, StepPlan
from shared.testing.folds import START
from shared.workflows.catalogue import Catalogue
from shared.workflows.check import CheckedWorkflow, check_document, upstream_steps
from shared.workflows.compiled import compile_start, compile_steps
from shared.workflows.decide import Budget, decide
from shared.workflows.document import MEMBERS_MAX, WorkflowDocument, parse_document, pointer_to
from shared.workflows.rules import TenantRules

CATALOGUE = Catalogue(
    actions=discover_actions(),
    triggers=discover_triggers(),
    event_schemas={each.name: each.schema for each in all_types()},
)

SAMPLE = """
name: Refund alert
description: Tell finance about large refunds
tags: [finance]
timezone: Europe/Paris
priority: 50
stop_on_match: false
trigger:
  event: order.refunded
  pattern: {data: {amount_minor: [{numeric: [">", 10000]}]}}
if: "event.data.currency == 'EUR'"
approval: {when: auto, roles: [approve], quorum: 1, expires_in_seconds: 86400, on_expiry: deny, self_approval: false}
limits:
  max_runs_per_day: 100
  cooldown: {seconds: 300, key: "{{ event.subject }}"}
  max_concurrent: 10
  max_queued: 1000
  max_depth: 3
  shared:
    - tag: finance
      max_runs_per_day: 500
      max_concurrent: 5
      cooldown: {seconds: 60, key: "{{ event.data.customer_id }}"}
steps:
  - id: look_up
    uses: http.request
    with: {method: GET, url: "https://crm.example/customers/{{ event.data.customer_id | default: 'none' }}"}
  - id: tell_finance
    uses: notify.webhook
    with: {endpoint: finance, body: {text: "Refund of {{ event.data.amount_minor }}"}}
    needs: [look_up]
    if: "steps.look_up.output.status == 200"
    retry: {max_attempts: 5, backoff: exponential, initial_seconds: 5}
    timeout_seconds: 30
    guards: {required_secrets: [], allowed_providers: []}
    on_error: fail
    on_unknown: ask
"""


def step(step_id: str = "a", **given: object) -> dict[str, object]:
    return {"id": step_id, "uses": "notify.webhook", "with": {"endpoint": "finance"}, **given}


def document(**given: object) -> dict[str, object]:
    return {"name": "n", "trigger": {"event": "order.refunded"}, "steps": [step()], **given}


def checked(value: object) -> CheckedWorkflow:
    return check_document(parse_document(value), CATALOGUE, endpoints={"finance": "finance"})


def flaws(value: object) -> dict[str, str]:
    with pytest.raises(InvalidInput) as refused:
        checked(value)
    found = {flaw.pointer: flaw.detail for flaw in refused.value.flaws}
    assert len(found) == len(refused.value.flaws), "one place, one flaw"
    return found


# ---------------------------------------------------------------- what passes


def test_the_sample_passes_and_says_what_its_steps_are() -> None:
    found = checked(yaml.safe_load(SAMPLE))
    assert found.high_risk
    assert found.steps == (
        StepPlan(id="look_up", uses="http.request", effect="pure"),
        StepPlan(id="tell_finance", uses="notify.webhook", needs=("look_up",), effect="keyed", endpoints=("finance",)),
    )


@pytest.mark.parametrize("value", [yaml.safe_load(SAMPLE), document()])
def test_what_is_kept_reads_as_what_was_written(value: dict[str, object]) -> None:
    once = checked(value)
    kept = orjson.loads(orjson.dumps(once.document))
    assert parse_document(kept) == parse_document(value)
    assert checked(kept) == once


def test_what_passes_compiles() -> None:
    found = checked(yaml.safe_load(SAMPLE))
    revision = Revision(
        number=1, document=found.document, steps=found.steps, high_risk=found.high_risk, author="ann", saved_at=START
    )
    workflow = Workflow(id="w", tenant_id="acme", name="Refund alert", enabled=True, revisions=(revision,))
    start = compile_start(workflow, revision, CATALOGUE)
    assert (len(start.patterns), start.manual, start.priority) == (1, False, 50)
    assert start.approval is not None
    assert start.cooldown_key is not None
    assert (start.limits.zone, start.limits.cooldown_seconds, start.limits.max_concurrent) == ("Europe/Paris", 300, 10)
    assert list(compile_steps(revision)) == ["look_up", "tell_finance"]
    (shared,) = start.shared
    assert shared.limit == SharedLimit(tag="finance", max_runs_per_day=500, max_concurrent=5, cooldown_seconds=60)
    assert start.renders_keys


def test_a_match_holds_the_shared_limits_with_their_keys_and_the_plans_month() -> None:
    found = checked(
        document(
            tags=["finance", "support"],
            limits={
                "shared": [
                    {"tag": "finance", "cooldown": {"seconds": 60, "key": "{{ event.subject }}"}},
                    {"tag": "support", "max_concurrent": 1, "cooldown": {"seconds": 5, "key": "{{ event.data.none }}"}},
                ]
            },
        )
    )
    revision = Revision(
        number=1, document=found.document, steps=found.steps, high_risk=False, author="ann", saved_at=START
    )
    workflow = Workflow(id="w", tenant_id="acme", name="n", enabled=True, revisions=(revision,))
    rules = TenantRules(CATALOGUE)
    rules.put(workflow)
    tenant = Tenant(id="acme", name="acme", plan="free", created_at=START, quotas=Quotas(runs_per_month=1_000))
    event = Event(id="e", source="/s", type="order.refunded", tenant_id="acme", data=b"{}", subject="order-7")
    budget = Budget(conditions=9, seconds=9, matches=9, windows=9)
    decided = decide(tenant, rules, event, START, Windows(), budget, lambda: 0.0).matched
    assert decided is not None
    (match,) = decided.matches
    finance, support = match.shared
    assert finance == SharedLimit(tag="finance", cooldown_seconds=60, cooldown_key="order-7")
    assert (support.max_concurrent, support.cooldown_key) == (1, None)
    assert "none" in str(support.cooldown_problem)
    assert match.quota == MonthlyQuota(plan="free", runs=1_000)


@pytest.mark.parametrize(
    ("shared", "pointer", "said"),
    [
        ([{"tag": "finance"}], "#/limits/shared/0/tag", "does not carry the tag 'finance'"),
        ([{"tag": "ops"}, {"tag": "ops"}], "#/limits/shared/1/tag", "named twice"),
        ([{"tag": "ops", "max_concurrent": 0}], "#/limits/shared/0/max_concurrent", "greater than or equal to 1"),
        ([{"tag": "ops", "max_queued": 1}], "#/limits/shared/0/max_queued", "no such field"),
        (
            [{"tag": "ops", "cooldown": {"seconds": 1, "key": "{{ nobody.x }}"}}],
            "#/limits/shared/0/cooldown/key",
            "nobody",
        ),
        ([{"tag": f"t{n}"} for n in range(11)], "#/limits/shared", "at most 10"),
    ],
)
def test_a_shared_limit_that_cannot_hold_is_refused(shared: object, pointer: str, said: str) -> None:
    found = flaws(document(tags=["ops"], limits={"shared": shared}))
    assert said in found[pointer]


def test_needs_default_to_the_step_above() -> None:
    found = checked(document(steps=[step("a"), step("b"), step("c", needs=[]), step("d", needs=["a", "c"])]))
    assert [each.needs for each in found.steps] == [(), ("a",), (), ("a", "c")]


def test_any_of_several_triggers() -> None:
    checked(document(trigger=[{"event": ["order.refunded", "order.created"]}, {"manual": {}}, {"event": "github.*"}]))


def test_the_published_schema_says_the_same() -> None:
    schema = WorkflowDocument.model_json_schema(by_alias=True)
    validator = jsonschema_rs.Draft202012Validator(schema)
    assert validator.is_valid(yaml.safe_load(SAMPLE))
    assert validator.is_valid(document(trigger=[{"manual": {}}]))
    assert not validator.is_valid(document(trigger=[]))
    assert not validator.is_valid(document(nmae="x"))
    assert {"if", "with"} <= set(schema["$defs"]["Step"]["properties"])


# ---------------------------------------------------------------- shape


@pytest.mark.parametrize("value", [None, 3, "name: x", [], [document()]])
def test_what_is_no_object_is_no_workflow(value: object) -> None:
    assert list(flaws(value)) == ["#"]


def without(name: str) -> dict[str, object]:
    return {key: value for key, value in document().items() if key != name}


@pytest.mark.parametrize(
    ("value", "pointers"),
    [
        ({}, {"#/name", "#/trigger", "#/steps"}),
        (without("name"), {"#/name"}),
        (document(name=""), {"#/name"}),
        (document(nmae="x"), {"#/nmae"}),
        (document(**{"a/b~c": 1}), {"#/a~1b~0c"}),
        (document(priority=-1), {"#/priority"}),
        (document(trigger="order.refunded"), {"#/trigger"}),
        (document(trigger={}), {"#/trigger"}),
        (document(trigger=[]), {"#/trigger"}),
        (document(trigger=[{"event": "x.y"}, "x"]), {"#/trigger/1"}),
        (document(trigger=[{"event": "x.y"}, {}]), {"#/trigger/1"}),
        (document(steps=[]), {"#/steps"}),
        (document(steps="a"), {"#/steps"}),
        (document(steps=[step(), 3]), {"#/steps/1"}),
        (document(steps=[step("Big")]), {"#/steps/0/id"}),
        (document(steps=[step(), step("9")]), {"#/steps/1/id"}),
        (document(steps=[step(**{"with": "x"})]), {"#/steps/0/with"}),
        (document(steps=[step(needs="a")]), {"#/steps/0/needs"}),
        (document(steps=[step(on_error="ignore")]), {"#/steps/0/on_error"}),
        (document(steps=[step(dict=1)]), {"#/steps/0/dict"}),
        (document(steps=[step(with_={})]), {"#/steps/0/with_"}),
        (document(steps=[step(**{"a[0]": 1})]), {"#/steps/0/a[0]"}),
        (document(steps=[step(retry={"max_attempts": 0})]), {"#/steps/0/retry/max_attempts"}),
        (document(steps=[step(timeout_seconds=0)]), {"#/steps/0/timeout_seconds"}),
        (document(steps=[step(guards={"required_secrets": ["k"]})]), {"#/steps/0/guards/required_secrets"}),
        (document(limits={"cooldown": {}}), {"#/limits/cooldown/seconds"}),
        (
            document(limits={"max_depth": 11, "max_runs_per_day": 0}),
            {"#/limits/max_depth", "#/limits/max_runs_per_day"},
        ),
        (document(approval={"on_expiry": "approve"}), {"#/approval/on_expiry"}),
        (document(approval={"when": "sometimes", "roles": []}), {"#/approval/when", "#/approval/roles"}),
    ],
)
def test_each_flaw_of_the_shape_has_its_place(value: object, pointers: set[str]) -> None:
    found = flaws(value)
    assert set(found) == pointers
    # In the user's words: nobody writes tuples and dictionaries in YAML.
    assert not any(word in detail for detail in found.values() for word in ("Tuple", "tuple", "Dictionary", "Input"))


# ---------------------------------------------------------------- names and expressions


@pytest.mark.parametrize(
    ("value", "pointer", "says"),
    [
        (document(timezone="Mars/Base"), "#/timezone", "no IANA time zone"),
        (document(timezone="../../etc/passwd"), "#/timezone", "no IANA time zone"),
        (document(trigger={"webhok": {}}), "#/trigger/webhok", "no trigger 'webhok'"),
        (document(trigger=[{"manual": {}}, {"evnt": "x"}]), "#/trigger/1/evnt", "did you mean 'event'?"),
        (document(trigger={"event": "no type"}), "#/trigger/event", "no event type"),
        (document(trigger=[{"event": ["a.b", "no type"]}]), "#/trigger/0/event/1", "no event type"),
        (document(trigger={"event": "a.b", "manual": {}}), "#/trigger/manual", "stands alone"),
        (document(trigger={"event": "a.b", "pattern": {"type": ["c.d"]}}), "#/trigger/pattern", "named twice"),
        (
            document(trigger={"pattern": {"data": {"n": [{"numric": [">", 1]}]}}}),
            "#/trigger/pattern/data/n/0",
            "'numric' is no operator",
        ),
        (document(trigger={"pattern": {"data": {"n": 1}}}), "#/trigger/pattern/data/n", ""),
        (document(**{"if": "event.data.curency == 'EUR'"}), "#/if", "did you mean currency?"),
        (document(**{"if": "nobody.x == 1"}), "#/if", "unknown root nobody"),
        (document(**{"if": "steps.a.output == 1"}), "#/if", "unknown root steps"),
        (document(**{"if": "1 +"}), "#/if", "syntax"),
        (document(**{"if": "inputs.n > 5"}), "#/if", "inputs are empty here"),
        (document(trigger={"manual": {}}, **{"if": "true || size(inputs) == 1"}), "#/if", "inputs are empty here"),
        (document(limits={"cooldown": {"seconds": 1, "key": "{{ evnt.id }}"}}), "#/limits/cooldown/key", "evnt"),
        (document(steps=[step(uses="notify.webhok")]), "#/steps/0/uses", "did you mean 'notify.webhook'?"),
        (document(steps=[step(needs=["b"])]), "#/steps/0/needs/0", "there is no step 'b'"),
        (document(steps=[step(), step()]), "#/steps/1/id", "names two steps"),
        (document(steps=[step(**{"with": {}})]), "#/steps/0/with/endpoint", "needed"),
        (
            document(steps=[step(**{"with": {"endpoint": "finance", "bdy": 1}})]),
            "#/steps/0/with/bdy",
            "no such setting",
        ),
        (
            document(steps=[step(**{"with": {"endpoint": "financ"}})]),
            "#/steps/0/with/endpoint",
            "did you mean 'finance'?",
        ),
        (document(steps=[step(**{"if": "event.data.nothing"})]), "#/steps/0/if", "not in the schema"),
        (document(steps=[step("a"), step("b", **{"if": "steps.c.output"})]), "#/steps/1/if", "no step upstream"),
    ],
)
def test_each_unknown_name_and_unsound_expression_has_its_place(value: object, pointer: str, says: str) -> None:
    found = flaws(value)
    assert list(found) == [pointer]
    assert says in found[pointer]


@pytest.mark.parametrize(
    ("trigger", "told"),
    [
        ({"event": "order.refunded"}, True),
        ([{"event": "order.refunded"}, {"manual": {}}], True),
        ([{"manual": {}}, {"pattern": {"type": ["order.refunded", "order.created"]}}], True),
        ({"pattern": {"type": ["order.refunded"], "data": {"nope": [1]}}}, True),
        ({"count": {"pattern": {"type": ["order.refunded"]}, "times": 2, "within_seconds": 60}}, True),
        ({"pattern": {"type": [{"prefix": "order."}]}}, False),
        ({"pattern": {"type": ["order.refunded", {"prefix": "x"}]}}, False),
        ({"pattern": {"type": ["order.refunded", "nobodys.type"]}}, False),
        ({"pattern": {"data": {"nope": [1]}}}, False),
        ([{"event": "order.refunded"}, {"event": "order.*"}], False),
        ({"manual": {}}, False),
    ],
)
def test_a_path_that_no_event_can_have_is_told_where_each_trigger_names_its_types(trigger: object, told: bool) -> None:
    wrong = document(trigger=trigger, steps=[step(**{"if": "event.data.nope == 1"})], **{"if": "event.data.nope == 1"})
    if told:
        assert list(flaws(wrong)) == ["#/if", "#/steps/0/if"]
    else:
        checked(wrong)
    checked(document(trigger=trigger, **{"if": "event.data.raw.nope == 1"}))


def test_inputs_are_for_steps_and_keys_and_what_stands_already_still_compiles() -> None:
    asks = step(**{"if": "inputs.n > 5"})
    cooldown = {"cooldown": {"seconds": 1, "key": "{{ inputs.n }}"}}
    found = checked(document(trigger={"manual": {}}, limits=cooldown, steps=[asks]))
    before = {**found.document, "if": "inputs.n > 5"}
    revision = Revision(number=1, document=before, steps=found.steps, high_risk=False, author="ann", saved_at=START)
    workflow = Workflow(id="w", tenant_id="acme", name="Refund alert", enabled=True, revisions=(revision,))
    assert compile_start(workflow, revision, CATALOGUE).condition is not None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{{ nothing.x }}", "unknown root nothing"),
        ("{{ steps.b.output }}", "steps.b is no step upstream"),
        ("{{ steps.a.output }}", "steps.a is no step upstream"),
        ("{{ event.id | nofilter }}", "unknown filter nofilter"),
        ("{{ event.id", "never closed"),
        ("{% include 'x' %}", "include"),
        ("{% for i in (1..2000000) %}x{% endfor %}", "a range has at most 1000 numbers"),
    ],
)
def test_a_templates_flaw_is_told_at_its_leaf(text: str, says: str) -> None:
    body = {"lines": ["fine", {"a/b": text}]}
    found = flaws(document(steps=[step("a", **{"with": {"endpoint": "finance", "body": body}}), step("b")]))
    assert list(found) == ["#/steps/0/with/body/lines/1/a~1b"]
    assert says in found["#/steps/0/with/body/lines/1/a~1b"]


def test_all_flaws_are_told_at_once() -> None:
    wrong = document(
        timezone="Mars/Base",
        **{"if": "1 +"},
        steps=[step(uses="nothing"), step("b", needs=["c"]), step("d", **{"if": "x.y"})],
    )
    assert set(flaws(wrong)) == {"#/timezone", "#/if", "#/steps/0/uses", "#/steps/1/needs/0", "#/steps/2/if"}


def test_endpoints_go_unchecked_where_nobody_says_which_there_are() -> None:
    check_document(parse_document(document(steps=[step(**{"with": {"endpoint": "any"}})])), CATALOGUE)


# ---------------------------------------------------------------- the graph


@pytest.mark.parametrize(
    ("needs", "pointer", "cycle"),
    [
        ({"a": ["a"]}, "#/steps/0/needs", "a -> a"),
        ({"a": ["b"], "b": ["a"]}, "#/steps/0/needs", "a -> b -> a"),
        ({"a": [], "b": ["c"], "c": ["d"], "d": ["b", "a"]}, "#/steps/1/needs", "b -> c -> d -> b"),
        ({"a": ["b"], "b": ["c"], "c": ["b"]}, "#/steps/1/needs", "b -> c -> b"),
    ],
)
def test_a_cycle_is_named(needs: dict[str, list[str]], pointer: str, cycle: str) -> None:
    found = flaws(document(steps=[step(name, needs=wanted) for name, wanted in needs.items()]))
    assert list(found) == [pointer]
    assert f"wait for each other: {cycle};" in found[pointer]


IDS = [f"s{number}" for number in range(8)]
NEEDS = st.lists(st.lists(st.sampled_from(IDS), max_size=3, unique=True), min_size=8, max_size=8)


@given(NEEDS)
def test_upstream_is_what_can_be_reached_and_cycles_are_refused(needs: list[list[str]]) -> None:
    value: dict[str, Any] = document(steps=[step(name, needs=wanted) for name, wanted in zip(IDS, needs, strict=True)])
    wanted_by = dict(zip(IDS, needs, strict=True))

    def reached(name: str, seen: frozenset[str] = frozenset()) -> frozenset[str]:
        for each in wanted_by[name]:
            if each not in seen:
                seen = reached(each, seen | {each})
        return seen

    sound = {name: reached(name) for name in IDS}
    found = upstream_steps(parse_document(value))
    for name, upstream in found.items():
        assert upstream == sound[name]
        assert name not in upstream
    if len(found) == len(IDS):
        assert [each.id for each in checked(value).steps] == IDS
    else:
        (detail,) = flaws(value).values()
        path = detail.removeprefix("these steps wait for each other: ").split(";")[0].split(" -> ")
        assert path[0] == path[-1]
        assert all(after in wanted_by[before] for before, after in pairwise(path))


def test_pointers_are_rfc_6901() -> None:
    assert pointer_to("steps", 0, "with", "a/b~c") == "#/steps/0/with/a~1b~0c"
    assert pointer_to() == "#"


def test_an_endpoint_that_is_not_there_is_told_beside_a_bounded_list_of_names_without_ids() -> None:
    document = parse_document(
        {
            "name": "Tell",
            "trigger": {"event": "a.b"},
            "steps": [{"id": "tell", "uses": "notify.webhook", "with": {"endpoint": "zzz"}}],
        }
    )
    endpoints = {key: f"name-{n:03}" for n in range(300) for key in (f"name-{n:03}", f"0000-id-{n}")}
    with pytest.raises(InvalidInput) as caught:
        check_document(document, CATALOGUE, endpoints=endpoints)
    (flaw,) = caught.value.flaws
    assert flaw.detail.startswith("there is no endpoint 'zzz'; known are: name-000, name-001, ")
    assert flaw.detail.endswith("name-019 and 280 more")


@pytest.mark.parametrize("lateness", [0, None])
@pytest.mark.parametrize("kind", ["count", "absence"])
def test_a_lateness_that_leaves_every_event_out_or_says_nothing_is_refused(kind: str, lateness: int | None) -> None:
    count = {"event": "a.b", "times": 2, "within_seconds": 60, "lateness_seconds": lateness}
    absence = {"after": {"event": "a.b"}, "of": {"event": "a.c"}, "within_seconds": 60, "lateness_seconds": lateness}
    found = flaws(document(trigger={kind: count if kind == "count" else absence}))
    assert found == {f"#/trigger/{kind}/lateness_seconds": "write a whole number from 1 to 86400"}


@pytest.mark.parametrize(
    ("schedule", "pointer"),
    [
        ({"cron": "0 0 30 2 *"}, "#/trigger/schedule/cron"),
        ({"cron": "0 0 31 4,6,9,11 *"}, "#/trigger/schedule/cron"),
        (
            {
                "daily": {"at": "08:30"},
                "starting_at": "2030-01-01T09:00:00Z",
                "until": "2030-01-02T08:00:00Z",
            },
            "#/trigger/schedule/daily",
        ),
    ],
)
def test_a_schedule_that_never_comes_is_refused(schedule, pointer):
    document = {
        "name": "x",
        "trigger": {"schedule": schedule},
        "steps": [{"id": "a", "uses": "wait", "with": {"seconds": 1}}],
    }
    with pytest.raises(InvalidInput) as refused:
        check_document(parse_document(document), CATALOGUE)
    assert [(flaw.pointer, "it never comes" in flaw.detail) for flaw in refused.value.flaws] == [(pointer, True)]
    check_document(parse_document({**document, "trigger": {"schedule": {"cron": "0 0 29 2 *"}}}), CATALOGUE)


def test_what_compiles_too_long_is_refused_before_it_is_compiled() -> None:
    steps = [
        {"id": f"s{n}", "uses": "wait", "if": f"{n} == {n}" + " || true" * 400, "with": {"seconds": 0}}
        for n in range(20)
    ]
    with pytest.raises(InvalidInput, match="its conditions have"):
        check_document(parse_document({"name": "large", "trigger": {"event": "shop.sold"}, "steps": steps}), CATALOGUE)
    large = {str(n): f"{n}" + "{{ event.id }}" * 1000 for n in range(10)}
    emit = {"id": "s", "uses": "event.emit", "with": {"type": "shop.made", "data": large}}
    with pytest.raises(InvalidInput, match="its templates have"):
        check_document(parse_document({"name": "large", "trigger": {"event": "shop.sold"}, "steps": [emit]}), CATALOGUE)
    constants = {**emit, "with": {"type": "shop.made", "data": {"text": "x" * 200_000}}}
    check_document(
        parse_document({"name": "large", "trigger": {"event": "shop.sold"}, "steps": [constants]}), CATALOGUE
    )


def test_the_alternatives_of_all_triggers_together_are_bounded() -> None:
    def with_triggers(*triggers: object) -> WorkflowDocument:
        steps = [{"id": "s", "uses": "wait", "with": {"seconds": 0}}]
        return parse_document({"name": "many", "trigger": list(triggers), "steps": steps})

    pattern = {"data": {"$or": [{"a": [number]} for number in range(900)]}}
    three = {"absence": {"after": {"pattern": pattern}, "of": {"pattern": pattern}, "within_seconds": 60}}
    check_document(with_triggers({"pattern": pattern}, {"event": "t", "pattern": pattern}), CATALOGUE)
    for triggers in ([{"pattern": pattern}] * 3, [three, {"pattern": pattern}]):
        with pytest.raises(InvalidInput, match="more than 2000 alternatives"):
            check_document(with_triggers(*triggers), CATALOGUE)


@pytest.mark.parametrize(
    "written",
    [
        {"steps": [1] * MEMBERS_MAX},
        {"tags": [1] * MEMBERS_MAX},
        {"trigger": {"any": [{}] * MEMBERS_MAX}},
        {"steps": [{"needs": [1] * 1000}] * 20},
        {f"member{number}": 1 for number in range(MEMBERS_MAX)},
    ],
)
def test_of_a_document_beyond_all_bounds_no_flaw_is_told_but_that(written: dict[str, object]) -> None:
    with pytest.raises(InvalidInput) as raised:
        parse_document({**yaml.safe_load(SAMPLE), **written})
    assert [flaw.pointer for flaw in raised.value.flaws] == ["#"]
    assert f"more than {MEMBERS_MAX} members" in raised.value.flaws[0].detail


def test_what_patterns_and_steps_hold_does_not_count_as_members_of_a_document() -> None:
    document = yaml.safe_load(SAMPLE)
    document["trigger"] = {"event": "a.b", "pattern": {"data": {"n": list(range(MEMBERS_MAX))}}}
    document["steps"][0]["with"]["body"] = {"n": list(range(MEMBERS_MAX))}
    assert parse_document(document).name == document["name"]
