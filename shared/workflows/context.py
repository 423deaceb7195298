"""What conditions and templates see: the roots `event`, `inputs`, `workflow`, `tenant`, `run` and `steps`."""

from collections.abc import Mapping

from shared.domain import rfc3339
from shared.domain.envelope import Event
from shared.domain.records import SourceEvent
from shared.domain.runs.state import Run

Context = dict[str, object]


def event_view(event: SourceEvent, tenant_id: str) -> dict[str, object]:
    """An event as tenants see it in patterns, conditions and templates: a CloudEvent in JSON."""
    return {**attributes_view(event, tenant_id), "data": event.data}


def attributes_view(event: Event | SourceEvent, tenant_id: str) -> dict[str, object]:
    """The view without `data`: for whoever matches many events and parses the data of few."""
    view: dict[str, object] = {
        "specversion": "1.0",
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "tenantid": tenant_id,
    }
    if event.subject is not None:
        view["subject"] = event.subject
    if event.time is not None:
        view["time"] = rfc3339.render(event.time)
    if event.correlation_id is not None:
        view["correlationid"] = event.correlation_id
    if event.causation_id is not None:
        view["causationid"] = event.causation_id
    if event.replay_id is not None:
        view["replayid"] = event.replay_id
    return view


def start_context(
    *,
    tenant_id: str,
    workflow_id: str,
    workflow_name: str,
    revision: int,
    event: Mapping[str, object] | None,
    inputs: Mapping[str, object],
) -> Context:
    """Before there is a run. A manual run has no `event`."""
    context: Context = {
        "inputs": inputs,
        "workflow": {"id": workflow_id, "name": workflow_name, "revision": revision},
        "tenant": {"id": tenant_id},
    }
    if event is not None:
        context["event"] = event
    return context


def asked_context(run: Run) -> Context:
    """`start_context` of a run that there is: what it was asked for with."""
    match = run.match
    return start_context(
        tenant_id=run.tenant_id,
        workflow_id=match.workflow_id,
        workflow_name=match.workflow_name,
        revision=match.revision,
        event=event_view(run.event, run.tenant_id) if run.event is not None else None,
        inputs=run.inputs,
    )


def run_context(run: Run) -> Context:
    """For a run's steps: with what the earlier ones gave."""
    context = asked_context(run)
    context["run"] = {"id": run.id, "requested_at": run.requested_at.isoformat()}
    context["steps"] = {
        step.id: {
            "status": step.status,
            "output": step.output,
            "problem": {"kind": step.problem.kind, "detail": step.problem.detail} if step.problem else None,
        }
        for step in run.steps.values()
        if step.status not in ("pending", "started", "retrying")
    }
    return context
