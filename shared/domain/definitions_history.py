"""Every state that one tenant's workflows were in, folded from `upshot.definitions` and kept as names and numbers only.

Pure. What a version meant is told by the same fold that everybody has; documents are left out, since revisions are
immutable and stand in the tenant of today. Guarantee: `as_of(version)` is what a tenant at that version had.
Next: `shared/runtime/histories.py` reads it from the log.
"""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from shared.domain.definitions import Definitions, Workflow
from shared.domain.records import DefinitionsFact, WorkflowSaved


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowThen:
    """A workflow at some version: `revision` was its newest."""

    id: str
    name: str
    enabled: bool
    archived: bool
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DefinitionsThen:
    """A tenant's workflows at a version; `at`: when that version began, by the log's own time."""

    version: int
    at: datetime
    workflows: Mapping[str, WorkflowThen]


class TenantHistory:
    """Of one tenant, as far as it has been folded."""

    def __init__(self, tenant_id: str) -> None:
        self._tenant_id = tenant_id
        self._fold = Definitions()
        self._times: list[datetime] = []
        """When version n began, at index n - 1."""
        self._changed: list[WorkflowThen | None] = []
        """What version n changed of a workflow, at index n - 1."""

    @property
    def version(self) -> int:
        """The newest."""
        return len(self._times)

    def apply(self, fact: DefinitionsFact, recorded_at: datetime) -> None:
        """The tenant's next fact, with the log's append time."""
        if isinstance(fact, WorkflowSaved):
            fact = replace(fact, document={"name": fact.document.get("name", "")}, steps=())
        change = self._fold.apply(self._tenant_id, fact, recorded_at)
        if change.entity is None:
            return
        self._times.append(change.verdict.decided_at)
        self._changed.append(_then(change.entity) if isinstance(change.entity, Workflow) else None)

    def version_at(self, instant: datetime) -> int:
        """The last version that began at this instant or before it; 0 before the tenant was made."""
        return bisect_right(self._times, instant)

    def as_of(self, version: int) -> DefinitionsThen | None:
        """None for a version that there is not, 0 among them."""
        if not 0 < version <= self.version:
            return None
        changes = (each for each in self._changed[:version] if each is not None)
        return DefinitionsThen(
            version=version, at=self._times[version - 1], workflows={each.id: each for each in changes}
        )


def _then(workflow: Workflow) -> WorkflowThen:
    return WorkflowThen(
        id=workflow.id,
        name=workflow.name,
        enabled=workflow.enabled,
        archived=workflow.archived,
        revision=workflow.newest.number,
    )
