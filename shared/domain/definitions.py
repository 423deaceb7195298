"""The fold of `upshot.definitions`: which tenants, sources, endpoints and workflows there are, and since when.

Pure: `apply` takes one fact with the bus's append time and returns what changed. A stale save, a taken name or an
unknown id is no error here: it is a verdict, and the state stays as it was.
Next: `verdicts.py` for how the caller hears of it; `shared/runtime/definitions.py` follows the topic.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType

from shared.domain.plans import UNBOUNDED, Quotas
from shared.domain.records import (
    Command,
    DefinitionsFact,
    EndpointCreated,
    EndpointDisabled,
    EndpointEnabled,
    SourceCreated,
    TenantCreated,
    TenantPlanChanged,
    WorkflowArchived,
    WorkflowDisabled,
    WorkflowEnabled,
    WorkflowSaved,
    WorkflowUnarchived,
)
from shared.domain.verdicts import Verdict, still_answers
from shared.domain.workflow import StepPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    id: str
    tenant_id: str
    name: str
    vendor: str
    settings: Mapping[str, object]
    secrets: tuple[str, ...]
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """`revision` rises with every change: approvals bind it."""

    id: str
    tenant_id: str
    name: str
    url: str
    secrets: tuple[str, ...]
    created_at: datetime
    revision: int = 1
    disabled_reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """One saved state of a workflow: immutable, for ever named by (workflow id, number)."""

    number: int
    document: Mapping[str, object]
    steps: tuple[StepPlan, ...]
    high_risk: bool
    author: str
    saved_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """`archived`: out of use, and then never `enabled`; its name may be another's."""

    id: str
    tenant_id: str
    name: str
    enabled: bool
    revisions: tuple[Revision, ...]
    """Oldest first; number n stands at index n - 1."""
    archived: bool = False

    @property
    def newest(self) -> Revision:
        return self.revisions[-1]

    def revision(self, number: int) -> Revision | None:
        """The revision of that number, or None where it has not been folded (yet)."""
        return self.revisions[number - 1] if 0 < number <= len(self.revisions) else None


@dataclass(slots=True, kw_only=True)
class Tenant:
    """One tenant's definitions. `version` counts the facts that changed them: what a match was decided on."""

    id: str
    name: str
    plan: str
    created_at: datetime
    quotas: Quotas = UNBOUNDED
    version: int = 0
    sources: dict[str, Source] = field(default_factory=dict)
    endpoints: dict[str, Endpoint] = field(default_factory=dict)
    workflows: dict[str, Workflow] = field(default_factory=dict)
    _source_names: set[str] = field(default_factory=set)
    _endpoint_ids: dict[str, str] = field(default_factory=dict)
    _workflow_ids: dict[str, str] = field(default_factory=dict)

    def endpoint_named(self, reference: str) -> Endpoint | None:
        """The endpoint with that name, else with that id."""
        return self.endpoints.get(self._endpoint_ids.get(reference, reference))

    def workflow_named(self, name: str) -> Workflow | None:
        """The one that bears the name now: an archived one bears none."""
        return self.workflows.get(self._workflow_ids.get(name, ""))

    def source_named(self, name: str) -> bool:
        """Whether a source has that name."""
        return name in self._source_names

    @property
    def enabled_workflows(self) -> int:
        """How many there are: what a plan counts."""
        return sum(1 for each in self.workflows.values() if each.enabled)

    def put_source(self, source: Source) -> None:
        self.sources[source.id] = source
        self._source_names.add(source.name)

    def put_endpoint(self, endpoint: Endpoint) -> None:
        self.endpoints[endpoint.id] = endpoint
        self._endpoint_ids[endpoint.name] = endpoint.id

    def put_workflow(self, workflow: Workflow) -> None:
        former = self.workflows.get(workflow.id)
        if former is not None and not former.archived:
            del self._workflow_ids[former.name]
        self.workflows[workflow.id] = workflow
        if not workflow.archived:
            self._workflow_ids[workflow.name] = workflow.id


Entity = Tenant | Source | Endpoint | Workflow


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What one fact changed: the entity as it stands now (None: nothing), and the verdict on its command."""

    tenant_id: str
    entity: Entity | None
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: Mapping[str, object]
    entity: Entity | None = None


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
        self._commands: dict[str, _Commands] = {}

    @property
    def tenants(self) -> Mapping[str, Tenant]:
        return MappingProxyType(self._tenants)

    def tenant(self, tenant_id: str) -> Tenant | None:
        return self._tenants.get(tenant_id)

    def source(self, source_id: str) -> Source | None:
        """By id alone: a hook's URL names no tenant."""
        return self._sources.get(source_id)

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

    def _decide(self, tenant_id: str, fact: DefinitionsFact, at: datetime) -> _Answer:
        if isinstance(fact, TenantCreated):
            return self._create_tenant(tenant_id, fact, at)
        tenant = self._tenants.get(tenant_id)
        if tenant is None:
            return _refused(404, "unknown-tenant", f"there is no tenant {tenant_id!r}")
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
                return _save_workflow(tenant, fact, at)
            case WorkflowEnabled():
                return _switch_workflow(tenant, fact.workflow_id, enabled=True)
            case WorkflowDisabled():
                return _switch_workflow(tenant, fact.workflow_id, enabled=False)
            case WorkflowArchived():
                return _archive_workflow(tenant, fact.workflow_id, fact.base_revision)
            case WorkflowUnarchived():
                return _unarchive_workflow(tenant, fact.workflow_id)

    def _create_tenant(self, tenant_id: str, fact: TenantCreated, at: datetime) -> _Answer:
        if tenant_id in self._tenants:
            return _refused(409, "tenant-exists", f"there is a tenant {tenant_id!r} already")
        tenant = Tenant(id=tenant_id, name=fact.name, plan=fact.plan, quotas=fact.quotas, created_at=at)
        self._tenants[tenant_id] = tenant
        return _Answer(201, {"id": tenant_id, "name": fact.name, "plan": fact.plan}, tenant)

    def _create_source(self, tenant: Tenant, fact: SourceCreated, at: datetime) -> _Answer:
        if tenant.source_named(fact.name):
            return _refused(409, "name-taken", f"there is a source named {fact.name!r} already")
        if fact.source_id in tenant.sources:
            return _refused(409, "id-taken", f"there is a source {fact.source_id!r} already")
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
        return _Answer(201, {"id": source.id}, source)


def _change_plan(tenant: Tenant, fact: TenantPlanChanged) -> _Answer:
    changes = (fact.plan, fact.quotas) != (tenant.plan, tenant.quotas)
    tenant.plan, tenant.quotas = fact.plan, fact.quotas
    quotas = {"workflows": fact.quotas.workflows, "runs_per_month": fact.quotas.runs_per_month}
    return _Answer(200, {"id": tenant.id, "plan": fact.plan, "quotas": quotas}, tenant if changes else None)


def _create_endpoint(tenant: Tenant, fact: EndpointCreated, at: datetime) -> _Answer:
    if tenant.endpoint_named(fact.name) is not None:
        return _refused(409, "name-taken", f"there is an endpoint named {fact.name!r} already")
    if fact.endpoint_id in tenant.endpoints:
        return _refused(409, "id-taken", f"there is an endpoint {fact.endpoint_id!r} already")
    endpoint = Endpoint(
        id=fact.endpoint_id, tenant_id=tenant.id, name=fact.name, url=fact.url, secrets=fact.secrets, created_at=at
    )
    tenant.put_endpoint(endpoint)
    return _Answer(201, {"id": endpoint.id, "revision": endpoint.revision}, endpoint)


def _disabled(endpoint: Endpoint, reason: str) -> Endpoint:
    """The first reason stands."""
    return endpoint if endpoint.disabled_reason is not None else replace(endpoint, disabled_reason=reason)


def _change_endpoint(tenant: Tenant, endpoint_id: str, change: Callable[[Endpoint], Endpoint]) -> _Answer:
    endpoint = tenant.endpoints.get(endpoint_id)
    if endpoint is None:
        return _refused(404, "unknown-endpoint", f"there is no endpoint {endpoint_id!r}")
    changed = change(endpoint)
    if changed == endpoint:
        return _Answer(200, {"id": endpoint.id, "revision": endpoint.revision})
    changed = replace(changed, revision=endpoint.revision + 1)
    tenant.put_endpoint(changed)
    return _Answer(200, {"id": changed.id, "revision": changed.revision}, changed)


def _save_workflow(tenant: Tenant, fact: WorkflowSaved, at: datetime) -> _Answer:
    name = str(fact.document.get("name", ""))
    current = tenant.workflows.get(fact.workflow_id)
    if current is not None and current.archived:
        return _is_archived(current)
    namesake = tenant.workflow_named(name)
    if namesake is not None and namesake.id != fact.workflow_id:
        return _name_taken(namesake)
    newest = current.newest.number if current is not None else None
    if fact.base_revision is None and current is not None:
        return _refused(409, "workflow-exists", f"workflow {fact.workflow_id} exists", revision=newest)
    if fact.base_revision is not None and current is None:
        return _refused(404, "unknown-workflow", f"there is no workflow {fact.workflow_id!r}")
    if fact.base_revision != newest:
        return _stale(newest, fact.base_revision)
    if current is None and fact.enabled and (refused := _no_room(tenant)) is not None:
        return refused
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
        revisions=(*former, revision),
    )
    tenant.put_workflow(workflow)
    return _Answer(201 if current is None else 200, {"id": workflow.id, "revision": revision.number}, workflow)


def _switch_workflow(tenant: Tenant, workflow_id: str, *, enabled: bool) -> _Answer:
    workflow = tenant.workflows.get(workflow_id)
    if workflow is None:
        return _refused(404, "unknown-workflow", f"there is no workflow {workflow_id!r}")
    if workflow.archived and enabled:
        return _is_archived(workflow)
    if enabled and not workflow.enabled and (refused := _no_room(tenant)) is not None:
        return refused
    return _replaced_workflow(tenant, workflow, replace(workflow, enabled=enabled), enabled=enabled)


def _archive_workflow(tenant: Tenant, workflow_id: str, base: int | None) -> _Answer:
    workflow = tenant.workflows.get(workflow_id)
    if workflow is None:
        return _refused(404, "unknown-workflow", f"there is no workflow {workflow_id!r}")
    if base is not None and base != workflow.newest.number:
        return _stale(workflow.newest.number, base)
    return _replaced_workflow(tenant, workflow, replace(workflow, archived=True, enabled=False), archived=True)


def _unarchive_workflow(tenant: Tenant, workflow_id: str) -> _Answer:
    workflow = tenant.workflows.get(workflow_id)
    if workflow is None:
        return _refused(404, "unknown-workflow", f"there is no workflow {workflow_id!r}")
    namesake = tenant.workflow_named(workflow.name)
    if workflow.archived and namesake is not None:
        return _name_taken(namesake)
    return _replaced_workflow(tenant, workflow, replace(workflow, archived=False), archived=False)


def _replaced_workflow(tenant: Tenant, workflow: Workflow, changed: Workflow, **members: object) -> _Answer:
    """200 with these members; where it was so already, nothing has changed."""
    body = {"id": workflow.id, "revision": workflow.newest.number, **members}
    if changed == workflow:
        return _Answer(200, body)
    tenant.put_workflow(changed)
    return _Answer(200, body, changed)


def _name_taken(namesake: Workflow) -> _Answer:
    return _refused(409, "name-taken", f"there is a workflow named {namesake.name!r} already", id=namesake.id)


def _is_archived(workflow: Workflow) -> _Answer:
    detail = f"{workflow.name!r} is archived; POST /api/v1/workflows/{workflow.id}/unarchive first"
    return _refused(409, "workflow-archived", detail)


def _stale(newest: int | None, base: int | None) -> _Answer:
    detail = f"the newest revision is {newest}, not {base}: read it, merge, and save on top of it"
    return _refused(412, "stale-revision", detail, revision=newest)


def _no_room(tenant: Tenant) -> _Answer | None:
    """Whether the plan keeps one more workflow from being enabled. What is enabled already stays, whatever the plan."""
    quota = tenant.quotas.workflows
    if quota is None or (enabled := tenant.enabled_workflows) < quota:
        return None
    detail = (
        f"the plan {tenant.plan!r} allows {quota} enabled workflows, and {enabled} are enabled; "
        "disable one, or ask for a larger plan"
    )
    return _refused(409, "plan-workflows", detail, plan=tenant.plan, quota=quota, enabled_workflows=enabled)


def _refused(status: int, kind: str, detail: str, **members: object) -> _Answer:
    return _Answer(status, {"kind": kind, "detail": detail, **members})


def _verdict(command: Command, answer: _Answer, at: datetime) -> Verdict:
    return Verdict(
        command_id=command.id,
        payload_hash=command.payload_hash,
        status=answer.status,
        body=answer.body,
        decided_at=at,
    )
