"""Why and why not, clause by clause: in the document's words, with every reason, and never another verdict than `decide`."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.executor.actions import discover_actions
from services.matcher.triggers import discover_triggers
from shared.domain.definitions import Revision, Tenant, Workflow
from shared.domain.envelope import Event
from shared.domain.errors import InvalidInput
from shared.domain.hooks import HOOK_EVENT, hook_source
from shared.domain.windows import Windows
from shared.workflows.catalogue import Catalogue
from shared.workflows.check import check_document
from shared.workflows.compiled import compile_start
from shared.workflows.decide import Budget, decide
from shared.workflows.document import parse_document
from shared.workflows.explaining import (
    Clause,
    Conjunct,
    Outcome,
    Verdict,
    explain_start,
    see_event,
    sentence,
    windows_known,
)
from shared.workflows.hiding import HIDDEN, Hiding
from shared.workflows.hooks import id_of
from shared.workflows.rules import TenantRules
from shared.workflows.triggers import FIRING_SOURCE
from shared.workflows.webhook import parse_webhook

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
CATALOGUE = Catalogue(actions=discover_actions(), triggers=discover_triggers(), event_schemas={})
UNBOUNDED = Budget(conditions=10_000, seconds=1e9, matches=10_000, windows=1)
STEP = {"id": "note", "uses": "wait", "with": {"seconds": 1}}


def workflow_of(trigger: Any, condition: str | None = None, **more: Any) -> Workflow:
    document = {"name": "Refund alert", "trigger": trigger, "steps": [STEP], **more}
    if condition is not None:
        document["if"] = condition
    checked = check_document(parse_document(document), CATALOGUE)
    kept = orjson.loads(orjson.dumps(checked.document))
    revision = Revision(number=1, document=kept, steps=checked.steps, high_risk=False, author="ann", saved_at=NOW)
    return Workflow(id="w", tenant_id="acme", name="Refund alert", enabled=True, revisions=(revision,))


def event_of(data: Any, event_type: str = "order.refunded") -> Event:
    raw = data if isinstance(data, bytes) else orjson.dumps(data)
    return Event(id="e", source="/shop", type=event_type, tenant_id="acme", data=raw, time=NOW)


def explained(workflow: Workflow, event: Event, hiding: Hiding | None = None) -> Verdict:
    start = compile_start(workflow, workflow.newest, CATALOGUE)
    return explain_start(start, CATALOGUE, see_event(event, NOW), hiding or Hiding())


def decided(workflow: Workflow, event: Event) -> bool:
    rules = TenantRules(CATALOGUE)
    rules.put(workflow)
    tenant = Tenant(id="acme", name="acme", plan="standard", created_at=NOW)
    return decide(tenant, rules, event, NOW, Windows(), UNBOUNDED, lambda: 0.0).matched is not None


def said(verdict: Verdict) -> str:
    return sentence("Refund alert", 1, verdict, Outcome(kind="not_matched"), today=None)


def failed_clause(trigger: Any, data: Any, **more: Any) -> Clause:
    first = explained(workflow_of(trigger), event_of(data, **more)).first_failed
    assert isinstance(first, Clause)
    return first


# ---------------------------------------------------------------- clauses


def test_the_first_clause_that_failed_is_named_with_its_place_in_the_document() -> None:
    trigger = {"event": "order.refunded", "pattern": {"data": {"amount_minor": [{"numeric": [">", 10000]}]}}}
    verdict = explained(workflow_of(trigger), event_of({"amount_minor": 900}))

    assert [(each.pointer, each.holds) for each in verdict.triggers[0].clauses] == [
        ("#/trigger/event", True),
        ("#/trigger/pattern/data/amount_minor/0", False),
    ]
    failed = verdict.first_failed
    assert isinstance(failed, Clause)
    assert (failed.path, failed.expected, failed.actual) == ("data.amount_minor", {"numeric": [">", 10000]}, (900,))
    assert failed.reasons == ("it is not > 10000",)
    assert (verdict.held, verdict.total) == (1, 2)
    assert said(verdict) == "Refund alert: no, data.amount_minor is 900, expected a number > 10000"


def test_a_clause_that_fails_for_two_reasons_tells_both() -> None:
    pattern = {"data": {"amount_minor": [{"numeric": [">", 10000]}]}}

    assert failed_clause({"pattern": pattern}, {"amount_minor": "900"}).reasons == (
        "it is text, not a number",
        "read as a number it is not > 10000 either",
    )
    assert failed_clause({"pattern": pattern}, {"amount_minor": "20000"}).reasons == ("it is text, not a number",)


def test_clauses_come_in_the_documents_order_and_not_in_that_of_evaluation() -> None:
    pattern = {"type": ["x.y"], "data": {"z": [1], "a": [2]}}
    verdict = explained(workflow_of({"pattern": pattern}), event_of({"a": 0, "z": 0}))

    assert [each.path for each in verdict.triggers[0].clauses] == ["type", "data.z", "data.a"]
    assert isinstance(verdict.first_failed, Clause)
    assert verdict.first_failed.path == "type"


@pytest.mark.parametrize(
    ("entries", "data", "actual", "reasons"),
    [
        ([{"exists": False}], {"x": None}, "is null", ("it is there, and absence is asked for",)),
        ([{"exists": True}], {}, "is absent", ("it is absent",)),
        ([{"exists": True}], {"x": []}, "is an empty list", ("it is an empty list",)),
        (
            [{"exists": True}],
            {"x": {"y": 1}},
            "is an object, and a pattern compares plain values only",
            ("it is an object, and a pattern compares plain values only",),
        ),
        ([{"anything-but": ["a", "b"]}], {"x": "b"}, 'is "b"', ("it is one of those that are excluded",)),
        ([{"anything-but": "a"}], {}, "is absent", ("it is absent",)),
        (["EUR"], {"x": "eur"}, 'is "eur"', ('it is not "EUR": it differs in case',)),
        (["1"], {"x": 1}, "is 1", ("it is a number, not text",)),
        ([1], {"x": "2"}, 'is "2"', ("it is text, not a number", "it does not read 1 either")),
        ([True], {"x": "true"}, 'is "true"', ('it is "true", not true',)),
        ([{"prefix": "a"}], {"x": "Ab"}, 'is "Ab"', ('it is not text beginning with "a": it differs in case',)),
        (
            [{"prefix": "a"}],
            {"x": 5},
            "is 5",
            ("it is a number, not text", 'read as text it does not begin with "a" either'),
        ),
        ([{"cidr": "10.0.0.0/8"}], {"x": "192.0.2.1"}, 'is "192.0.2.1"', ("it is no IP address in 10.0.0.0/8",)),
        ([{"cidr": "10.0.0.0/8"}], {"x": 10}, "is 10", ("it is a number, not the text of an IP address",)),
        (
            [{"numeric": [">=", 5, "<", 10]}],
            b'{"x": 12345678901234567890123}',
            "is 12345678901234567890123",
            ("it has more digits than can be compared exactly, and numeric never holds for such a number",),
        ),
        (
            ["a", "b"],
            {"x": ["c", 1]},
            'is "c", 1',
            (
                '"c": it is not "a"',
                '"c": it is not "b"',
                "1: it is a number, not text",
                '1: it does not read "a" either',
                '1: it does not read "b" either',
            ),
        ),
    ],
)
def test_each_operator_says_why_not(entries: list[Any], data: Any, actual: str, reasons: tuple[str, ...]) -> None:
    clause = failed_clause({"pattern": {"data": {"x": entries}}}, data)

    assert (clause.actual_in_words, clause.reasons) == (actual, reasons)
    assert clause.expected == (entries[0] if len(entries) == 1 else entries)


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([{"numeric": [">=", 5, "<", 10]}], "a number >= 5 and < 10"),
        ([{"numeric": ["=", 5]}], "the number 5"),
        (["EUR", "USD"], 'one of "EUR", "USD"'),
        ([{"exists": False}, "x"], '"x" or no value'),
        ([{"anything-but": {"prefix": ["a", "b"]}}], 'anything but text beginning with "a" or "b"'),
        ([{"suffix": {"equals-ignore-case": ".PNG"}}], 'text ending with ".PNG" in any case'),
        ([{"wildcard": "a*"}], 'text like "a*"'),
    ],
)
def test_what_is_expected_is_said_in_words(entries: list[Any], words: str) -> None:
    verdict = explained(workflow_of({"pattern": {"data": {"x": entries}}}), event_of({}))
    assert verdict.triggers[0].clauses[0].expected_in_words == words


def test_of_or_the_branch_that_came_nearest_counts_and_all_are_shown() -> None:
    pattern = {"$or": [{"data": {"a": [1], "b": [1]}}, {"data": {"c": [1], "d": [1]}}], "source": ["/shop"]}
    verdict = explained(workflow_of({"pattern": pattern}), event_of({"a": 2, "b": 2, "c": 1, "d": 2}))

    trigger = verdict.triggers[0]
    assert [(each.path, each.holds, each.counted) for each in trigger.clauses] == [
        ("data.a", False, False),
        ("data.b", False, False),
        ("data.c", True, True),
        ("data.d", False, True),
        ("source", True, True),
    ]
    assert (trigger.held, trigger.total) == (2, 3)
    assert isinstance(verdict.first_failed, Clause)
    assert verdict.first_failed.pointer == "#/trigger/pattern/$or/1/data/d/0"


def test_fields_held_by_different_elements_of_an_array_say_so() -> None:
    pattern = {"data": {"items": {"sku": ["A"], "qty": [2]}}}
    data = {"items": [{"sku": "A", "qty": 1}, {"sku": "B", "qty": 2}]}
    verdict = explained(workflow_of({"pattern": pattern}), event_of(data))

    assert not verdict.matches
    assert said(verdict).endswith("is held by different elements of data.items[] than the fields before it")


def test_of_several_triggers_the_nearest_speaks() -> None:
    triggers = [
        {"event": "order.created"},
        {"event": "order.refunded", "pattern": {"data": {"a": [1]}}},
        {"manual": {}},
    ]
    verdict = explained(workflow_of(triggers), event_of({"a": 2}))

    assert [each.kind for each in verdict.triggers] == ["event", "event+pattern", "manual"]
    assert isinstance(verdict.first_failed, Clause)
    assert verdict.first_failed.pointer == "#/trigger/1/pattern/data/a/0"
    assert explained(workflow_of(triggers), event_of({}, event_type="order.created")).matches


def test_what_only_people_start_says_so() -> None:
    verdict = explained(workflow_of({"manual": {}}), event_of({}))

    assert (verdict.matches, verdict.share, verdict.first_failed) == (False, 0.0, None)
    assert said(verdict) == "Refund alert: no, only a person or a service that asks for a run starts it"


def test_an_event_of_a_type_that_is_not_named() -> None:
    clause = failed_clause({"event": ["order.created", "github.*"]}, {})

    assert (clause.pointer, clause.expected) == ("#/trigger/event", ["order.created", "github.*"])
    assert clause.expected_in_words == '"order.created" or text beginning with "github."'


# ---------------------------------------------------------------- conditions


def first_false(condition: str, data: Any) -> tuple[Conjunct, Verdict]:
    verdict = explained(workflow_of({"event": "order.refunded"}, condition), event_of(data))
    assert isinstance(verdict.first_failed, Conjunct)
    return verdict.first_failed, verdict


def test_the_first_conjunct_that_is_false_is_named_with_the_values_of_its_paths() -> None:
    conjunct, verdict = first_false(
        "event.data.n > 1 && (event.data.currency == 'EUR' || event.data.vip) && event.data.n < 5",
        {"n": 9, "currency": "USD", "vip": False},
    )

    assert conjunct.text == "(event.data.currency == 'EUR' || event.data.vip)"
    assert [(each.path, each.value) for each in conjunct.values] == [
        ("event.data.currency", "USD"),
        ("event.data.vip", False),
    ]
    assert verdict.condition is not None
    assert [each.holds for each in verdict.condition.conjuncts] == [True, False, False]
    assert (verdict.held, verdict.total) == (2, 4)


def test_what_cannot_be_evaluated_says_why() -> None:
    missing, verdict = first_false("event.data.a == 1 && event.data.b.c == 2", {"a": 1})
    assert (missing.text, missing.error) == ("event.data.b.c == 2", "b is missing; has(…) tests for it")
    assert [each.present for each in missing.values] == [False]
    assert verdict.condition is not None
    assert verdict.condition.error is not None

    clash, _ = first_false("event.data.a > 1", {"a": "x"})
    assert clash.error is not None
    assert "does not take" in clash.error


def test_a_false_conjunct_absorbs_the_error_of_another_and_is_what_decided() -> None:
    conjunct, verdict = first_false("event.data.missing == 1 && event.data.a == 1", {"a": 2})

    assert (conjunct.text, conjunct.error) == ("event.data.a == 1", None)
    assert verdict.condition is not None
    assert [each.error is None for each in verdict.condition.conjuncts] == [False, True]


# ---------------------------------------------------------------- secrets

SECRETS = {"auth": {"api-key": "k-1234", "plain": "p"}, "card": {"number": "4242"}, "list": [{"Password": "hunter2"}]}


@pytest.mark.parametrize(
    ("trigger", "condition"),
    [
        ({"pattern": {"data": {"auth": {"api-key": ["k-9999"]}}}}, None),
        ({"pattern": {"data": {"auth": {"api-key": [{"anything-but": "k-1234"}]}}}}, None),
        ({"pattern": {"data": {"card": {"number": [{"prefix": "9"}]}}}}, None),
        ({"event": "order.refunded"}, "event.data.auth['api-key'] == 'k-9999'"),
        ({"event": "order.refunded"}, "event.data.list.exists(x, x.Password == 'k-9999')"),
        ({"event": "order.refunded"}, "int(event.data.auth['api-key']) > 9 && event.data.auth == {}"),
    ],
)
def test_secret_values_are_nowhere_in_an_explanation(trigger: Any, condition: str | None) -> None:
    verdict = explained(workflow_of(trigger, condition), event_of(SECRETS))

    assert not verdict.matches
    for secret in ("k-1234", "4242", "hunter2", "k-9999"):
        assert secret not in repr(verdict)
        assert secret not in said(verdict)
    assert HIDDEN in repr(verdict)


def test_an_object_is_shown_with_what_is_secret_in_it_hidden() -> None:
    conjunct, _ = first_false("size(event.data.auth) > 5", SECRETS)

    assert [each.value for each in conjunct.values] == [{"api-key": HIDDEN, "plain": "p"}]
    unhidden = explained(workflow_of({"event": "x.y"}, "size(event.data.auth) > 5"), event_of(SECRETS), Hiding([]))
    assert "k-1234" in repr(unhidden)


@pytest.mark.parametrize(
    ("path", "hidden"),
    [
        ("data.accessToken", True),
        ("data.X-Api-Key", True),
        ("data.card.number", True),
        ("data.CARD_NUMBER", True),
        ("data.secrets.value", True),
        ("data.amount_minor", False),
        ("data.discard.numbers", True),  # rather too much than too little
        ("data.keyboard", False),
    ],
)
def test_which_keys_name_secrets(path: str, hidden: bool) -> None:
    assert Hiding().names_secret(path) is hidden


def test_what_is_shown_is_bounded() -> None:
    shown = Hiding().shown("data", {"deep": _nested(40), "long": "x" * 1000, "many": list(range(1000))})
    assert len(orjson.dumps(shown)) < 2_000


def _nested(depth: int) -> Any:
    return {"x": _nested(depth - 1)} if depth else 1


# ---------------------------------------------------------------- one evaluator

COUNT = {"count": {"event": "order.refunded", "times": 3, "within_seconds": 60, "pattern": {"data": {"a": [1]}}}}
ABSENCE = {
    "absence": {"after": {"event": "order.refunded"}, "of": {"event": "order.closed"}, "within_seconds": 60},
}

SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from(["a", "b", "A", "", "1"]))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["a", "b", "password"]), inner, max_size=3)
    ),
    max_leaves=8,
)
ENTRIES = st.lists(
    st.one_of(
        SCALARS,
        st.sampled_from(
            [
                {"exists": True},
                {"exists": False},
                {"prefix": "a"},
                {"suffix": "b"},
                {"wildcard": "a*"},
                {"equals-ignore-case": "A"},
                {"anything-but": ["a"]},
                {"anything-but": 1},
                {"anything-but": {"prefix": "a"}},
                {"numeric": [">", 0]},
                {"numeric": [">=", -1, "<", 2]},
            ]
        ),
    ),
    min_size=1,
    max_size=3,
)
FIELDS = st.dictionaries(st.sampled_from(["a", "b", "password"]), ENTRIES, min_size=1, max_size=3)
DATA_PATTERNS = st.one_of(
    FIELDS,
    st.builds(lambda one, two: {"$or": [one, two]}, FIELDS, FIELDS),
    st.builds(lambda inner: {"a": inner}, FIELDS),
    st.builds(
        lambda inner, outer: {"b": inner, "$or": [{"a": outer["a"]}, {"c": [1]}]},
        FIELDS,
        st.fixed_dictionaries({"a": ENTRIES}),
    ),
)
TRIGGERS = st.one_of(
    st.builds(lambda pattern: {"pattern": {"data": pattern}}, DATA_PATTERNS),
    st.builds(lambda pattern: {"event": "order.refunded", "pattern": {"data": pattern}}, DATA_PATTERNS),
    st.sampled_from([{"event": "order.*"}, {"event": ["x.y", "order.refunded"]}, {"event": "x.y"}, COUNT, ABSENCE]),
)
ATOMS = st.sampled_from(
    [
        "event.data.a == 1",
        "event.data.a.b == 'a'",
        "has(event.data.a)",
        "event.data.b > 0",
        "size(event.data.a) > 0",
        "event.data.b.exists(x, x == 1)",
        "event.data.password == 'a'",
        "event.data.a",
        "event.data.b != null && event.type == 'order.refunded'",
    ]
)
CONDITIONS = st.one_of(
    st.none(),
    st.lists(ATOMS, min_size=1, max_size=4).map(" && ".join),
    st.lists(ATOMS, min_size=2, max_size=3).map(lambda atoms: f"({atoms[0]} && {atoms[1]}) && {' || '.join(atoms)}"),
)


@given(
    st.one_of(TRIGGERS, st.lists(TRIGGERS, min_size=1, max_size=3)),
    CONDITIONS,
    st.dictionaries(st.sampled_from(["a", "b", "c", "password"]), VALUES, max_size=4),
)
def test_an_explanation_never_has_another_verdict_than_the_matcher(
    trigger: Any, condition: str | None, data: Any
) -> None:
    try:
        workflow = workflow_of(trigger, condition)
    except InvalidInput:
        return
    event = event_of(data)
    verdict = explained(workflow, event)

    assert verdict.matches == decided(workflow, event)
    assert (verdict.share == 1) == verdict.matches or verdict.total == 0
    assert (verdict.first_failed is None) == verdict.matches
    start = compile_start(workflow, workflow.newest, CATALOGUE)
    assert [each.holds for each in verdict.triggers].count(True) <= len(start.patterns)
    for each in verdict.triggers:
        for clause in each.clauses:
            assert bool(clause.reasons) == (not clause.holds)
    assert said(verdict)


# ---------------------------------------------------------------- windows


def test_a_count_is_explained_by_its_events_pattern_its_condition_and_then_its_window() -> None:
    workflow = workflow_of(COUNT, "event.data.b == 1")
    elsewhere = explained(workflow, event_of({"a": 2, "b": 1}))
    assert isinstance(elsewhere.first_failed, Clause)
    assert elsewhere.first_failed.pointer == "#/trigger/count/pattern/data/a/0"

    false = explained(workflow, event_of({"a": 1, "b": 2}))
    assert isinstance(false.first_failed, Conjunct)

    counts = explained(workflow, event_of({"a": 1, "b": 1}))
    assert isinstance(counts.first_failed, Clause)
    assert (counts.first_failed.pointer, counts.matches) == ("#/trigger/count/times", False)
    assert (counts.held, counts.total) == (3, 4)
    assert said(counts) == "Refund alert: no, it counts towards 3 events within 60 s"


def test_an_absence_tells_what_begins_a_wait_from_what_ends_one() -> None:
    workflow = workflow_of(ABSENCE)
    assert said(explained(workflow, event_of({}))) == (
        "Refund alert: no, it begins a wait, with none to follow within 60 s"
    )
    assert said(explained(workflow, event_of({}, "order.closed"))) == (
        "Refund alert: no, it is what a wait of this workflow is for: it ends one, and starts nothing"
    )
    assert said(explained(workflow, event_of({}, "x.y"))).startswith('Refund alert: no, type is "x.y"')


@pytest.mark.parametrize(
    ("more", "key", "why"),
    [
        ({"time": NOW - timedelta(seconds=61)}, "x", "it was recorded 61 s after its own time"),
        ({"time": NOW, "replay_id": "again"}, "x", "it is a replay"),
        ({"time": NOW}, "{{ event.data.gone }}", "its key cannot be rendered: event.data.gone is undefined"),
        ({"time": NOW}, "{{ event.data.gone }}{{ event.data.password }}", "its key cannot be used (hidden)"),
        ({"time": NOW}, "{{ event.data.long }}", "its key would have 1001 characters"),
    ],
)
@pytest.mark.parametrize("kind", ["count", "after", "of"])
def test_what_no_window_takes_in_says_why(kind: str, more: dict[str, Any], key: str, why: str) -> None:
    count = {"event": "order.refunded", "times": 3, "within_seconds": 60, "key": key}
    opening, closing = ("order.refunded", "x.y") if kind == "after" else ("x.y", "order.refunded")
    absence = {"after": {"event": opening}, "of": {"event": closing}, "within_seconds": 60, "key": key}
    workflow = workflow_of({"count": count} if kind == "count" else {"absence": absence})
    event = replace(event_of({"long": "x" * 1001}), **more)

    told = said(explained(workflow, event))
    assert f"it is left out: {why}" in told
    assert not decided_windows(workflow, event)


def decided_windows(workflow: Workflow, *events: Event) -> list[Any]:
    """What the matcher appends about windows."""
    rules, windows = TenantRules(CATALOGUE), Windows()
    rules.put(workflow)
    tenant = Tenant(id="acme", name="acme", plan="standard", created_at=NOW)
    found: list[Any] = []
    for event in events:
        found += decide(tenant, rules, event, NOW, windows, UNBOUNDED, lambda: 0.0).windows
    return found


def told_of_windows(workflow: Workflow, event_id: str, *events: Event, whole: bool = True) -> str:
    start = compile_start(workflow, workflow.newest, CATALOGUE)
    records = decided_windows(workflow, *events)
    (known,) = windows_known("acme", event_id, records, start, Hiding(), whole=whole).values()
    return known.said


def test_of_two_events_that_could_open_a_wait_only_one_is_said_to_have() -> None:
    workflow = workflow_of(ABSENCE)
    first, second = (replace(event_of({}), id=each) for each in ("first", "second"))
    paid = replace(event_of({}, "order.closed"), id="paid")

    assert told_of_windows(workflow, "first", first, second).startswith("opened a wait until")
    assert told_of_windows(workflow, "second", first, second) == (
        "opened no wait: one was open already, after event first"
    )
    assert told_of_windows(workflow, "first", first, second, paid) == "opened a wait that event paid ended in time"
    assert "opened no wait" in told_of_windows(workflow, "second", first, second, paid)
    assert told_of_windows(workflow, "paid", first, paid) == "is what a wait is for, and ended one"
    assert told_of_windows(workflow, "paid", paid) == "is what a wait is for, and none was open"
    assert told_of_windows(workflow, "first", paid, first) == (
        "opened no wait: what should follow it had come before it was read"
    )


def test_where_the_records_begin_too_late_nothing_is_claimed_of_what_came_before() -> None:
    workflow = workflow_of(ABSENCE)
    opened = told_of_windows(workflow, "e", event_of({}), whole=False)
    assert opened.endswith(", unless one was open already")
    paid = replace(event_of({}, "order.closed"), id="paid")
    assert told_of_windows(workflow, "paid", paid, whole=False).endswith("ends it where there is one")
    start = compile_start(counting := workflow_of(COUNT), counting.newest, CATALOGUE)
    records = decided_windows(counting, event_of({"a": 1}))
    assert records
    assert not windows_known("acme", "e", records, start, Hiding(), whole=False)


# ---------------------------------------------------------------- schedules


def test_a_schedule_is_started_by_its_own_firings_alone() -> None:
    workflow = workflow_of({"schedule": {"interval": {"minutes": 5}}})
    (schedule,) = compile_start(workflow, workflow.newest, CATALOGUE).schedules
    data = orjson.dumps({"planned_at": "2026-03-02T09:00:00Z", "trigger": schedule.trigger})
    own = replace(event_of(data, "upshot.schedule.fired"), source=FIRING_SOURCE, subject="w")

    assert decided(workflow, own)
    verdict = explained(workflow, own)
    assert (verdict.matches, verdict.share, verdict.first_failed) == (True, 1.0, None)
    for other in (replace(own, subject="other"), replace(own, source="/shop"), event_of({})):
        assert not decided(workflow, other)
        assert said(explained(workflow, other)) == "Refund alert: no, only its own firings start it"


# ---------------------------------------------------------------- hooks


def test_a_hook_is_started_by_what_is_delivered_to_its_own_url_alone() -> None:
    workflow = workflow_of({"webhook": {}})
    source = hook_source(id_of("acme", "w", parse_webhook({})))
    own = replace(event_of(b'{"raw": 1}', HOOK_EVENT), source=source, subject="w")

    assert decided(workflow, own)
    verdict = explained(workflow, own)
    assert (verdict.matches, verdict.share, verdict.first_failed) == (True, 1.0, None)
    for other in (replace(own, subject="other"), replace(own, source="/shop"), event_of({})):
        assert not decided(workflow, other)
        assert said(explained(workflow, other)) == "Refund alert: no, only what is delivered to its own URL starts it"
