"""The life of one approval: pending in the very record that asks for the run, decided once, by order in the log.

One denial denies; a quorum of distinct actors grants; past the deadline, or with another hash than the one that
would run, a decision is void whether or not an expiry has been appended. Expiry never approves.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.domain.ids import derive
from shared.domain.records import ApprovalDecided
from shared.domain.runs.state import Approval, Decision, Run
from shared.domain.workflow import ApprovalRule

VOID_DECISIONS_MAX = 100
"""Beyond so many decisions of one approval, void ones stand in the log alone: the run's row is written anew for each."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP status and its members: what the decision's author is told."""

    status: int
    body: Mapping[str, object]


def approval_id(run_id: str) -> str:
    """The approval of a whole run."""
    return derive("approval", run_id)


def open_approval(run_id: str, rule: ApprovalRule, now: datetime) -> Approval:
    """Pending from `now`, until the deadline that is thereby fixed for ever."""
    expires_at = now + timedelta(seconds=rule.expires_in_seconds)
    return Approval(id=approval_id(run_id), requested_at=now, expires_at=expires_at)


def qualified_role(role: str) -> str:
    """`approve` and `automation:approve` are one role; a role with a colon stands as it is."""
    return role if ":" in role else f"automation:{role}"


def decide(run: Run, fact: ApprovalDecided, now: datetime) -> Answer:
    """Fold one decision into the run's approval and say what became of it. The run itself is left to the caller."""
    approval, rule = run.approval, run.match.approval
    if approval is None or rule is None:
        return _problem(409, "no-approval", "this run waits for no approval", run_id=run.id)
    if approval.status != "pending":
        return _already_decided(run, approval)
    void = _void_reason(approval, rule, fact, now)
    command = fact.command
    if void is None or len(approval.decisions) < VOID_DECISIONS_MAX:
        approval.decisions.append(
            Decision(
                actor=command.actor,
                decision=fact.decision,
                reason=fact.reason,
                channel=command.channel,
                at=now,
                void=void.kind if void is not None else None,
            )
        )
    if void is not None:
        return _problem(void.status, void.kind, void.detail, run_id=run.id)
    if fact.decision == "denied":
        approval.close("denied", now, by=command.actor)
    elif len(granting_actors(approval)) >= rule.quorum:
        approval.close("granted", now, by=command.actor)
    granted = len(granting_actors(approval))
    return Answer(
        200, {"id": approval.id, "run_id": run.id, "status": approval.status, "granted": granted, "quorum": rule.quorum}
    )


def granting_actors(approval: Approval) -> set[str]:
    """The distinct people whose grants count."""
    return {each.actor for each in approval.decisions if each.decision == "granted" and each.void is None}


@dataclass(frozen=True, slots=True)
class _Void:
    status: int
    kind: str
    detail: str


def _void_reason(approval: Approval, rule: ApprovalRule, fact: ApprovalDecided, now: datetime) -> _Void | None:
    command = fact.command
    if now > approval.expires_at:
        return _Void(409, "approval-expired", f"the deadline was {approval.expires_at.isoformat()}")
    if fact.subject_hash != rule.subject_hash:
        detail = f"decided on {fact.subject_hash}, but what would run is {rule.subject_hash}: look at it again"
        return _Void(409, "approval-changed", detail)
    if not {qualified_role(role) for role in rule.roles} & {qualified_role(role) for role in command.roles}:
        return _Void(403, "approval-role", f"one of these roles is needed: {', '.join(rule.roles)}")
    if fact.decision == "denied":
        return None
    if command.actor == rule.author and not rule.self_approval:
        return _Void(403, "approval-self", f"{command.actor} wrote or asked for this; somebody else must approve it")
    if command.actor in granting_actors(approval):
        return _Void(409, "approval-repeated", f"{command.actor} has granted this already; another person is needed")
    return None


def _already_decided(run: Run, approval: Approval) -> Answer:
    by = approval.decided_by
    at = approval.decided_at.isoformat() if approval.decided_at is not None else None
    detail = f"already {approval.status}" + (f" by {by}" if by else "") + (f" at {at}" if at else "")
    members = {"run_id": run.id, "decision": approval.status, "decided_by": by, "decided_at": at}
    return _problem(409, "approval-decided", detail, **members)


def _problem(status: int, kind: str, detail: str, **members: object) -> Answer:
    return Answer(status, {"kind": kind, "detail": detail, **members})
