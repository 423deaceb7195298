"""The workflow that is tried: a draft nobody has saved, or a saved revision, made ready by the compiler that the stream uses.

Next: `rehearsal.py` for one event, `judging.py` for many.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from shared.domain.definitions import Revision, Tenant, Workflow
from shared.domain.errors import InvalidInput
from shared.domain.ids import derive
from shared.workflows.catalogue import Catalogue
from shared.workflows.check import CheckedWorkflow
from shared.workflows.compiled import CompiledStart, CompiledStep, compile_start, compile_steps
from shared.workflows.decide import Budget
from shared.workflows.rules import TenantRules

BUDGET = Budget(conditions=1, seconds=1.0, matches=1, windows=100_000)
"""One workflow is all there is: what the stream leaves unevaluated because of its neighbours is evaluated here. Windows: what
the stream allows a tenant, unless an operator says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One revision, as if it alone were live. `rules` hold nothing else."""

    tenant: Tenant
    workflow: Workflow
    start: CompiledStart
    steps: Mapping[str, CompiledStep]
    rules: TenantRules


def candidate_of(tenant: Tenant, workflow: Workflow, revision: Revision, catalogue: Catalogue) -> Candidate:
    """`revision` of `workflow`, whether or not that is enabled. Raises InvalidInput where it no longer compiles."""
    alone = replace(workflow, enabled=True, revisions=(revision,))
    start = compile_start(alone, revision, catalogue)
    steps = compile_steps(revision)
    rules = TenantRules(catalogue)
    rules.put(alone)
    if alone.id in rules.broken:
        raise InvalidInput(f"this revision cannot be tried: {rules.broken[alone.id]}")
    return Candidate(tenant=tenant, workflow=alone, start=start, steps=steps, rules=rules)


def draft_of(tenant: Tenant, name: str, checked: CheckedWorkflow, author: str, at: datetime) -> Workflow:
    """A checked document as the workflow that saving it would make: a revision on top where the name is known."""
    known = tenant.workflow_named(name)
    revision = Revision(
        number=known.newest.number + 1 if known is not None else 1,
        document=checked.document,
        steps=checked.steps,
        high_risk=checked.high_risk,
        author=author,
        saved_at=at,
    )
    workflow_id = known.id if known is not None else derive("draft", tenant.id, name)
    return Workflow(id=workflow_id, tenant_id=tenant.id, name=name, enabled=True, revisions=(revision,))
