"""A tenant with all that it has defined, as the fold of `upshot.definitions` keeps it.

Next: `definitions.py`, the fold.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from shared.domain.hooks import Hook
from shared.domain.plans import UNBOUNDED, Quotas
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
    enabled_at: datetime | None = None
    """When it was last enabled, or made; schedules make up for nothing before."""
    hooks: tuple[Hook, ...] = ()
    """Every inbound URL that it ever had, those of the newest revision first."""

    @property
    def newest(self) -> Revision:
        return self.revisions[-1]

    def revision(self, number: int) -> Revision | None:
        """The revision of that number, or None where it has not been folded (yet)."""
        return self.revisions[number - 1] if 0 < number <= len(self.revisions) else None

    def hook(self, hook_id: str) -> Hook | None:
        """The inbound URL of that id, whether the newest revision names it or not."""
        return next((each for each in self.hooks if each.id == hook_id), None)


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
