"""From the read model's values to the API's answers: columns become the words that tenants know."""

from collections.abc import Sequence

from services.api.api import models, run_models
from services.api.service.hooks import ShownHook
from shared.readmodel.tenant_values import (
    ApprovalItem,
    EndpointItem,
    EventItem,
    RevisionItem,
    RevisionSummary,
    RunItem,
    SourceItem,
    WorkflowItem,
)

HOOKS_REPEATED = (
    "this repeats an earlier request: secrets were shown in the first answer only; "
    "if one was lost, POST /api/v1/workflows/{id}/hooks/{hook}/rotate"
)


def source(item: SourceItem, hook_url: str) -> models.SourceAnswer:
    return models.SourceAnswer(
        id=item.source_id,
        name=item.name,
        vendor=item.vendor,
        settings=dict(item.settings),
        hook_url=hook_url,
        has_secret=bool(item.secrets),
        created_at=item.created_at,
    )


def endpoint(item: EndpointItem) -> models.EndpointAnswer:
    return models.EndpointAnswer(
        id=item.endpoint_id,
        name=item.name,
        url=item.url,
        revision=item.revision,
        enabled=item.disabled_reason is None,
        disabled_reason=item.disabled_reason,
        created_at=item.created_at,
    )


def hook(item: ShownHook) -> models.WorkflowHook:
    return models.WorkflowHook.model_validate(item)


def saved_hooks(hooks: Sequence[ShownHook], *, replayed: bool = False) -> dict[str, object]:
    """The members that tell of a workflow's inbound URLs; none where it has none."""
    if not hooks:
        return {}
    members: dict[str, object] = {"hooks": [hook(each).model_dump(mode="json") for each in hooks]}
    return {**members, "note": HOOKS_REPEATED} if replayed else members


def workflow(item: WorkflowItem, hooks: Sequence[ShownHook]) -> models.WorkflowAnswer:
    newest = item.newest
    return models.WorkflowAnswer(
        id=item.workflow_id,
        name=item.name,
        enabled=item.enabled,
        archived=item.archived,
        revision=newest.revision,
        high_risk=newest.high_risk,
        author=newest.author,
        saved_at=newest.saved_at,
        document=dict(newest.document),
        hooks=[hook(each) for each in hooks],
    )


def revision_summary(item: RevisionSummary) -> models.RevisionSummaryAnswer:
    return models.RevisionSummaryAnswer(
        revision=item.revision, author=item.author, saved_at=item.saved_at, changes=item.changes
    )


def revision(item: RevisionItem) -> models.RevisionAnswer:
    return models.RevisionAnswer(
        id=item.workflow_id,
        revision=item.revision,
        high_risk=item.high_risk,
        author=item.author,
        saved_at=item.saved_at,
        document=dict(item.document),
    )


def run(item: RunItem) -> run_models.RunAnswer:
    reason = run_models.ReasonAnswer(kind=item.reason_kind, detail=item.reason or "") if item.reason_kind else None
    return run_models.RunAnswer.model_validate(
        {
            "id": item.run_id,
            "workflow_id": item.workflow_id,
            "workflow_name": item.workflow_name,
            "revision": item.revision,
            "status": item.status,
            "reason": reason,
            "event_id": item.event_id,
            "event_type": item.event_type,
            "event_subject": item.event_subject,
            "replay_id": item.replay_id,
            "requested_by": item.requested_by,
            "requested_at": item.requested_at,
            "started_at": item.started_at,
            "ended_at": item.ended_at,
        }
    )


def approval(item: ApprovalItem) -> run_models.ApprovalAnswer:
    return run_models.ApprovalAnswer.model_validate(
        {
            "id": item.approval_id,
            "run_id": item.run_id,
            "workflow_id": item.workflow_id,
            "workflow_name": item.workflow_name,
            "status": item.status,
            "requested_at": item.requested_at,
            "expires_at": item.expires_at,
            "roles": list(item.roles),
            "quorum": item.quorum,
            "self_approval": item.self_approval,
            "author": item.author,
            "subject_hash": item.subject_hash,
            "decisions": [dict(each) for each in item.decisions],
            "decided_at": item.decided_at,
            "decided_by": item.decided_by,
        }
    )


def event(item: EventItem) -> run_models.EventAnswer:
    return run_models.EventAnswer(
        id=item.event_id,
        type=item.type,
        source=item.source,
        subject=item.subject,
        time=item.time,
        recorded_at=item.recorded_at,
        bytes=item.bytes,
        correlation_id=item.correlation_id,
        causation_id=item.causation_id,
    )
