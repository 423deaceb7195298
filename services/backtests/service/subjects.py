"""Which workflow is to be tried: a draft in the request, or a saved revision; and what it is compared with.

A draft is checked as saving checks it, by the same function, and with every flaw told.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from services.backtests.core.candidate import Candidate, candidate_of, draft_of
from shared.domain.clock import Clock
from shared.domain.definitions import Tenant, Workflow
from shared.domain.errors import Flaw, InvalidInput
from shared.runtime.http import HttpProblem
from shared.workflows.catalogue import Catalogue
from shared.workflows.check import CheckedWorkflow

TenantOf = Callable[[str], Awaitable[Tenant]]
"""The tenant with every definition that is in the log by now. Raises HttpProblem 404."""

CheckDraft = Callable[[object, Tenant], tuple[str, CheckedWorkflow]]
"""A document's name, and what saving it would hold. Raises InvalidInput with every flaw, pointers into the document."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a request names: one of the two; `revision` None: the newest."""

    document: Mapping[str, object] | None
    workflow_id: str | None
    revision: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """`saved`: the workflow in the log that this is, or whose name the draft has; None: a new one."""

    candidate: Candidate
    saved: Workflow | None
    is_draft: bool


class Subjects:
    """Finds them."""

    def __init__(self, tenant_of: TenantOf, check: CheckDraft, catalogue: Catalogue, clock: Clock) -> None:
        self._tenant_of = tenant_of
        self._check = check
        self._catalogue = catalogue
        self._clock = clock

    async def find(self, tenant_id: str, asked: Asked, author: str) -> Subject:
        """Raises InvalidInput with every flaw; HttpProblem 404 for a workflow or revision that is not there."""
        flaws = _flaws(asked)
        if flaws:
            raise InvalidInput("say which workflow is to be tried", flaws)
        tenant = await self._tenant_of(tenant_id)
        if asked.document is not None:
            return self._draft(tenant, asked.document, author)
        return self._saved(tenant, str(asked.workflow_id), asked.revision)

    def _draft(self, tenant: Tenant, document: Mapping[str, object], author: str) -> Subject:
        try:
            name, checked = self._check(document, tenant)
        except InvalidInput as trouble:
            flaws = [
                Flaw(pointer="#/workflow" + flaw.pointer.removeprefix("#"), detail=flaw.detail)
                for flaw in trouble.flaws
            ]
            raise InvalidInput("this draft could not be saved", flaws) from None
        draft = draft_of(tenant, name, checked, author, self._clock.now())
        candidate = candidate_of(tenant, draft, draft.newest, self._catalogue)
        return Subject(candidate=candidate, saved=tenant.workflow_named(name), is_draft=True)

    def _saved(self, tenant: Tenant, reference: str, number: int | None) -> Subject:
        workflow = tenant.workflows.get(reference) or tenant.workflow_named(reference)
        if workflow is None:
            raise HttpProblem(404, "unknown-workflow", f"there is no workflow {reference!r}")
        revision = workflow.newest if number is None else workflow.revision(number)
        if revision is None:
            detail = f"{workflow.name!r} has no revision {number}; the newest is {workflow.newest.number}"
            raise HttpProblem(404, "unknown-revision", detail)
        candidate = candidate_of(tenant, workflow, revision, self._catalogue)
        return Subject(candidate=candidate, saved=workflow, is_draft=False)


def _flaws(asked: Asked) -> list[Flaw]:
    if (asked.document is None) == (asked.workflow_id is None):
        return [Flaw(pointer="#", detail="name either workflow (a document) or workflow_id (a workflow's id or name)")]
    if asked.revision is not None and asked.document is not None:
        return [Flaw(pointer="#/revision", detail="a draft has no revision yet; leave it out, or name a workflow_id")]
    return []
