"""What becomes of workflows: saved, switched, archived. Pure decisions on one tenant, for the fold in `definitions.py`."""

from dataclasses import replace
from datetime import datetime

from shared.domain.answers import Answer, refused
from shared.domain.counting import counted
from shared.domain.hooks import HOOK_SECRETS_MAX, rotated, saved_hooks
from shared.domain.records import HookSecretRotated, WorkflowSaved
from shared.domain.tenant import Revision, Tenant, Workflow


def save_workflow(tenant: Tenant, fact: WorkflowSaved, at: datetime) -> Answer:
    name = str(fact.document.get("name", ""))
    current = tenant.workflows.get(fact.workflow_id)
    if current is not None and current.archived:
        return _is_archived(current)
    namesake = tenant.workflow_named(name)
    if namesake is not None and namesake.id != fact.workflow_id:
        return _name_taken(namesake)
    newest = current.newest.number if current is not None else None
    if fact.base_revision is None and current is not None:
        return refused(409, "workflow-exists", f"workflow {fact.workflow_id} exists", revision=newest)
    if fact.base_revision is not None and current is None:
        return refused(404, "unknown-workflow", f"there is no workflow {fact.workflow_id!r}")
    if fact.base_revision != newest:
        return _stale(newest, fact.base_revision)
    if current is None and fact.enabled and (full := _no_room(tenant)) is not None:
        return full
    revision = Revision(
        number=(newest or 0) + 1,
        document=fact.document,
        steps=fact.steps,
        high_risk=fact.high_risk,
        author=fact.command.actor,
        saved_at=at,
    )
    former = current.revisions if current is not None else ()
    workflow = Workflow(
        id=fact.workflow_id,
        tenant_id=tenant.id,
        name=name,
        enabled=current.enabled if current is not None else fact.enabled,
        enabled_at=current.enabled_at if current is not None else at,
        revisions=(*former, revision),
        hooks=saved_hooks(current.hooks if current is not None else (), fact.hooks, tenant.id, fact.workflow_id, at),
    )
    tenant.put_workflow(workflow)
    return Answer(201 if current is None else 200, {"id": workflow.id, "revision": revision.number}, workflow)


def switch_workflow(tenant: Tenant, workflow_id: str, at: datetime, *, enabled: bool) -> Answer:
    workflow = tenant.workflows.get(workflow_id)
    if workflow is None:
        return refused(404, "unknown-workflow", f"there is no workflow {workflow_id!r}")
    if workflow.archived and enabled:
        return _is_archived(workflow)
    if enabled and not workflow.enabled and (full := _no_room(tenant)) is not None:
        return full
    enabled_at = at if enabled and not workflow.enabled else workflow.enabled_at
    changed = replace(workflow, enabled=enabled, enabled_at=enabled_at)
    return _replaced_workflow(tenant, workflow, changed, enabled=enabled)


def archive_workflow(tenant: Tenant, workflow_id: str, base: int | None) -> Answer:
    workflow = tenant.workflows.get(workflow_id)
    if workflow is None:
        return refused(404, "unknown-workflow", f"there is no workflow {workflow_id!r}")
    if base is not None and base != workflow.newest.number:
        return _stale(workflow.newest.number, base)
    return _replaced_workflow(tenant, workflow, replace(workflow, archived=True, enabled=False), archived=True)


def unarchive_workflow(tenant: Tenant, workflow_id: str) -> Answer:
    workflow = tenant.workflows.get(workflow_id)
    if workflow is None:
        return refused(404, "unknown-workflow", f"there is no workflow {workflow_id!r}")
    namesake = tenant.workflow_named(workflow.name)
    if workflow.archived and namesake is not None:
        return _name_taken(namesake)
    return _replaced_workflow(tenant, workflow, replace(workflow, archived=False), archived=False)


def rotate_secret(tenant: Tenant, fact: HookSecretRotated, at: datetime) -> Answer:
    workflow = tenant.workflows.get(fact.workflow_id)
    hook = workflow.hook(fact.hook_id) if workflow is not None else None
    if workflow is None or hook is None:
        return refused(404, "unknown-hook", f"workflow {fact.workflow_id!r} has no hook {fact.hook_id!r}")
    if not hook.secrets:
        return refused(409, "hook-without-secret", "deliveries to this hook are not proved by a secret")
    changed = rotated(hook, fact.secret, fact.overlap_seconds, at)
    if changed is None:
        detail = (
            f"{HOOK_SECRETS_MAX} secrets of this hook are valid still; wait until one has run out, "
            "or end them all with overlap_seconds: 0"
        )
        return refused(409, "too-many-secrets", detail)
    hooks = tuple(changed if each.id == hook.id else each for each in workflow.hooks)
    replaced = replace(workflow, hooks=hooks)
    tenant.put_workflow(replaced)
    former = [each.until for each in changed.secrets[1:] if each.until is not None]
    until = max(former).isoformat() if former else None
    return Answer(200, {"id": workflow.id, "hook_id": hook.id, "former_valid_until": until}, replaced)


def _replaced_workflow(tenant: Tenant, workflow: Workflow, changed: Workflow, **members: object) -> Answer:
    """200 with these members; where it was so already, nothing has changed."""
    body = {"id": workflow.id, "revision": workflow.newest.number, **members}
    if changed == workflow:
        return Answer(200, body)
    tenant.put_workflow(changed)
    return Answer(200, body, changed)


def _name_taken(namesake: Workflow) -> Answer:
    return refused(409, "name-taken", f"there is a workflow named {namesake.name!r} already", id=namesake.id)


def _is_archived(workflow: Workflow) -> Answer:
    detail = f"{workflow.name!r} is archived; POST /api/v1/workflows/{workflow.id}/unarchive first"
    return refused(409, "workflow-archived", detail)


def _stale(newest: int | None, base: int | None) -> Answer:
    detail = f"the newest revision is {newest}, not {base}: read it, merge, and save on top of it"
    return refused(412, "stale-revision", detail, revision=newest)


def _no_room(tenant: Tenant) -> Answer | None:
    """Whether the plan keeps one more workflow from being enabled. What is enabled already stays, whatever the plan."""
    quota = tenant.quotas.workflows
    if quota is None or (enabled := tenant.enabled_workflows) < quota:
        return None
    detail = (
        f"the plan {tenant.plan!r} allows {counted(quota, 'enabled workflow')}, and {counted(enabled, 'is', 'are')} enabled; "
        "disable one, or ask for a larger plan"
    )
    return refused(409, "plan-workflows", detail, plan=tenant.plan, quota=quota, enabled_workflows=enabled)
