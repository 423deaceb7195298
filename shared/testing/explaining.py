"""One workflow and one event, and what is said of them: why it starts, or why not, beside what the matcher decides."""

from datetime import UTC, datetime
from typing import Any

import orjson

from shared.domain.definitions import Revision, Tenant, Workflow
from shared.domain.envelope import Event
from shared.domain.windows import Windows
from shared.workflows.catalogue import Catalogue
from shared.workflows.check import check_document
from shared.workflows.compiled import CompiledStart, compile_start
from shared.workflows.decide import Budget, Decided, decide
from shared.workflows.document import parse_document
from shared.workflows.explaining import Clause, Outcome, Verdict, explain_start, see_event, sentence
from shared.workflows.hiding import Hiding
from shared.workflows.rules import TenantRules

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
UNBOUNDED = Budget(conditions=10_000, seconds=1e9, matches=10_000, windows=1)
STEP = {"id": "note", "uses": "wait", "with": {"seconds": 1}}


def event_of(data: Any, event_type: str = "order.refunded") -> Event:
    raw = data if isinstance(data, bytes) else orjson.dumps(data)
    return Event(id="e", source="/shop", type=event_type, tenant_id="acme", data=raw, time=NOW)


def said(verdict: Verdict) -> str:
    return sentence("Refund alert", 1, verdict, Outcome(kind="not_matched"), today=None)


class Explaining:
    """With the plug-ins of `catalogue`."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def workflow_of(self, trigger: Any, condition: str | None = None, **more: Any) -> Workflow:
        """Saved, as it comes back from the log."""
        document = {"name": "Refund alert", "trigger": trigger, "steps": [STEP], **more}
        if condition is not None:
            document["if"] = condition
        checked = check_document(parse_document(document), self._catalogue)
        kept = orjson.loads(orjson.dumps(checked.document))
        revision = Revision(number=1, document=kept, steps=checked.steps, high_risk=False, author="ann", saved_at=NOW)
        return Workflow(id="w", tenant_id="acme", name="Refund alert", enabled=True, revisions=(revision,))

    def start_of(self, workflow: Workflow) -> CompiledStart:
        return compile_start(workflow, workflow.newest, self._catalogue)

    def explained(self, workflow: Workflow, event: Event, hiding: Hiding | None = None) -> Verdict:
        return explain_start(self.start_of(workflow), self._catalogue, see_event(event, NOW, hiding or Hiding()))

    def failed_clause(self, trigger: Any, data: Any, **more: Any) -> Clause:
        first = self.explained(self.workflow_of(trigger), event_of(data, **more)).first_failed
        assert isinstance(first, Clause)
        return first

    def decisions(self, workflow: Workflow, *events: Event) -> list[Decided]:
        """What the matcher decides on one event after the other."""
        rules, windows = TenantRules(self._catalogue), Windows()
        rules.put(workflow)
        tenant = Tenant(id="acme", name="acme", plan="standard", created_at=NOW)
        return [decide(tenant, rules, event, NOW, windows, UNBOUNDED, lambda: 0.0) for event in events]

    def decided(self, workflow: Workflow, event: Event) -> bool:
        return self.decisions(workflow, event)[0].matched is not None
