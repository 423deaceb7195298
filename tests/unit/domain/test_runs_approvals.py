"""A run that must be approved: pending at once, decided once, never by the clock."""

from datetime import timedelta

import pytest

from shared.domain.records import ApprovalExpired, ApprovalVoided
from shared.domain.runs.approvals import VOID_DECISIONS_MAX, approval_id, qualified_role
from shared.testing.folds import START, RunsScenario, approval, limits, match


def pending(**rule: object) -> tuple[RunsScenario, str]:
    log = RunsScenario()
    (run_id,) = log.happens(match(approval=approval(**rule)))
    return log, run_id


def test_it_is_pending_in_the_very_record_that_asks_for_it() -> None:
    log, run_id = pending(expires_in_seconds=60)
    run = log.run(run_id)
    assert len(log.log) == 1
    assert run.status == "pending_approval"
    assert run.approval is not None
    assert (run.approval.id, run.approval.status) == (approval_id(run_id), "pending")
    assert run.approval.expires_at == START + timedelta(seconds=60)
    log.starts(run_id)
    assert run.steps["a"].status == "pending"


def test_a_grant_starts_it() -> None:
    log, run_id = pending()
    verdict = log.wait(seconds=5).grants(run_id)
    assert (verdict.status, verdict.body["status"]) == (200, "granted")
    assert log.run(run_id).status == "running"
    assert log.run(run_id).started_at == log.now


def test_a_manual_run_waits_as_well() -> None:
    log = RunsScenario()
    run_id = log.asks(match(approval=approval(author="ann")), key="k", actor="ann")
    assert log.run(run_id).status == "pending_approval"
    assert log.grants(run_id, "ann").body["kind"] == "approval-self"
    assert log.grants(run_id, "bob").status == 200


def test_a_quorum_counts_different_people() -> None:
    log, run_id = pending(quorum=2)
    assert log.grants(run_id, "bob").body["granted"] == 1
    again = log.grants(run_id, "bob")
    assert (again.status, again.body["kind"]) == (409, "approval-repeated")
    assert log.run(run_id).status == "pending_approval"
    assert log.grants(run_id, "cid").body == {
        "id": approval_id(run_id),
        "run_id": run_id,
        "status": "granted",
        "granted": 2,
        "quorum": 2,
    }


def test_void_decisions_beyond_a_number_stand_in_the_log_alone_and_hide_no_other() -> None:
    log, run_id = pending(quorum=2)
    for _ in range(VOID_DECISIONS_MAX + 5):
        assert log.grants(run_id, "author").body["kind"] == "approval-self"
    approval = log.run(run_id).approval
    assert approval is not None
    assert len(approval.decisions) == VOID_DECISIONS_MAX
    assert log.grants(run_id, "bob").body["granted"] == 1
    assert log.grants(run_id, "cid").body["status"] == "granted"
    assert [each.actor for each in approval.decisions[VOID_DECISIONS_MAX:]] == ["bob", "cid"]


def test_one_denial_denies_even_by_someone_who_granted_or_wrote_it() -> None:
    log, run_id = pending(quorum=2)
    log.grants(run_id, "bob")
    assert log.denies(run_id, "bob").body["status"] == "denied"
    run = log.run(run_id)
    assert (run.status, run.reason.kind if run.reason else None) == ("denied", "denied")
    log, run_id = pending()
    assert log.denies(run_id, "author").status == 200


@pytest.mark.parametrize(
    ("given", "status", "kind"),
    [
        ({"roles": ("automation:read",)}, 403, "approval-role"),
        ({"roles": ()}, 403, "approval-role"),
        ({"subject_hash": "0" * 64}, 409, "approval-changed"),
        ({"actor": "author"}, 403, "approval-self"),
    ],
)
def test_a_void_grant_changes_nothing_but_stands_in_the_history(
    given: dict[str, object], status: int, kind: str
) -> None:
    log, run_id = pending()
    verdict = log.grants(run_id, **given)  # type: ignore[arg-type]  # the parameters above
    assert (verdict.status, verdict.body["kind"]) == (status, kind)
    run = log.run(run_id)
    assert run.status == "pending_approval"
    assert run.approval is not None
    assert [each.void for each in run.approval.decisions] == [kind]
    assert log.grants(run_id).status == 200


@pytest.mark.parametrize("given", [{"roles": ()}, {"subject_hash": "0" * 64}])
def test_a_void_denial_denies_nothing(given: dict[str, object]) -> None:
    log, run_id = pending()
    log.denies(run_id, **given)  # type: ignore[arg-type]  # the parameters above
    assert log.run(run_id).status == "pending_approval"


def test_self_approval_may_be_allowed() -> None:
    log, run_id = pending(self_approval=True)
    assert log.grants(run_id, "author").status == 200


def test_roles_are_one_with_and_without_their_prefix() -> None:
    assert qualified_role("approve") == qualified_role("automation:approve")
    log, run_id = pending(roles=("finance:lead", "admin"))
    assert log.grants(run_id, roles=("approve",)).status == 403
    assert log.grants(run_id, roles=("finance:lead",)).status == 200
    log, run_id = pending(roles=("admin",))
    assert log.grants(run_id, roles=("automation:admin",)).status == 200


def test_past_the_deadline_a_decision_is_void_whether_or_not_the_expiry_stands() -> None:
    for appended in (False, True):
        log, run_id = pending(expires_in_seconds=60)
        log.wait(seconds=61)
        if appended:
            log.append(ApprovalExpired(run_id=run_id))
        for decide in (log.grants, log.denies):
            assert decide(run_id).status == 409
        assert log.run(run_id).status == ("expired" if appended else "pending_approval")


def test_the_deadline_is_by_the_logs_time() -> None:
    log, run_id = pending(expires_in_seconds=60)
    log.wait(seconds=61).happens(match("w2"))
    log.wait(seconds=-30)
    assert log.grants(run_id).body["kind"] == "approval-expired"


def test_in_the_last_instant_it_can_be_granted() -> None:
    log, run_id = pending(expires_in_seconds=60)
    assert log.wait(seconds=60).grants(run_id).status == 200


def test_expiry_denies_and_only_when_it_is_time() -> None:
    log, run_id = pending(expires_in_seconds=60)
    log.wait(seconds=59).append(ApprovalExpired(run_id=run_id))
    run = log.run(run_id)
    assert run.status == "pending_approval"
    assert len(run.positions) == 1
    log.wait(seconds=1).append(ApprovalExpired(run_id=run_id))
    assert run.status == "expired"
    assert run.approval is not None
    assert (run.approval.status, run.approval.decided_at) == ("expired", log.now)
    assert run.closed


def test_a_second_decision_is_told_who_decided_and_when() -> None:
    log, run_id = pending()
    log.grants(run_id, "bob")
    decided_at = log.now
    verdict = log.wait(seconds=9).denies(run_id, "cid")
    assert (verdict.status, verdict.body["kind"]) == (409, "approval-decided")
    assert verdict.body["decided_by"] == "bob"
    assert verdict.body["decided_at"] == decided_at.isoformat()
    assert verdict.body["decision"] == "granted"
    assert log.run(run_id).status == "running"


def test_the_same_command_again_has_its_first_answer() -> None:
    log, run_id = pending(quorum=2)
    first = log.grants(run_id, "bob", command_id="c")
    assert log.grants(run_id, "bob", command_id="c") is first
    assert log.last.verdict is None
    assert not log.last.runs


def test_once_it_is_over_every_decision_is_told_so_whether_memory_holds_it_or_not() -> None:
    log, run_id = pending()
    log.denies(run_id)
    remembered = log.denies(run_id, "cid", command_id="c1")
    log.fold.forget([run_id], [], [])
    forgotten = log.denies(run_id, "cid", command_id="c2")
    assert run_id not in log.fold.runs
    assert (remembered.status, remembered.body) == (forgotten.status, forgotten.body)
    assert remembered.body["kind"] == "run-ended"


def test_cancelling_while_it_is_pending_ends_the_approval_too() -> None:
    log, run_id = pending()
    assert log.cancels(run_id).status == 200
    run = log.run(run_id)
    assert run.status == "cancelled"
    assert run.approval is not None
    assert (run.approval.status, run.approval.decided_by, run.approval.decided_at) == ("cancelled", "ann", log.now)
    log.grants(run_id)
    assert run.status == "cancelled"


def test_a_run_that_needs_no_approval_says_so() -> None:
    log = RunsScenario()
    (run_id,) = log.happens(match())
    assert log.grants(run_id).body["kind"] == "no-approval"


def test_a_pending_run_takes_no_place_among_the_running() -> None:
    log = RunsScenario()
    one = limits(max_concurrent=1)
    (held,) = log.happens(match(approval=approval(), limits=one))
    (free,) = log.happens(match(revision=2, limits=one))
    assert log.run(free).status == "running"
    log.grants(held)
    assert log.run(held).status == "queued"
    log.completes(free)
    assert log.run(held).status == "running"


def test_what_would_run_is_not_what_was_approved() -> None:
    log, run_id = pending()
    log.grants(run_id)
    log.append(ApprovalVoided(run_id=run_id, subject_hash="1" * 64, detail="endpoint finance changed"))
    run = log.run(run_id)
    assert (run.status, run.reason.kind if run.reason else None) == ("failed", "approval_void")
    assert run.approval is not None
    assert (run.approval.status, run.approval.decided_by) == ("voided", None)


def test_after_the_first_attempt_nothing_voids_it() -> None:
    log, run_id = pending()
    log.grants(run_id)
    log.starts(run_id)
    log.append(ApprovalVoided(run_id=run_id, subject_hash="1" * 64, detail="late"))
    assert log.run(run_id).status == "running"
