"""Time survives kill -9: waits, retries and attempts under way are taken up from the log."""

from datetime import datetime
from typing import Any

import pytest

from shared.testing.documents import call, tell, wait, workflow
from shared.testing.receivers import Hang, Receiver, Reply
from shared.testing.tenant_client import TenantClient, tenant_client
from shared.testing.waiting import eventually
from tests.e2e.conftest import StartPlatform

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def _run_where(tenant: TenantClient, workflow_id: str, record_type: str) -> Any:
    """The only run of the workflow, once such a record is in its timeline."""

    async def there() -> Any:
        for each in await tenant.every(f"/api/v1/runs?workflow={workflow_id}"):
            run = await tenant.run(each["id"])
            if any(entry["type"] == record_type for entry in run["timeline"]):
                return run
        return None

    return await eventually(there, f"{record_type} is in the timeline")


def _instants(run: Any, record_type: str, field: str) -> list[datetime]:
    """The instants that records of a type name; those that name none are left out."""
    named = [each["data"].get(field) for each in run["timeline"] if each["type"] == record_type]
    return [datetime.fromisoformat(text) for text in named if text]


async def test_waits_retries_and_open_attempts_outlive_a_kill(start_platform: StartPlatform, inbox: Receiver) -> None:
    async with start_platform() as platform, tenant_client(platform, "timers") as tenant:
        # given: a wait, a retry that is due later, a delivery under way, and an effect under way that nobody may repeat
        inbox.behave("/retried", Reply(status=500), Reply(status=200))
        inbox.behave("/open", Hang(), Reply(status=200))
        inbox.behave("/unsafe", Hang())
        for name in ("waited", "retried", "open"):
            await tenant.make_endpoint(name, inbox.url(f"/{name}"))
        later = {"max_attempts": 3, "backoff": "fixed", "initial_seconds": 6}
        waiting = await tenant.make_workflow(workflow("Wait", "a.waited", wait(6), tell("waited")))
        retrying = await tenant.make_workflow(workflow("Retry", "a.retried", tell("retried", retry=later)))
        opened = await tenant.make_workflow(workflow("Open", "a.open", tell("open")))
        unsafe = await tenant.make_workflow(
            workflow("Unsafe", "a.unsafe", call(inbox.url("/unsafe")), approval={"when": "never"})
        )
        for kind in ("a.waited", "a.retried", "a.open", "a.unsafe"):
            await tenant.emit(kind)
        waits = await _run_where(tenant, waiting, "attempt.started")
        retries = await _run_where(tenant, retrying, "attempt.finished")
        await inbox.wait_for(1, path="/open")
        await inbox.wait_for(1, path="/unsafe")
        assert inbox.received("/waited") == []
        (due,) = _instants(waits, "attempt.started", "due_at")
        (retry_at,) = _instants(retries, "attempt.finished", "retry_at")

        # when
        await platform.kill9()
        await platform.restart()

        # then
        run = await tenant.run_of(waiting)
        assert run["status"] == "succeeded"
        sent = next(
            each for each in run["timeline"] if each["type"] == "attempt.started" and each["data"]["step_id"] == "tell"
        )
        assert datetime.fromisoformat(sent["recorded_at"]) >= due
        assert _instants(run, "attempt.started", "due_at") == [due], "recorded, not drawn anew"

        run = await tenant.run_of(retrying)
        assert run["status"] == "succeeded"
        second = [each for each in run["timeline"] if each["type"] == "attempt.started"][1]
        assert datetime.fromisoformat(second["recorded_at"]) >= retry_at
        first_try, second_try = inbox.received("/retried")
        assert (first_try.webhook_id, first_try.body) == (second_try.webhook_id, second_try.body)

        assert (await tenant.run_of(opened))["status"] == "succeeded"
        before, after = inbox.received("/open")
        assert (before.webhook_id, before.body) == (after.webhook_id, after.body)

        run = await _run_where(tenant, unsafe, "step.unknown")
        assert run["steps"][0]["status"] == "unknown"
        assert len(inbox.received("/unsafe")) == 1, "an effect that nobody may repeat is not repeated"
