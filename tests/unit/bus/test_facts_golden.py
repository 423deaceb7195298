"""The exact bytes of every fact at version 1: what is shipped is read for ever, and written the same for ever.

A file here is never changed. A fact that must mean something else gets a new version, an upcaster and a file of its own;
one that only gains a field with a default gets a new file, and the bytes of before are moved to `earlier`, to be read for ever.
"""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import orjson
import pytest

from shared.bus import codec, facts
from shared.bus.codec import UndecodableRecord
from shared.bus.facts import Cause
from shared.bus.port import Record
from shared.bus.topics import DEFINITIONS, RUNS
from shared.domain.envelope import Event
from shared.domain.hooks import HookAnswer, HookPlan
from shared.domain.plans import Quotas
from shared.domain.records import (
    ApprovalDecided,
    ApprovalExpired,
    ApprovalVoided,
    AttemptFinished,
    AttemptStarted,
    Command,
    DefinitionsFact,
    EndpointCreated,
    EndpointDisabled,
    EndpointEnabled,
    EventMatched,
    HookSecretRotated,
    Problem,
    RunCancelled,
    RunRequested,
    RunsFact,
    ScheduleFired,
    SourceCreated,
    SourceEvent,
    StepFailed,
    StepResolved,
    StepSkipped,
    StepUnknown,
    TenantCreated,
    TenantPlanChanged,
    Unevaluated,
    WindowCounted,
    WindowElapsed,
    WindowFollowed,
    WindowOpened,
    WorkflowArchived,
    WorkflowDisabled,
    WorkflowEnabled,
    WorkflowSaved,
    WorkflowUnarchived,
)
from shared.domain.workflow import ApprovalRule, Limits, Match, MonthlyQuota, SharedLimit, StepPlan

GOLDEN = Path(__file__).parent / "golden_facts"

AT = datetime(2026, 3, 2, 9, 30, 0, 123456, tzinfo=UTC)
COMMAND = Command(id="cmd-1", payload_hash="9f86d081", actor="ann", roles=("automation:write",), channel="api")
STEP = StepPlan(
    id="tell_finance",
    uses="notify.webhook",
    needs=("look_up",),
    effect="keyed",
    on_error="continue",
    on_unknown="retry",
    endpoints=("finance",),
)
RULE = ApprovalRule(
    roles=("approve", "finance:lead"),
    quorum=2,
    expires_in_seconds=86_400,
    self_approval=False,
    author="ann",
    subject_hash="2c26b46b",
)
LIMITS = Limits(
    max_runs_per_day=100,
    cooldown_seconds=300,
    max_concurrent=10,
    max_queued=50,
    max_depth=4,
    reentrant=True,
    zone="Europe/Paris",
)
MATCH = Match(
    run_id="run-1",
    workflow_id="wf-1",
    workflow_name="Refund alert",
    revision=3,
    steps=(StepPlan(id="look_up", uses="http.request", effect="pure"), STEP),
    limits=LIMITS,
    priority=10,
    stop_on_match=True,
    approval=RULE,
    cooldown_key="order-7",
)
BOUND_MATCH = replace(
    MATCH,
    shared=(
        SharedLimit(tag="finance", max_runs_per_day=20, max_concurrent=2, cooldown_seconds=60, cooldown_key="order-7"),
        SharedLimit(tag="refunds", cooldown_seconds=5, cooldown_problem="event.subject is missing"),
    ),
    quota=MonthlyQuota(plan="team", runs=50_000),
    bounds_pending=True,
)
EVENT = SourceEvent(
    id="evt-1",
    source="/vendors/shopify/shop",
    type="order.refunded",
    data={"amount_minor": 12_050, "currency": "EUR", "note": "Größe ✓", "rate": 0.1},
    subject="order-7",
    time=AT,
    correlation_id="corr-1",
    causation_id="delivery-1",
    causal_chain=("wf-0",),
    replay_id="replay-1",
)
SAVED = WorkflowSaved(
    workflow_id="wf-1",
    base_revision=2,
    document={"name": "Refund alert", "trigger": {"event": "order.refunded"}, "steps": [{"id": "tell_finance"}]},
    steps=(STEP,),
    high_risk=True,
    command=COMMAND,
    hooks=(
        HookPlan(
            id="hook-1",
            vendor="generic",
            settings={"signature": {"header": "X-Signature", "algorithm": "sha256"}},
            id_path="event.id",
            answer=HookAnswer(wait_seconds=5.0, status=201, body={"text": "{{ steps.look_up.output.name }}"}),
            secret="sealed:1:hook",
        ),
    ),
)
FACTS: tuple[DefinitionsFact | RunsFact, ...] = (
    TenantCreated(name="Acme", plan="free", command=COMMAND),
    TenantPlanChanged(plan="team", quotas=Quotas(workflows=50, runs_per_month=50_000), command=COMMAND),
    SourceCreated(
        source_id="src-1",
        name="shop",
        vendor="shopify",
        settings={"shop": "acme.example"},
        secrets=("sealed:1:abc",),
        command=COMMAND,
    ),
    EndpointCreated(
        endpoint_id="end-1",
        name="finance",
        url="https://finance.example/hooks",
        secrets=("sealed:1:new", "sealed:1:old"),
        command=COMMAND,
    ),
    EndpointDisabled(endpoint_id="end-1", reason="its receiver answered 410", command=COMMAND),
    EndpointEnabled(endpoint_id="end-1", command=COMMAND),
    SAVED,
    WorkflowEnabled(workflow_id="wf-1", command=COMMAND),
    WorkflowDisabled(workflow_id="wf-1", command=COMMAND),
    WorkflowArchived(workflow_id="wf-1", command=COMMAND, base_revision=3),
    WorkflowUnarchived(workflow_id="wf-1", command=COMMAND),
    HookSecretRotated(
        workflow_id="wf-1",
        hook_id="hook-1",
        secret="sealed:1:newer",
        overlap_seconds=3600,
        command=COMMAND,
    ),
    EventMatched(
        event=EVENT,
        definitions_version=12,
        matches=(
            MATCH,
            Match(
                run_id="run-2",
                workflow_id="wf-2",
                workflow_name="Plain",
                revision=1,
                steps=(),
                cooldown_problem="event.subject is missing",
            ),
        ),
        unevaluated=(Unevaluated(workflow_id="wf-3", reason="budget"),),
    ),
    RunRequested(match=BOUND_MATCH, inputs={"days": 7}, command=COMMAND),
    AttemptStarted(
        run_id="run-1",
        step_id="tell_finance",
        number=2,
        request={"endpoint_id": "end-1", "url": "https://finance.example/hooks", "body": '{"type":"x"}'},
        due_at=AT,
    ),
    AttemptFinished(
        run_id="run-1",
        step_id="tell_finance",
        number=2,
        outcome="failed",
        output={"status": 503, "body": None},
        problem=Problem(kind="http_503", detail="the receiver answered 503"),
        retry_at=AT,
        elapsed_seconds=0.25,
    ),
    StepSkipped(run_id="run-1", step_id="tell_finance", reason="its condition is false"),
    StepFailed(run_id="run-1", step_id="tell_finance", problem=Problem(kind="template", detail="no such path")),
    StepUnknown(run_id="run-1", step_id="tell_finance", number=2),
    StepResolved(
        run_id="run-1", step_id="tell_finance", number=2, resolution="retry", reason="it never arrived", command=COMMAND
    ),
    RunCancelled(run_id="run-1", reason="a mistake", command=COMMAND),
    ApprovalDecided(run_id="run-1", decision="granted", reason="fine", subject_hash="2c26b46b", command=COMMAND),
    ApprovalExpired(run_id="run-1"),
    ApprovalVoided(run_id="run-1", subject_hash="fcde2b2e", detail="an endpoint changed"),
    WindowCounted(
        workflow_id="wf-1",
        trigger="d1",
        key="order-7",
        event_id="evt-1",
        at=AT,
        seen_at=AT,
        times=5,
        within_seconds=600,
        lateness_seconds=60,
    ),
    WindowOpened(
        workflow_id="wf-1",
        trigger="d2",
        key="order-7",
        event=EVENT,
        at=AT,
        seen_at=AT,
        within_seconds=600,
        lateness_seconds=60,
    ),
    WindowFollowed(
        workflow_id="wf-1",
        trigger="d2",
        key="order-7",
        event_id="evt-2",
        at=AT,
        seen_at=AT,
        within_seconds=600,
        lateness_seconds=60,
    ),
    WindowElapsed(workflow_id="wf-1", trigger="d2", key="order-7", event=EVENT, match=MATCH),
    ScheduleFired(workflow_id="wf-1", trigger="d3", planned_at=AT, event_id="evt-3"),
)
BY_TYPE = {fact.TYPE: fact for fact in FACTS}
EARLIER = {
    **BY_TYPE,
    "run.requested": RunRequested(match=MATCH, inputs={"days": 7}, command=COMMAND),
    "workflow.saved": replace(SAVED, hooks=()),
    "event.matched.before_bounds_pending": BY_TYPE["event.matched"],
    "run.requested.before_bounds_pending": RunRequested(
        match=replace(BOUND_MATCH, bounds_pending=False), inputs={"days": 7}, command=COMMAND
    ),
    "window.elapsed.before_bounds_pending": BY_TYPE["window.elapsed"],
}
"""What the bytes in `earlier` say: of a field that was added since, its default."""
NOBODY = Cause(causation_id=None, correlation_id=None)


def enveloped(fact: DefinitionsFact | RunsFact) -> Event:
    cause = Cause(causation_id="cause-1", correlation_id="corr-1", causal_chain=("wf-0",), traceparent=None)
    return facts.envelop(fact, id="rec-1", tenant_id="acme", source=facts.SOURCES["api"], at=AT, cause=cause)


def parsed(event: Event) -> DefinitionsFact | RunsFact:
    is_definition = event.type in {each.TYPE for each in get_args(DefinitionsFact)}
    return facts.definitions_fact(event) if is_definition else facts.runs_fact(event)


def golden(event_type: str) -> bytes:
    return (GOLDEN / f"{event_type}.v1.json").read_bytes()


def test_every_fact_that_there_is_has_its_bytes_here() -> None:
    types = {each.TYPE for each in (*get_args(DefinitionsFact), *get_args(RunsFact))}
    assert set(BY_TYPE) == types
    assert {each.name.removesuffix(".v1.json") for each in GOLDEN.iterdir() if each.name.endswith(".v1.json")} == types


@pytest.mark.parametrize("event_type", BY_TYPE)
def test_it_is_written_as_ever(event_type: str) -> None:
    assert enveloped(BY_TYPE[event_type]).data == golden(event_type)


@pytest.mark.parametrize("event_type", BY_TYPE)
def test_what_was_written_is_read_as_ever(event_type: str) -> None:
    written = replace(enveloped(BY_TYPE[event_type]), data=golden(event_type))
    assert parsed(written) == BY_TYPE[event_type]


@pytest.mark.parametrize("path", sorted((GOLDEN / "earlier").iterdir()), ids=lambda path: path.name)
def test_what_was_written_before_a_field_was_added_is_read_with_its_default(path: Path) -> None:
    fact = EARLIER[path.name.removesuffix(".v1.json")]
    assert parsed(replace(enveloped(fact), data=path.read_bytes())) == fact


@pytest.mark.parametrize("event_type", BY_TYPE)
def test_it_comes_through_the_codec(event_type: str) -> None:
    fact = BY_TYPE[event_type]
    topic = DEFINITIONS if isinstance(fact, get_args(DefinitionsFact)) else RUNS
    event = enveloped(fact)
    new = codec.encode(topic, event)
    record = Record(
        topic=topic, partition=0, offset=0, key=new.key, headers=new.headers, value=new.value, recorded_at=AT
    )
    read = codec.decode(record)
    assert parsed(read) == fact
    assert (read.id, read.tenant_id, read.version, read.causation_id) == ("rec-1", "acme", 1, "cause-1")


@pytest.mark.parametrize("event_type", BY_TYPE)
def test_fields_that_a_later_version_adds_do_not_disturb(event_type: str) -> None:
    data = orjson.loads(golden(event_type))
    data["added_later"] = {"x": 1}
    assert parsed(replace(enveloped(BY_TYPE[event_type]), data=orjson.dumps(data))) == BY_TYPE[event_type]


@pytest.mark.parametrize("event_type", BY_TYPE)
def test_a_fact_without_its_fields_halts_its_reader(event_type: str) -> None:
    event = enveloped(BY_TYPE[event_type])
    for data in (None, b"", b"{}", b"[]", b"null", b"{"):
        with pytest.raises(UndecodableRecord, match="rec-1"):
            parsed(replace(event, data=data))


def test_a_type_of_a_version_to_come_halts_its_reader() -> None:
    event = replace(enveloped(BY_TYPE["run.cancelled"]), type="run.teleported")
    with pytest.raises(UndecodableRecord, match="teleported"):
        facts.runs_fact(event)
    with pytest.raises(UndecodableRecord):
        facts.definitions_fact(enveloped(BY_TYPE["run.cancelled"]))


@pytest.mark.parametrize("event_type", BY_TYPE)
def test_a_version_to_come_halts_its_reader(event_type: str) -> None:
    with pytest.raises(UndecodableRecord, match="version 2"):
        parsed(replace(enveloped(BY_TYPE[event_type]), version=2))


def test_an_events_data_may_be_the_very_bytes_that_came() -> None:
    fact = BY_TYPE["event.matched"]
    assert isinstance(fact, EventMatched)
    raw = b'{"amount": 1.10, "id": 12345678901234567890}'
    event = enveloped(replace(fact, event=replace(fact.event, data=orjson.Fragment(raw))))
    assert event.data is not None
    assert raw in event.data
    read = facts.runs_fact(event)
    assert isinstance(read, EventMatched)
    assert read.event.data == {"amount": 1.1, "id": 12345678901234567890}
    assert read.matches == fact.matches


def test_instants_are_written_in_utc() -> None:
    event = facts.envelop(
        ApprovalExpired(run_id="r"), id="i", tenant_id="t", source="/upshot/x", at=AT.astimezone(None), cause=NOBODY
    )
    assert event.time is not None
    assert event.time.tzinfo is UTC
    assert event.time == AT
