"""A workflow's past: two of its revisions compared, one of them taken back, a copy made of one."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.api.service.commands import Commands, Intent
from services.api.service.ports import ApiDependencies
from services.api.service.tenants import current_tenant
from services.api.service.workflows import SavedWorkflow, save_workflow, unknown_workflow
from shared.domain.definitions import Revision
from shared.domain.errors import InvalidInput
from shared.runtime.http import HttpProblem
from shared.workflows.changes import DocumentChange, changes_between
from shared.workflows.short_form import short_form, whole_form
from shared.workflows.yaml_text import write_yaml

CHANGES_MAX = 1000
"""Shown of a comparison; nobody reads more."""
TEXT_LINES_MAX = 2000
"""Of each YAML text: what comparing lines costs grows faster than their number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """`text`: a unified diff of the YAML that `upshot export` writes; None where that is too long."""

    changes: Sequence[DocumentChange]
    left_out: int
    text: str | None


def compare(old: Mapping[str, object], new: Mapping[str, object], *, names: tuple[str, str]) -> Comparison:
    """Two documents, each with every default in it, so that a default that is new by now is no change."""
    changes = changes_between(whole_form(old), whole_form(new))
    before, after = (write_yaml(short_form(each)).splitlines(keepends=True) for each in (old, new))
    text = None
    if max(len(before), len(after)) <= TEXT_LINES_MAX:
        text = "".join(difflib.unified_diff(before, after, *names))
    return Comparison(changes=changes[:CHANGES_MAX], left_out=max(0, len(changes) - CHANGES_MAX), text=text)


async def find_revision(it: ApiDependencies, tenant_id: str, workflow_id: str, number: int | None) -> Revision:
    """That revision, or the newest. Raises HttpProblem 404."""
    workflow = (await current_tenant(it, tenant_id)).workflows.get(workflow_id)
    if workflow is None:
        raise unknown_workflow(workflow_id)
    found = workflow.newest if number is None else workflow.revision(number)
    if found is None:
        raise unknown_revision(workflow_id, str(number))
    return found


async def roll_back(
    it: ApiDependencies, commands: Commands, intent: Intent, workflow_id: str, number: int, *, base: int
) -> SavedWorkflow:
    """A new revision on top of `base`, equal to revision `number`. Raises HttpProblem 404, and 422 where it could not be
    saved any more."""
    old = await find_revision(it, intent.tenant_id, workflow_id, number)
    try:
        return await save_workflow(it, commands, intent, old.document, workflow_id=workflow_id, base=base)
    except InvalidInput as trouble:
        raise _unusable(number, trouble) from None


async def clone(
    it: ApiDependencies,
    commands: Commands,
    intent: Intent,
    workflow_id: str,
    name: str,
    number: int | None,
    *,
    clone_id: str,
) -> SavedWorkflow:
    """A new workflow, disabled, like that revision (None: the newest) but for its name. Raises as `roll_back` does."""
    original = await find_revision(it, intent.tenant_id, workflow_id, number)
    document = {**original.document, "name": name}
    try:
        return await save_workflow(it, commands, intent, document, workflow_id=clone_id, base=None, enabled=False)
    except InvalidInput as trouble:
        raise _unusable(original.number, trouble) from None


def unknown_revision(workflow_id: str, text: str) -> HttpProblem:
    return HttpProblem(404, "unknown-revision", f"workflow {workflow_id!r} has no revision {text[:100]!r}")


def _unusable(number: int, trouble: InvalidInput) -> HttpProblem:
    detail = (
        f"revision {number} could not be saved today: {len(trouble.flaws)} of its places no longer hold; "
        "make what they name, or save a document in which they are mended"
    )
    return HttpProblem(422, "revision-unusable", detail, flaws=trouble.flaws, members={"revision": number})
