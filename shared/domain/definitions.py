"""The fold of `upshot.definitions`: which tenants, sources, endpoints and workflows there are, and since when.

Pure: `apply` takes one fact with the bus's append time and returns what changed. A stale save, a taken name or an
unknown id is no error here: it is a verdict, and the state stays as it was.
Next: `tenant.py` for what is kept, `workflow_decisions.py` for what becomes of workflows, `verdicts.py` for how the caller
hears of it; `shared/runtime/definitions.py` follows the topic.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType

from shared.domain.answers import Answer, refused
from shared.domain.hooks import Hook
from shared.domain.records import (
    Command,
    DefinitionsFact,
    EndpointCreated,
    EndpointDisabled,
    EndpointEnabled,
    HookSecretRotated,
    SourceCreated,
    TenantCreated,
    TenantPlanChanged,
    WorkflowArchived,
    WorkflowDisabled,
    WorkflowEnabled,
    WorkflowSaved,
    WorkflowUnarchived,
)
from shared.domain.tenant import Endpoint, Entity, Revision, Source, Tenant, Workflow
from shared.domain.verdicts import Verdict, still_answers
from shared.domain.workflow_decisions import (
    archive_workflow,
    rotate_secret,
    save_workflow,
    switch_workflow,
    unarchive_workflow,
)

__all__ = ["Change", "Definitions", "Endpoint", "Entity", "Revision", "Source", "Tenant", "Workflow"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What one fact changed: the entity as it stands now (None: nothing), and the verdict on its command."""

    tenant_id: str
    entity: Entity | None
    verdict: Verdict


@dataclass(slots=True)
class _Commands:
    """One tenant's verdicts of the last 30 days by the tenant's own time, oldest first.

    Time is per tenant, since nothing orders the records of two partitions: a verdict that is forgotten is one that could
    never answer again, in whatever order the partitions are read.
    """

    now: datetime
    verdicts: OrderedDict[str, Verdict] = field(default_factory=OrderedDict)

    def move_to(self, recorded_at: datetime) -> None:
        self.now = max(self.now, recorded_at)
        while self.verdicts:
            oldest = next(iter(self.verdicts.values()))
            if still_answers(oldest, self.now):
                return
            del self.verdicts[oldest.command_id]


class Definitions:
    """All tenants of the folded partitions."""

    def __init__(self) -> None:
        self._tenants: dict[str, Tenant] = {}
        self._sources: dict[str, Source] = {}
        self._hooks: dict[str, Hook] = {}
        self._commands: dict[str, _Commands] = {}

    @property
    def tenants(self) -> Mapping[str, Tenant]:
        return MappingProxyType(self._tenants)

    def tenant(self, tenant_id: str) -> Tenant | None:
        return self._tenants.get(tenant_id)

    def source(self, source_id: str) -> Source | None:
        """By id alone: a hook's URL names no tenant."""
        return self._sources.get(source_id)

    def hook(self, hook_id: str) -> tuple[Workflow, Hook] | None:
        """By id alone, as sources: a workflow's inbound URL, as both stand now."""
        holder = self._hooks.get(hook_id)
        tenant = self._tenants.get(holder.tenant_id) if holder is not None else None
        workflow = tenant.workflows.get(holder.workflow_id) if holder is not None and tenant is not None else None
        hook = workflow.hook(hook_id) if workflow is not None else None
        return (workflow, hook) if workflow is not None and hook is not None else None

    def verdict(self, tenant_id: str, command_id: str) -> Verdict | None:
        commands = self._commands.get(tenant_id)
        return commands.verdicts.get(command_id) if commands is not None else None

    def apply(self, tenant_id: str, fact: DefinitionsFact, recorded_at: datetime) -> Change:
        """Fold one fact. Repeating a command changes nothing and finds its first verdict."""
        commands = self._commands.setdefault(tenant_id, _Commands(recorded_at))
        commands.move_to(recorded_at)
        former = commands.verdicts.get(fact.command.id)
        if former is not None:
            return Change(tenant_id=tenant_id, entity=None, verdict=former)
        answer = self._decide(tenant_id, fact, commands.now)
        tenant = self._tenants.get(tenant_id)
        if answer.entity is not None and tenant is not None:
            tenant.version += 1
        verdict = _verdict(fact.command, answer, commands.now)
        commands.verdicts[fact.command.id] = verdict
        return Change(tenant_id=tenant_id, entity=answer.entity, verdict=verdict)

    def _decide(self, tenant_id: str, fact: DefinitionsFact, at: datetime) -> Answer:
        if isinstance(fact, TenantCreated):
            return self._create_tenant(tenant_id, fact, at)
        tenant = self._tenants.get(tenant_id)
        if tenant is None:
            return refused(404, "unknown-tenant", f"there is no tenant {tenant_id!r}")
        match fact:
            case TenantPlanChanged():
                return _change_plan(tenant, fact)
            case SourceCreated():
                return self._create_source(tenant, fact, at)
            case EndpointCreated():
                return _create_endpoint(tenant, fact, at)
            case EndpointDisabled():
                reason = fact.reason
                return _change_endpoint(tenant, fact.endpoint_id, lambda it: _disabled(it, reason))
            case EndpointEnabled():
                return _change_endpoint(tenant, fact.endpoint_id, lambda it: replace(it, disabled_reason=None))
            case WorkflowSaved():
                answer = save_workflow(tenant, fact, at)
                if isinstance(answer.entity, Workflow):
                    self._hold_hooks(answer.entity)
                return answer
            case WorkflowEnabled():
                return switch_workflow(tenant, fact.workflow_id, at, enabled=True)
            case WorkflowDisabled():
                return switch_workflow(tenant, fact.workflow_id, at, enabled=False)
            case WorkflowArchived():
                return archive_workflow(tenant, fact.workflow_id, fact.base_revision)
            case WorkflowUnarchived():
                return unarchive_workflow(tenant, fact.workflow_id)
            case HookSecretRotated():
                return rotate_secret(tenant, fact, at)

    def _create_tenant(self, tenant_id: str, fact: TenantCreated, at: datetime) -> Answer:
        if tenant_id in self._tenants:
            return refused(409, "tenant-exists", f"there is a tenant {tenant_id!r} already")
        tenant = Tenant(id=tenant_id, name=fact.name, plan=fact.plan, quotas=fact.quotas, created_at=at)
        self._tenants[tenant_id] = tenant
        return Answer(201, {"id": tenant_id, "name": fact.name, "plan": fact.plan}, tenant)

    def _create_source(self, tenant: Tenant, fact: SourceCreated, at: datetime) -> Answer:
        if tenant.source_named(fact.name):
            return refused(409, "name-taken", f"there is a source named {fact.name!r} already")
        if fact.source_id in tenant.sources:
            return refused(409, "id-taken", f"there is a source {fact.source_id!r} already")
        source = Source(
            id=fact.source_id,
            tenant_id=tenant.id,
            name=fact.name,
            vendor=fact.vendor,
            settings=fact.settings,
            secrets=fact.secrets,
            created_at=at,
        )
        tenant.put_source(source)
        # Ids are derived, so no two tenants share one; were one to claim another's, its owner is whoever came first, in
        # whatever order the partitions are read.
        holder = self._sources.get(source.id)
        if holder is None or (at, tenant.id) < (holder.created_at, holder.tenant_id):
            self._sources[source.id] = source
        return Answer(201, {"id": source.id}, source)

    def _hold_hooks(self, workflow: Workflow) -> None:
        """Whose each hook is; were two to claim one, as of sources, it is whoever came first."""
        for hook in workflow.hooks:
            holder = self._hooks.get(hook.id)
            if holder is None or _claim(hook) < _claim(holder):
                self._hooks[hook.id] = hook


def _claim(hook: Hook) -> tuple[datetime, str, str]:
    return hook.made_at, hook.tenant_id, hook.workflow_id


def _change_plan(tenant: Tenant, fact: TenantPlanChanged) -> Answer:
    changes = (fact.plan, fact.quotas) != (tenant.plan, tenant.quotas)
    tenant.plan, tenant.quotas = fact.plan, fact.quotas
    quotas = {"workflows": fact.quotas.workflows, "runs_per_month": fact.quotas.runs_per_month}
    return Answer(200, {"id": tenant.id, "plan": fact.plan, "quotas": quotas}, tenant if changes else None)


def _create_endpoint(tenant: Tenant, fact: EndpointCreated, at: datetime) -> Answer:
    if tenant.endpoint_named(fact.name) is not None:
        return refused(409, "name-taken", f"there is an endpoint named {fact.name!r} already")
    if fact.endpoint_id in tenant.endpoints:
        return refused(409, "id-taken", f"there is an endpoint {fact.endpoint_id!r} already")
    endpoint = Endpoint(
        id=fact.endpoint_id, tenant_id=tenant.id, name=fact.name, url=fact.url, secrets=fact.secrets, created_at=at
    )
    tenant.put_endpoint(endpoint)
    return Answer(201, {"id": endpoint.id, "revision": endpoint.revision}, endpoint)


def _disabled(endpoint: Endpoint, reason: str) -> Endpoint:
    """The first reason stands."""
    return endpoint if endpoint.disabled_reason is not None else replace(endpoint, disabled_reason=reason)


def _change_endpoint(tenant: Tenant, endpoint_id: str, change: Callable[[Endpoint], Endpoint]) -> Answer:
    endpoint = tenant.endpoints.get(endpoint_id)
    if endpoint is None:
        return refused(404, "unknown-endpoint", f"there is no endpoint {endpoint_id!r}")
    changed = change(endpoint)
    if changed == endpoint:
        return Answer(200, {"id": endpoint.id, "revision": endpoint.revision})
    changed = replace(changed, revision=endpoint.revision + 1)
    tenant.put_endpoint(changed)
    return Answer(200, {"id": changed.id, "revision": changed.revision}, changed)


def _verdict(command: Command, answer: Answer, at: datetime) -> Verdict:
    return Verdict(
        command_id=command.id,
        payload_hash=command.payload_hash,
        status=answer.status,
        body=answer.body,
        decided_at=at,
    )
