"""What an event leads to is the same whoever asks: the matcher that hashes what is to be approved, and whoever checks it."""

from datetime import UTC, datetime

from services.executor.actions import discover_actions
from services.matcher.triggers import discover_triggers
from shared.domain.definitions import Revision, Tenant, Workflow
from shared.domain.envelope import Event
from shared.domain.records import SourceEvent
from shared.domain.windows import Windows
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


def test_an_approval_of_a_step_that_sends_the_whole_event_binds_what_the_executor_will_see() -> None:
    document = {
        "name": "Tell all",
        "trigger": {"event": "order.refunded"},
        "approval": {"when": "always"},
        "steps": [{"id": "tell", "uses": "event.emit", "with": {"type": "a.b", "data": {"it": "{{ event | json }}"}}}],
    }
    checked = check_document(parse_document(document), CATALOGUE)
    revision = Revision(
        number=1, document=checked.document, steps=checked.steps, high_risk=False, author="ann", saved_at=NOW
    )
    workflow = Workflow(id="w", tenant_id="acme", name="Tell all", enabled=True, revisions=(revision,))
    tenant = Tenant(id="acme", name="acme", plan="standard", created_at=NOW)
    rules = TenantRules(CATALOGUE)
    rules.put(workflow)
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
