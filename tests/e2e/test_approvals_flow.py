"""Runs that wait for a person: granted, denied, expired, decided twice; and a deadline that passed while nothing was running."""

from datetime import datetime
from typing import Any

import pytest

from shared.runtime.clock import SystemClock
from shared.testing.documents import tell, workflow
from shared.testing.receivers import Receiver
from shared.testing.tenant_client import TenantClient, tenant_client
from shared.testing.waiting import eventually
from tests.e2e.conftest import StartPlatform

pytestmark = pytest.mark.asyncio(loop_scope="session")

ALWAYS = {"when": "always", "expires_in_seconds": 600}


async def _held(tenant: TenantClient, inbox: Receiver, path: str, **approval: Any) -> tuple[str, Any]:
    """(run id, approval) of a run that waits."""
    await tenant.make_endpoint("books", inbox.url(path))
    workflow_id = await tenant.make_workflow(
        workflow("Refund", "shop.refund_asked", tell("books"), approval={**ALWAYS, **approval})
    )
    await tenant.emit("shop.refund_asked", {"amount": 100})
    run = await tenant.run_of(workflow_id, {"pending_approval"})
    (waiting,) = await tenant.every("/api/v1/approvals?status=pending")
    assert waiting["run_id"] == run["id"]
    return run["id"], waiting


async def test_a_granted_run_goes_on_and_only_then_acts(tenant: TenantClient, inbox: Receiver) -> None:
    run_id, approval = await _held(tenant, inbox, "/granted")
    assert inbox.received("/granted") == []
    boss = tenant.as_person("boss@example.com")

    answer = (await boss.command("POST", f"/api/v1/approvals/{approval['id']}/grant", {"reason": "checked"})).expect(
        200
    )

    assert answer.body["status"] == "granted"
    run = await tenant.run_with_status(run_id)
    assert run["status"] == "succeeded"
    assert len(inbox.received("/granted")) == 1
    assert run["approval"]["decided_by"] == "boss@example.com"
    assert run["approval"]["decisions"][0]["reason"] == "checked"


async def test_a_denied_run_never_acts(tenant: TenantClient, inbox: Receiver) -> None:
    run_id, approval = await _held(tenant, inbox, "/denied")
    boss = tenant.as_person("boss@example.com")

    (await boss.command("POST", f"/api/v1/approvals/{approval['id']}/deny", {"reason": "too much"})).expect(200)

    assert (await tenant.run_with_status(run_id))["status"] == "denied"
    assert inbox.received("/denied") == []


async def test_a_second_decision_is_told_who_decided_and_when(tenant: TenantClient, inbox: Receiver) -> None:
    _, approval = await _held(tenant, inbox, "/twice")
    path = f"/api/v1/approvals/{approval['id']}"
    (await tenant.as_person("ann@example.com").command("POST", f"{path}/deny", {"reason": "no"})).expect(200)

    late = await tenant.as_person("bob@example.com").command("POST", f"{path}/grant", {"reason": "yes"})

    assert late.status == 409
    assert late.headers["Content-Type"].startswith("application/problem+json")
    assert "ann@example.com" in late.body["detail"]
    assert late.body["decided_by"] == "ann@example.com"
    assert datetime.fromisoformat(late.body["decided_at"]).tzinfo is not None


async def test_the_author_cannot_grant_and_a_reader_may_not_decide(tenant: TenantClient, inbox: Receiver) -> None:
    run_id, approval = await _held(tenant, inbox, "/own")
    path = f"/api/v1/approvals/{approval['id']}/grant"

    own = await tenant.command("POST", path, {"reason": "mine"})
    assert own.status in (403, 409)
    reader = tenant.as_person("reader@example.com", "automation:read")
    assert (await reader.command("POST", path, {"reason": "let me"})).status == 403

    assert (await tenant.run(run_id))["status"] == "pending_approval"
    assert inbox.received("/own") == []


async def test_a_quorum_counts_different_people(tenant: TenantClient, inbox: Receiver) -> None:
    run_id, approval = await _held(tenant, inbox, "/quorum", quorum=2)
    path = f"/api/v1/approvals/{approval['id']}/grant"
    ann = tenant.as_person("ann@example.com")

    assert (await ann.command("POST", path, {"reason": "1"})).expect(200).body["status"] == "pending"
    await ann.command("POST", path, {"reason": "again"})
    assert (await tenant.run(run_id))["status"] == "pending_approval"
    (await tenant.as_person("bob@example.com").command("POST", path, {"reason": "2"})).expect(200)

    assert (await tenant.run_with_status(run_id))["status"] == "succeeded"


async def test_nobody_deciding_in_time_is_a_no(tenant: TenantClient, inbox: Receiver) -> None:
    run_id, approval = await _held(tenant, inbox, "/expired", expires_in_seconds=2)

    run = await tenant.run_with_status(run_id)

    assert run["status"] == "expired"
    late = await tenant.as_person("boss@example.com").command(
        "POST", f"/api/v1/approvals/{approval['id']}/grant", {"reason": "late"}
    )
    assert late.status == 409
    assert inbox.received("/expired") == []


async def test_a_deadline_that_passed_while_nothing_ran_still_denies(
    start_platform: StartPlatform, inbox: Receiver
) -> None:
    async with start_platform() as platform, tenant_client(platform, "down") as tenant:
        run_id, approval = await _held(tenant, inbox, "/down", expires_in_seconds=3)
        await platform.kill9()
        deadline = datetime.fromisoformat(approval["expires_at"])

        async def is_past() -> bool:
            return SystemClock().now() > deadline

        await eventually(is_past, "the deadline has passed")

        await platform.restart()

        run = await tenant.run_with_status(run_id)
        assert run["status"] == "expired"
        assert [each["type"] for each in run["timeline"]].count("approval.expired") == 1
        assert inbox.received("/down") == []
