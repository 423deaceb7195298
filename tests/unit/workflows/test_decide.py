"""What an event leads to is the same whoever asks: the matcher that hashes what is to be approved, and whoever checks it."""

import itertools
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.executor.actions import discover_actions
from services.matcher.triggers import discover_triggers
from shared.bus import facts
from shared.domain.definitions import Revision, Tenant, Workflow
from shared.domain.envelope import Event
from shared.domain.records import EventMatched, SourceEvent, Unevaluated
from shared.domain.windows import Windows
from shared.matching import WORK_MAX
from shared.workflows.catalogue import Catalogue
from shared.workflows.check import check_document
from shared.workflows.compiled import compile_steps
from shared.workflows.context import event_view, start_context
from shared.workflows.decide import Budget, decide
from shared.workflows.document import parse_document
from shared.workflows.rules import TenantRules
from shared.workflows.subject import approval_subject, subject_hash

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
CATALOGUE = Catalogue(actions=discover_actions(), triggers=discover_triggers(), event_schemas={})
BUDGET = Budget(conditions=200, seconds=1.0, matches=100, windows=100)
JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**64 - 1),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)),
    max_leaves=8,
)


def rules_of_all(documents: Sequence[Mapping[str, object]], *, work_max: int = WORK_MAX) -> tuple[Tenant, TenantRules]:
    rules = TenantRules(CATALOGUE, work_max=work_max)
    for number, document in enumerate(documents):
        checked = check_document(parse_document(document), CATALOGUE)
        revision = Revision(
            number=1, document=checked.document, steps=checked.steps, high_risk=False, author="ann", saved_at=NOW
        )
        workflow_id = f"w{number}"
        rules.put(Workflow(id=workflow_id, tenant_id="acme", name=workflow_id, enabled=True, revisions=(revision,)))
    return Tenant(id="acme", name="acme", plan="standard", created_at=NOW), rules


def rules_of(document: Mapping[str, object]) -> tuple[Tenant, TenantRules, Revision]:
    checked = check_document(parse_document(document), CATALOGUE)
    revision = Revision(
        number=1, document=checked.document, steps=checked.steps, high_risk=False, author="ann", saved_at=NOW
    )
    rules = TenantRules(CATALOGUE)
    name = str(document["name"])
    rules.put(Workflow(id="w", tenant_id="acme", name=name, enabled=True, revisions=(revision,)))
    return Tenant(id="acme", name="acme", plan="standard", created_at=NOW), rules, revision


@given(
    st.dictionaries(st.text(max_size=4), JSON, max_size=4),
    st.sampled_from([b"1.10", b"12345678901234567890123", b"1e2"]),
)
def test_what_this_process_reads_unparsed_is_what_others_parse(data: dict[str, object], number: bytes) -> None:
    tenant, rules, _ = rules_of(
        {
            "name": "If it is big",
            "trigger": {"event": "order.created"},
            "if": "!has(event.data.absent)",
            "steps": [{"id": "note", "uses": "wait", "with": {"seconds": 0}}],
        }
    )
    others = {name: value for name, value in data.items() if name != "z"}
    raw = orjson.dumps({**others, "z": 1}).removesuffix(b"1}") + number + b"}"  # the number's own digits, last
    event = Event(id="e", source="/shop", type="order.created", tenant_id="acme", data=raw, time=NOW, subject="order-1")

    decided = decide(tenant, rules, event, NOW, Windows(), BUDGET, lambda: 0.0)

    assert decided.matched is not None
    cause = facts.Cause(causation_id="e", correlation_id="e")
    written = facts.envelop(decided.matched, id="m", tenant_id="acme", source="/upshot/matcher", at=NOW, cause=cause)
    assert decided.as_read is not None
    read = facts.runs_fact(written)
    assert read == decided.as_read
    assert isinstance(read, EventMatched)
    assert repr(read.event.data) == repr(decided.as_read.event.data)  # 1 is not 1.0, nor true


def test_an_approval_of_a_step_that_sends_the_whole_event_binds_what_the_executor_will_see() -> None:
    document = {
        "name": "Tell all",
        "trigger": {"event": "order.refunded"},
        "approval": {"when": "always"},
        "steps": [{"id": "tell", "uses": "event.emit", "with": {"type": "a.b", "data": {"it": "{{ event | json }}"}}}],
    }
    tenant, rules, revision = rules_of(document)
    event = Event(
        id="e",
        source="/shop",
        type="order.refunded",
        tenant_id="acme",
        data=b'{"n":1}',
        time=NOW,
        subject="order-1",
        correlation_id="c",
    )

    decided = decide(tenant, rules, event, NOW, Windows(), BUDGET, lambda: 0.0).matched

    assert decided is not None
    (match,) = decided.matches
    assert match.approval is not None
    kept = SourceEvent(
        id="e",
        source="/shop",
        type="order.refunded",
        data={"n": 1},
        subject="order-1",
        time=NOW,
        correlation_id="c",
    )
    context = start_context(
        tenant_id="acme",
        workflow_id="w",
        workflow_name="Tell all",
        revision=1,
        event=event_view(kept, "acme"),
        inputs={},
    )
    subject = approval_subject(
        tenant,
        run_id=match.run_id,
        context=context,
        event=kept,
        steps=compile_steps(revision),
        plans=revision.steps,
    )
    assert subject_hash(subject) == match.approval.subject_hash


def approved(step: str, count: int) -> EventMatched:
    """What an event with 100 KB of data leads to where somebody must approve so many steps with this text in each."""
    config = {"type": "a.b", "data": {"it": step}}
    tenant, rules, _ = rules_of(
        {
            "name": "Ask",
            "trigger": {"event": "t"},
            "approval": {"when": "always"},
            "steps": [{"id": f"s{number}", "uses": "event.emit", "with": config} for number in range(count)],
        }
    )
    data = orjson.dumps({"text": "x" * 100_000})
    event = Event(id="e", source="/shop", type="t", tenant_id="acme", data=data, time=NOW)
    matched = decide(tenant, rules, event, NOW, Windows(), BUDGET, lambda: 0.0).matched
    assert matched is not None
    return matched


@pytest.mark.parametrize(
    "step",
    [
        "{{ event.data.text }}",
        "{% for n in (1..1000) %}{{ n }}{% endfor %}",
        "{{ event.data.text | upcase | downcase | size }}",
    ],
)
def test_steps_that_are_too_much_together_for_an_approval_are_left_out_whole(step: str) -> None:
    """Each of them alone is little. What nobody can be shown nobody approves, and what is shown is never cut."""
    (match,) = approved(step, 10).matches
    assert match.approval is not None
    matched = approved(step, 100)
    assert not matched.matches
    assert matched.unevaluated == (Unevaluated(workflow_id="w", reason="approval_subject_max"),)


KEY = "{{ event.data.who }}"
NOTE = [{"id": "note", "uses": "wait", "with": {"seconds": 0}}]


def left_out(trigger: Mapping[str, object], **more: object) -> int:
    """Of 40 workflows, whose templates each take a second of the tenant's budget of one."""
    tenant, rules = rules_of_all([{"name": "x", "trigger": trigger, "steps": NOTE, **more} for _ in range(40)])
    event = Event(id="e", source="/shop", type="t", tenant_id="acme", data=b'{"who":"ann"}', time=NOW)
    ticks = itertools.count()
    decided = decide(tenant, rules, event, NOW, Windows(), BUDGET, lambda: float(next(ticks)))
    matched = decided.matched
    assert matched is not None
    assert {each.reason for each in matched.unevaluated} == {"budget"}
    done = len(decided.windows) if decided.windows else len(matched.matches)
    assert done + len(matched.unevaluated) == 40
    return len(matched.unevaluated)


def test_keys_are_rendered_while_there_is_time_and_those_of_windows_longer() -> None:
    count = {"count": {"event": "t", "times": 2, "within_seconds": 60, "key": KEY}}
    absence = {"absence": {"after": {"event": "t"}, "of": {"event": "u"}, "within_seconds": 60, "key": KEY}}
    followed = {"absence": {"after": {"event": "u"}, "of": {"event": "t"}, "within_seconds": 60, "key": KEY}}
    assert left_out({"event": "t"}, limits={"cooldown": {"seconds": 60, "key": KEY}}) == 38
    assert left_out(count) == left_out(absence) == left_out(followed) == 29


def test_a_workflow_that_one_trigger_has_started_is_not_left_out_for_want_of_time_by_another() -> None:
    counts = [{"count": {"event": "t", "times": 2, "within_seconds": 60 + number}} for number in range(3)]
    limits = {"cooldown": {"seconds": 60, "key": KEY}}
    document = {"name": "x", "trigger": [{"event": "t"}, *counts], "steps": NOTE, "limits": limits}
    tenant, rules = rules_of_all([document])
    windows = Windows()
    for number, clock in enumerate((itertools.repeat(0), itertools.count(0, 5))):
        at = NOW + timedelta(seconds=number)
        event = Event(id=f"e{number}", source="/shop", type="t", tenant_id="acme", data=b'{"who":"ann"}', time=at)
        decided = decide(tenant, rules, event, at, windows, BUDGET, lambda clock=clock: float(next(clock)))  # type: ignore[misc]
    assert decided.matched is not None
    assert len(decided.windows) == 3
    assert (len(decided.matched.matches), decided.matched.unevaluated) == (1, ())


def looking_into_arrays(number: int, priority: int) -> Mapping[str, object]:
    data = {"lines": {"price": [{"numeric": [">", number]}], "sku": ["s1"]}}
    return {"name": "x", "trigger": {"pattern": {"data": data}}, "priority": priority, "steps": NOTE}


def lines(count: int) -> Event:
    data = orjson.dumps({"lines": [{"price": 1000 + number, "sku": "s1"} for number in range(count)]})
    return Event(id="e", source="/shop", type="t", tenant_id="acme", data=data, time=NOW)


def test_what_an_events_arrays_are_too_much_for_is_left_out_by_priority_and_what_needs_none_of_them_is_not() -> None:
    documents = [looking_into_arrays(number, priority=100 - number) for number in range(20)]
    documents.append({"name": "x", "trigger": {"event": "t"}, "priority": 500, "steps": NOTE})
    documents.append(
        {"name": "x", "trigger": {"event": "u", "pattern": documents[0]["trigger"]["pattern"]}, "steps": NOTE}
    )
    tenant, rules = rules_of_all(documents, work_max=30_000)
    matched = decide(tenant, rules, lines(1_000), NOW, Windows(), BUDGET, lambda: 0.0).matched
    assert matched is not None
    begun = [match.workflow_id for match in matched.matches]
    assert begun[-1] == "w20"
    assert 0 < len(begun) - 1 < 20
    first = [f"w{number}" for number in range(19, -1, -1)]
    assert begun[:-1] + [each.workflow_id for each in matched.unevaluated] == first
    assert {each.reason for each in matched.unevaluated} == {"budget"}
    small = decide(tenant, rules, lines(10), NOW, Windows(), BUDGET, lambda: 0.0).matched
    assert small is not None
    assert (len(small.matches), small.unevaluated) == (21, ())
