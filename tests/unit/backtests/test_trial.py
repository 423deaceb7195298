"""A workflow tried on one event: the stream's verdict with its reasons, and each step as it would be sent."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from services.backtests.core.candidate import candidate_of
from services.backtests.core.given_event import given_event
from services.backtests.core.rehearsal import waves
from services.backtests.core.trial import Trial, decided_on, try_event
from services.previews import ActionPreviews
from shared.domain.envelope import Event
from shared.domain.errors import InvalidInput
from shared.domain.workflow import StepPlan
from shared.runtime.clock import cpu_seconds
from shared.testing.documents import call, emit, tell, wait, workflow
from shared.testing.workflows import save, tenant_with
from shared.workflows.catalogue import Catalogue
from shared.workflows.hiding import Hiding

SOON_CPU_SECONDS = 4
"""Unbounded it took 20."""
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
REFUND = {
    "type": "order.refunded",
    "id": "e-1",
    "subject": "order-7",
    "data": {"amount_minor": 12900, "currency": "EUR"},
}


def event_given(given: dict[str, Any], tenant_id: str) -> Event:
    return given_event(given, json.dumps(given["data"]).encode() if "data" in given else None, tenant_id, NOW)


@pytest.fixture
def attempt(catalogue: Catalogue, previewer: ActionPreviews) -> Any:  # Any: a function with defaults
    def attempt(document: dict[str, Any], event: dict[str, Any] | None = None, **outputs: object) -> Trial:
        tenant = tenant_with("finance")
        saved = save(tenant, document, catalogue)
        candidate = candidate_of(tenant, saved, saved.newest, catalogue)
        given = event_given(event or REFUND, tenant.id)
        decided = decided_on(candidate, given, NOW)
        return try_event(
            candidate, catalogue, given, decided, at=NOW, outputs=outputs, previewer=previewer, hiding=Hiding()
        )

    return attempt


def test_a_delivery_is_shown_as_it_would_leave_and_without_a_signature(attempt: Any) -> None:
    trial = attempt(
        workflow("Alert", "order.refunded", tell("finance", body={"minor": "{{ event.data.amount_minor }}"}))
    )

    assert trial.matched
    (step,) = trial.steps
    assert (step.runs, step.wave, step.unknown, step.problem) == ("yes", 1, (), None)
    sent = step.sends
    assert sent["method"] == "POST"
    assert sent["url"] == "https://finance.example/hook"
    assert json.loads(sent["body"]) == {
        "type": "order.refunded",
        "timestamp": "2026-03-02T09:00:00Z",
        "data": {"minor": 12900},
    }
    assert set(sent["headers"]) == {"webhook-id", "webhook-timestamp", "webhook-signature", "content-type"}
    assert "v1," not in sent["headers"]["webhook-signature"]
    assert "sealed" not in repr(trial)


@pytest.mark.parametrize("approval", ["never", "always"])
def test_steps_that_are_too_much_together_are_not_tried_and_it_is_said(attempt: Any, approval: str) -> None:
    text = {"loop": "{% for n in (1..1000) %}{{ n }}{% endfor %}"}
    document = workflow("Much", "order.refunded", *(emit("acme.seen", f"s{number}", data=text) for number in range(11)))
    document["approval"] = {"when": approval}
    if approval == "always":
        trial = attempt(document)
        assert not trial.matched
        assert "more than an approval can show" in trial.why.reason
    else:
        with pytest.raises(InvalidInput, match="too much to be tried in one go"):
            attempt(document)


def test_what_needs_an_earlier_output_stays_template_text_and_says_whose(attempt: Any) -> None:
    document = workflow(
        "Two",
        "order.refunded",
        call("https://crm.example/vip", "lookup"),
        tell("finance", body={"vip": "{{ steps.lookup.output.body.vip }}", "id": "{{ event.id }}"}),
    )

    first, second = attempt(document).steps

    assert first.sends["headers"]["idempotency-key"]
    assert second.sends is None
    assert second.rendered["body"] == {"vip": "{{ steps.lookup.output.body.vip }}", "id": "e-1"}
    assert second.unknown == ("#/body/vip",)
    assert second.needs_output_of == ("lookup",)
    _, known = attempt(document, lookup={"body": {"vip": True}}).steps
    assert json.loads(known.sends["body"])["data"] == {"vip": True, "id": "e-1"}


def test_conditions_of_steps_are_judged_as_far_as_they_can_be(attempt: Any) -> None:
    document = workflow(
        "Conditions",
        "order.refunded",
        {**wait(1, "small"), "if": "event.data.amount_minor < 10"},
        {**wait(1, "later"), "if": "steps.small.status == 'skipped'"},
        {**emit("seen.it", "ask"), "if": "steps.later.output.until != ''"},
    )

    small, later, ask = attempt(document).steps

    assert (small.runs, small.why) == ("no", "its condition is false")
    assert small.sends is None
    assert later.runs == "yes"
    assert (ask.runs, ask.why) == ("unknown", "its condition needs the output of later")


def test_a_step_that_cannot_be_sent_fails_the_run_there(attempt: Any) -> None:
    missing = tell("nowhere")
    first, second = attempt(workflow("Broken", "order.refunded", missing, wait(1))).steps
    assert first.problem.kind == "endpoint_unknown"
    assert (second.runs, second.why) == ("no", "the run fails at 'tell'")
    _, goes_on = attempt(workflow("Goes on", "order.refunded", {**missing, "on_error": "continue"}, wait(1))).steps
    assert goes_on.runs == "yes"


def test_no_match_says_which_field_failed_or_what_the_condition_came_to(attempt: Any) -> None:
    document = workflow("Alert", "order.refunded", wait(1))
    document["trigger"]["pattern"] = {"data": {"amount_minor": [{"numeric": [">", 20000]}]}}
    trial = attempt(document)
    assert not trial.matched
    assert trial.steps == ()
    assert trial.why.reason == "data.amount_minor is 12900, expected a number > 20000"
    document = workflow("Alert", "order.refunded", wait(1), **{"if": "event.data.currency == 'USD'"})
    assert attempt(document).why.reason == "event.data.currency == 'USD' is false, as event.data.currency is \"EUR\""
    document["if"] = "event.data.nothing == 1"
    assert attempt(document).why.condition.error


def test_approval_limits_and_what_would_hold_it(attempt: Any) -> None:
    document = workflow(
        "Held",
        "order.refunded",
        call("https://crm.example/x"),
        limits={"cooldown": {"seconds": 60, "key": "{{ event.subject }}"}},
        approval={"roles": ["finance"], "quorum": 2},
    )
    trial = attempt(document)
    assert (trial.approval.needed, trial.approval.roles, trial.approval.quorum) == (True, ("finance",), 2)
    assert trial.approval.because == "a step is of high risk"
    assert trial.cooldown_key == "order-7"
    assert trial.held is None
    without_subject = {key: value for key, value in REFUND.items() if key != "subject"}
    assert attempt(document, without_subject).held.kind == "cooldown_key"


def test_a_cooldowns_key_that_may_be_made_of_a_secret_is_not_shown(attempt: Any) -> None:
    secretive = {**REFUND, "data": {"auth": {"password": "hunter2secret"}}}
    for key in ("{{ event.data.auth | json }}", "{{ event.data.auth | json }}{{ event.data.nope }}"):
        cooldown = {"cooldown": {"seconds": 60, "key": key}}
        trial = attempt(workflow("Held", "order.refunded", wait(1), limits=cooldown), secretive)
        assert "hunter2secret" not in repr(trial)
        told = trial.held.detail if trial.held is not None else trial.cooldown_key
        assert "(hidden)" in told


def test_an_event_in_whose_chain_the_workflow_stands_already_is_held(
    catalogue: Catalogue, previewer: ActionPreviews
) -> None:
    tenant = tenant_with()
    saved = save(tenant, workflow("Loop", "order.refunded", wait(1)), catalogue)
    candidate = candidate_of(tenant, saved, saved.newest, catalogue)
    looping = event_given({**REFUND, "causalchain": [saved.id]}, tenant.id)
    decided = decided_on(candidate, looping, NOW)
    trial = try_event(candidate, catalogue, looping, decided, at=NOW, outputs={}, previewer=previewer, hiding=Hiding())
    assert trial.held is not None
    assert trial.held.kind == "loop"


def test_steps_come_in_waves_of_the_plan() -> None:
    plans = [
        StepPlan(id="last", uses="wait", needs=("left", "right")),
        StepPlan(id="left", uses="wait", needs=("first",)),
        StepPlan(id="right", uses="wait", needs=("first",)),
        StepPlan(id="first", uses="wait"),
    ]
    assert [[plan.id for plan in wave] for wave in waves(plans)] == [["first"], ["left", "right"], ["last"]]


@pytest.mark.parametrize(
    ("given", "pointers"),
    [
        ({}, {"#/event/type"}),
        ({"type": 7, "time": "noon", "tenantid": "others"}, {"#/event/type", "#/event/time", "#/event/tenantid"}),
        ({"type": "a.b", "causalchain": [1], "color": {}}, {"#/event/causalchain", "#/event/color"}),
    ],
)
def test_an_unusable_event_is_refused_with_every_flaw(given: dict[str, Any], pointers: set[str]) -> None:
    with pytest.raises(InvalidInput) as refused:
        event_given(given, "acme")
    assert {flaw.pointer for flaw in refused.value.flaws} == pointers


def test_a_draft_that_looks_too_much_into_arrays_is_told_so_before_long(attempt: Any) -> None:
    branches = [{"data": {"l": {"a": [{"numeric": [">", n]}], "b": [{"numeric": ["<", n]}]}}} for n in range(150)]
    document = workflow("Much", "order.refunded", wait(1))
    document["trigger"] = {"pattern": {"$or": branches}}
    lines = [{"a": 1000, "b": 2000} for _ in range(3_000)]
    began = cpu_seconds()
    trial = attempt(document, {**REFUND, "data": {"l": lines}})
    assert cpu_seconds() - began < SOON_CPU_SECONDS
    assert not trial.matched
    assert "used up" in trial.why.reason
    assert "one event may cost" in trial.why.triggers[0].in_words

    few = attempt(document, {**REFUND, "data": {"l": [*lines[:20], {"a": 200, "b": 1}]}})
    assert (few.matched, few.why.reason) == (True, "the event matches")
