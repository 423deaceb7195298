"""Approvals: what exactly is asked for, and one person's decision on it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from services.api.core.timeline import decode_entries
from services.api.service.commands import Commands, Intent
from services.api.service.log_reader import LogReader
from services.api.service.ports import ApiDependencies
from services.api.service.runs import find_run, origin_of
from services.api.service.tenants import current_tenant
from shared.bus import facts
from shared.bus.topics import RUNS
from shared.domain.records import ApprovalDecided, EventMatched, RunRequested, SourceEvent, WindowElapsed
from shared.domain.verdicts import Verdict
from shared.domain.workflow import Match
from shared.expressions import TooMuchTogether
from shared.readmodel.tenant_values import ApprovalItem, RunDetail
from shared.runtime.http import HttpProblem, require_any
from shared.workflows.compiled import compile_steps
from shared.workflows.context import event_view, start_context
from shared.workflows.subject import approval_subject, subject_hash


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownApproval:
    """`subject`: what would run now; `current_hash`: its hash. Where it is not the approval's own, what was asked for has
    changed since, and a grant will not start it."""

    approval: ApprovalItem
    subject: Mapping[str, object] | None
    current_hash: str | None


async def find_approval(it: ApiDependencies, tenant_id: str, approval_id: str) -> ApprovalItem:
    """Raises HttpProblem 404."""
    approval = await it.queries.get_approval(tenant_id, approval_id)
    if approval is None:
        raise HttpProblem(404, "unknown-approval", f"there is no approval {approval_id!r}")
    return approval


async def show_approval(it: ApiDependencies, log: LogReader, tenant_id: str, approval_id: str) -> ShownApproval:
    """The approval with its subject, made anew from the log and the definitions as the executor will make it."""
    approval = await find_approval(it, tenant_id, approval_id)
    return await _show(it, log, approval, await find_run(it, tenant_id, approval.run_id))


async def _show(it: ApiDependencies, log: LogReader, approval: ApprovalItem, detail: RunDetail) -> ShownApproval:
    (entry,) = decode_entries(await log.at(RUNS, detail.partition, detail.positions[:1]))
    fact = facts.runs_fact(entry.event)
    asked: Match | None = None
    event: SourceEvent | None = None
    inputs: Mapping[str, object] = {}
    if isinstance(fact, EventMatched):
        asked, event = next((each for each in fact.matches if each.run_id == approval.run_id), None), fact.event
    elif isinstance(fact, RunRequested):
        asked, inputs = fact.match, fact.inputs
    elif isinstance(fact, WindowElapsed):
        asked, event = fact.match, fact.event
    subject = await _subject(it, approval.tenant_id, asked, event, inputs) if asked is not None else None
    current = subject_hash(subject) if subject is not None else None
    return ShownApproval(approval=approval, subject=subject, current_hash=current)


async def decide(
    it: ApiDependencies,
    commands: Commands,
    log: LogReader,
    intent: Intent,
    approval_id: str,
    *,
    decision: Literal["granted", "denied"],
    reason: str,
    hash_shown: str | None,
) -> Verdict | None:
    """Append one decision. Refused early where the read model knows better: 404, 403, or 409 with who decided and when.

    Without `hash_shown` the decision is on what the approval was asked for.
    """
    approval = await find_approval(it, intent.tenant_id, approval_id)
    if approval.status != "pending":
        raise already_decided(approval)
    require_any(intent.caller, approval.roles)
    detail = await find_run(it, intent.tenant_id, approval.run_id)
    if decision == "granted":
        _refuse_changed(await _show(it, log, approval, detail))
    fact = ApprovalDecided(
        run_id=approval.run_id,
        decision=decision,
        reason=reason,
        subject_hash=hash_shown or approval.subject_hash,
        command=intent.command,
    )
    verdict = await commands.carry_out(intent, fact, origin_of(detail))
    if verdict is not None and verdict.status == 409 and verdict.body.get("kind") == "run-ended":
        # Somebody was faster: the run has ended meanwhile, and the fold forgets ended runs. The read model does not.
        standing = await find_approval(it, intent.tenant_id, approval_id)
        if standing.status != "pending":
            raise already_decided(standing)
    return verdict


def _refuse_changed(shown: ShownApproval) -> None:
    """The executor would void such a grant: whoever gives it is told now."""
    if shown.current_hash in (None, shown.approval.subject_hash):
        return
    detail = (
        "what would run is no longer what this approval was asked for, so no grant can start it: deny it, "
        "and let the run be asked for anew"
    )
    raise HttpProblem(409, "approval-changed", detail, members={"current_hash": shown.current_hash})


def already_decided(approval: ApprovalItem) -> HttpProblem:
    """409: who decided, and when."""
    at = approval.decided_at.isoformat() if approval.decided_at is not None else None
    by = f" by {approval.decided_by}" if approval.decided_by else ""
    return HttpProblem(
        409,
        "approval-decided",
        f"already {approval.status}{by}" + (f" at {at}" if at else ""),
        members={
            "run_id": approval.run_id,
            "decision": approval.status,
            "decided_by": approval.decided_by,
            "decided_at": at,
        },
    )


async def _subject(
    it: ApiDependencies, tenant_id: str, asked: Match, event: SourceEvent | None, inputs: Mapping[str, object]
) -> Mapping[str, object] | None:
    tenant = await current_tenant(it, tenant_id)
    workflow = tenant.workflows.get(asked.workflow_id)
    revision = workflow.revision(asked.revision) if workflow is not None else None
    if revision is None:
        return None
    context = start_context(
        tenant_id=tenant_id,
        workflow_id=asked.workflow_id,
        workflow_name=asked.workflow_name,
        revision=asked.revision,
        event=event_view(event, tenant_id) if event is not None else None,
        inputs=inputs,
    )
    steps = compile_steps(revision)
    try:
        return approval_subject(
            tenant, run_id=asked.run_id, context=context, event=event, steps=steps, plans=asked.steps
        )
    except TooMuchTogether as error:  # asked for by an earlier version; such a run is never begun
        return {"cannot_be_shown": str(error)}
