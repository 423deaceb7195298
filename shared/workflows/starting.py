"""From a compiled revision to the `Match` that asks for one run of it: limits, cooldown key and approval rule filled in.

The matcher builds matches for events, the API for manual runs; the fold decides on both alike.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from shared.domain.definitions import Tenant
from shared.domain.records import SourceEvent
from shared.domain.windows import KEY_CHARS_MAX
from shared.domain.workflow import ApprovalRule, Limits, Match, MonthlyQuota, SharedLimit
from shared.expressions import Template, TemplateError, render_text
from shared.schedules import Overlap
from shared.workflows.compiled import CompiledSharedLimit, CompiledStart, CompiledStep
from shared.workflows.context import Context
from shared.workflows.subject import approval_subject, subject_hash


@dataclass(slots=True, kw_only=True, unsafe_hash=True)  # a value, but freezing costs 0.1 µs a field
class StartRequest:
    """What asks for the run. `author`: whose own grant does not count as an approval."""

    run_id: str
    event: SourceEvent | None
    inputs: Mapping[str, object]
    author: str


def build_match(
    tenant: Tenant,
    start: CompiledStart,
    request: StartRequest,
    context: Context,
    steps: Callable[[], Mapping[str, CompiledStep]],
    *,
    overlap: Overlap = "allow",
) -> Match:
    """`overlap`: what becomes of it while an earlier run of the workflow goes on.

    `context` is `start_context` of this run; it is read only for cooldowns' keys and for an approval.
    """
    cooldown_key, cooldown_problem = _rendered(start.cooldown_key, context)
    return Match(
        run_id=request.run_id,
        workflow_id=start.workflow.id,
        workflow_name=start.workflow.name,
        revision=start.revision.number,
        steps=start.revision.steps,
        limits=_without_overlap(start.limits, overlap),
        bounds_pending=overlap != "allow",
        priority=start.priority,
        stop_on_match=start.stop_on_match,
        approval=_approval_rule(tenant, start, request, context, steps),
        cooldown_key=cooldown_key,
        cooldown_problem=cooldown_problem,
        shared=tuple(_shared_limit(each, context) for each in start.shared),
        quota=_monthly_quota(tenant),
    )


def _without_overlap(limits: Limits, overlap: Overlap) -> Limits:
    match overlap:
        case "allow":
            return limits
        case "skip":
            return replace(limits, max_concurrent=1, max_queued=0)
        case "queue":
            return replace(limits, max_concurrent=1)


def _shared_limit(shared: CompiledSharedLimit, context: Context) -> SharedLimit:
    key, problem = _rendered(shared.key, context)
    return replace(shared.limit, cooldown_key=key, cooldown_problem=problem)


def _monthly_quota(tenant: Tenant) -> MonthlyQuota | None:
    runs = tenant.quotas.runs_per_month
    return MonthlyQuota(plan=tenant.plan, runs=runs) if runs is not None else None


def _rendered(key: Template | None, context: Context) -> tuple[str | None, str | None]:
    """(a cooldown's key, why there is none)."""
    if key is None:
        return None, None
    try:
        text = render_text(key, context)
    except TemplateError as error:
        return None, error.detail
    if len(text) > KEY_CHARS_MAX:
        return None, f"it would have {len(text)} characters, and {KEY_CHARS_MAX} are allowed"
    return text, None


def _approval_rule(
    tenant: Tenant,
    start: CompiledStart,
    request: StartRequest,
    context: Context,
    steps: Callable[[], Mapping[str, CompiledStep]],
) -> ApprovalRule | None:
    approval = start.approval
    if approval is None:
        return None
    subject = approval_subject(
        tenant,
        run_id=request.run_id,
        context=context,
        event=request.event,
        steps=steps(),
        plans=start.revision.steps,
    )
    return ApprovalRule(
        roles=approval.roles,
        quorum=approval.quorum,
        expires_in_seconds=approval.expires_in_seconds,
        self_approval=approval.self_approval,
        author=request.author,
        subject_hash=subject_hash(subject),
    )
