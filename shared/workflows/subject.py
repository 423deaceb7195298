"""What exactly an approval is about, and its hash.

The subject names the revision, the event with its data or the inputs, the steps rendered as far as they can be before the
run (later parts stay template text) and the revision of every endpoint that a step names. The matcher hashes it into
the record that asks for the run, the API shows it, and the executor hashes it anew before the first step: a
difference voids the approval.
"""

from collections.abc import Mapping

from shared.domain.definitions import Tenant
from shared.domain.records import SourceEvent
from shared.domain.workflow import StepPlan
from shared.expressions import Meter, Template, TemplateError, sha256_hex, shared_meter
from shared.workflows.compiled import CompiledStep
from shared.workflows.context import Context


def approval_subject(
    tenant: Tenant,
    *,
    run_id: str,
    context: Context,
    event: SourceEvent | None,
    steps: Mapping[str, CompiledStep],
    plans: tuple[StepPlan, ...],
) -> dict[str, object]:
    """The subject as JSON. `context` is `start_context` of the run that would start.

    Raises `TooMuchTogether` where its steps are more than one approval can show: then there is no such run, rather than one
    of which somebody approves half.
    """
    meter = shared_meter()
    seen: Context = {**context, "run": {"id": run_id}}
    references = sorted({each for plan in plans for each in plan.endpoints})
    endpoints = {name: tenant.endpoint_named(name) for name in references}
    return {
        "run_id": run_id,
        "workflow": context["workflow"],
        "event": {"id": event.id, "type": event.type, "data": event.data} if event is not None else None,
        "inputs": context["inputs"],
        "steps": [
            {"id": plan.id, "uses": plan.uses, "with": _shown(steps[plan.id].template, seen, meter)} for plan in plans
        ],
        "endpoints": {
            name: {"id": found.id, "url": found.url, "revision": found.revision} if found is not None else None
            for name, found in endpoints.items()
        },
    }


def _shown(template: Template, context: Context, meter: Meter) -> object:
    """What can be said of a step before the run. One that cannot be rendered fails in its turn; the approver sees why."""
    try:
        return template.render_partial(context, meter).value
    except TemplateError as error:
        return {"cannot_be_rendered": str(error)}


def subject_hash(subject: Mapping[str, object]) -> str:
    """SHA-256 (hex) of the subject's canonical JSON."""
    return sha256_hex(subject)
