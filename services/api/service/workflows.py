"""Saving workflows and asking for runs of them."""

from collections.abc import Mapping
from dataclasses import dataclass

from services.api.core.inputs import check_inputs, check_schemas
from services.api.core.references import unknown_sources
from services.api.service.commands import Commands, Intent, succeeded
from services.api.service.hooks import ShownHook, draw_hooks, hooks_after_saving
from services.api.service.ports import ApiDependencies
from services.api.service.tenants import current_tenant
from shared.domain.definitions import Tenant
from shared.domain.errors import Flaw, InvalidInput
from shared.domain.ids import derive, requested_run_id
from shared.domain.records import RunRequested, WorkflowSaved
from shared.domain.verdicts import Verdict
from shared.expressions import TooMuchTogether
from shared.runtime.http import HttpProblem
from shared.workflows.catalogue import Catalogue
from shared.workflows.check import CheckedWorkflow, check_document
from shared.workflows.compiled import compile_start, compile_steps
from shared.workflows.context import start_context
from shared.workflows.document import parse_document, pointer_to
from shared.workflows.hooks import hook_flaws, placed_hooks
from shared.workflows.starting import StartRequest, build_match


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedWorkflow:
    """`hooks`: its inbound URLs, with the secrets that were made just now. `repeated`: those that stand are of an earlier
    try, or may be."""

    verdict: Verdict | None
    hooks: tuple[ShownHook, ...]
    repeated: bool


def workflow_id_of(intent: Intent) -> str:
    """Equal for every repetition of the command."""
    return derive("workflow", intent.tenant_id, intent.command.id)


def run_id_of(intent: Intent, workflow_id: str) -> str:
    """Of the run that is asked for: equal for every repetition of the command."""
    return requested_run_id(intent.tenant_id, workflow_id, intent.command.id)


async def save_workflow(
    it: ApiDependencies,
    commands: Commands,
    intent: Intent,
    document: object,
    *,
    workflow_id: str,
    base: int | None,
    enabled: bool = True,
) -> SavedWorkflow:
    """A new workflow (`base` None) or a revision on top of `base`. Raises InvalidInput with every flaw, HttpProblem 404.

    `enabled`: how a new one begins.
    """
    tenant = await current_tenant(it, intent.tenant_id)
    if base is not None and workflow_id not in tenant.workflows:
        raise unknown_workflow(workflow_id)
    _, checked = check_draft(document, tenant, it.catalogue, allow_unsigned=it.allow_unsigned_sources)
    drawn = await draw_hooks(it, tenant, workflow_id, checked.document)
    standing = tenant.workflows.get(workflow_id)
    is_ahead = (standing.newest.number if standing is not None else None) != base
    fact = WorkflowSaved(
        workflow_id=workflow_id,
        base_revision=base,
        document=checked.document,
        steps=checked.steps,
        high_risk=checked.high_risk,
        command=intent.command,
        enabled=enabled,
        hooks=drawn.plans,
    )
    verdict = await commands.carry_out(intent, fact)
    hooks = await hooks_after_saving(it, intent, workflow_id, checked.document, drawn, verdict)
    withheld = bool(drawn.secrets) and not any(each.secret for each in hooks)
    # What was ahead of it and yet did not refuse it is an earlier try of the same.
    repeated = (is_ahead or withheld) and (verdict is None or succeeded(verdict))
    return SavedWorkflow(verdict=verdict, hooks=hooks, repeated=repeated)


def check_draft(
    document: object, tenant: Tenant, catalogue: Catalogue, *, allow_unsigned: bool
) -> tuple[str, CheckedWorkflow]:
    """All that saving demands: the name, and what the record would hold. Raises InvalidInput with every flaw.

    `allow_unsigned`: whether anybody may be let send to a hook.
    """
    parsed = parse_document(document)
    check_schemas(parsed)
    endpoints = {key: each.name for each in tenant.endpoints.values() for key in (each.name, each.id)}
    flaws = [
        *unknown_sources(parsed, tenant.sources),
        *hook_flaws(placed_hooks(parsed, catalogue), allow_unsigned=allow_unsigned),
    ]
    try:
        checked = check_document(parsed, catalogue, endpoints=endpoints)
    except InvalidInput as trouble:
        raise InvalidInput(trouble.title, [*trouble.flaws, *flaws]) from None
    if flaws:
        raise InvalidInput("this workflow cannot be saved", flaws)
    return parsed.name, checked


async def newest_revision(it: ApiDependencies, tenant_id: str, workflow_id: str) -> int:
    """Of a workflow that exists. Raises HttpProblem 404."""
    tenant = await current_tenant(it, tenant_id)
    workflow = tenant.workflows.get(workflow_id)
    if workflow is None:
        raise unknown_workflow(workflow_id)
    return workflow.newest.number


async def request_run(
    it: ApiDependencies, commands: Commands, intent: Intent, workflow_id: str, inputs: Mapping[str, object]
) -> Verdict | None:
    """A run of the newest revision, under `run_id_of`. Raises HttpProblem 404 or 409, InvalidInput for the inputs."""
    tenant = await current_tenant(it, intent.tenant_id)
    workflow = tenant.workflows.get(workflow_id)
    if workflow is None:
        raise unknown_workflow(workflow_id)
    if workflow.archived:
        detail = f"{workflow.name!r} is archived; POST /api/v1/workflows/{workflow_id}/unarchive and /enable first"
        raise HttpProblem(409, "workflow-archived", detail)
    if not workflow.enabled:
        detail = f"{workflow.name!r} is disabled; POST /api/v1/workflows/{workflow_id}/enable first"
        raise HttpProblem(409, "workflow-disabled", detail)
    revision = workflow.newest
    start = compile_start(workflow, revision, it.catalogue)
    if not start.manual:
        detail = f"{workflow.name!r} has no manual trigger; add {{manual: {{}}}} to its trigger"
        raise HttpProblem(409, "workflow-not-manual", detail)
    check_inputs(parse_document(revision.document), inputs)
    context = start_context(
        tenant_id=intent.tenant_id,
        workflow_id=workflow.id,
        workflow_name=workflow.name,
        revision=revision.number,
        event=None,
        inputs=inputs,
    )
    request = StartRequest(
        run_id=run_id_of(intent, workflow_id), event=None, inputs=inputs, author=intent.caller.subject
    )
    try:
        match = build_match(tenant, start, request, context, lambda: compile_steps(revision))
    except TooMuchTogether as error:
        detail = f"the steps that somebody would have to approve are too much to be shown, {error}"
        raise InvalidInput("it cannot be approved", [Flaw(pointer=pointer_to("inputs"), detail=detail)]) from None
    fact = RunRequested(match=match, inputs=dict(inputs), command=intent.command)
    return await commands.carry_out(intent, fact)


def unknown_workflow(workflow_id: str) -> HttpProblem:
    return HttpProblem(404, "unknown-workflow", f"there is no workflow {workflow_id!r}")
