"""Receivers that fail in every way: what is repeated, when, with which bytes; one bad receiver is only its own trouble."""

from datetime import datetime
from typing import Any

import psutil
import pytest

from shared.testing.documents import ONCE, call, tell, workflow
from shared.testing.platform import RunningPlatform
from shared.testing.receivers import Endless, Hang, Receiver, Reply, Reset, redirect_to
from shared.testing.tenant_client import TenantClient
from shared.testing.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")

FIVE_GIGABYTES = 5 * 1024**3


@pytest.fixture
def path(request: pytest.FixtureRequest) -> str:
    """A path of the receiver that no other test uses."""
    return f"/{request.node.name}"


async def _started(tenant: TenantClient, inbox: Receiver, path: str, **step: Any) -> str:
    """The id of a workflow that has just been started by an event."""
    await tenant.make_endpoint("receiver", inbox.url(path))
    workflow_id = await tenant.make_workflow(workflow("Tell", "shop.sold", tell("receiver", **step)))
    await tenant.emit("shop.sold", {"amount": 3})
    return workflow_id


def _finished(run: Any) -> list[Any]:
    return [each for each in run["timeline"] if each["type"] == "attempt.finished"]


async def test_a_failing_receiver_is_tried_again_with_the_same_id_and_bytes(
    tenant: TenantClient, inbox: Receiver, path: str
) -> None:
    inbox.behave(path, Reply(status=500), Reply(status=500), Reply(status=200))
    workflow_id = await _started(
        tenant, inbox, path, retry={"max_attempts": 4, "backoff": "fixed", "initial_seconds": 1.2}
    )

    run = await tenant.run_of(workflow_id)

    assert run["status"] == "succeeded"
    attempts = inbox.received(path)
    assert len(attempts) == 3
    assert len({each.webhook_id for each in attempts}) == 1
    assert len({each.body for each in attempts}) == 1
    stamps = [each.headers["webhook-timestamp"] for each in attempts]
    assert len(set(stamps)) == 3, "the timestamp is each attempt's own"
    assert len({each.headers["webhook-signature"] for each in attempts}) == 3


async def test_retry_after_is_honoured_and_a_throttled_receiver_is_left_alone_for_a_minute(
    tenant: TenantClient, inbox: Receiver, path: str
) -> None:
    inbox.behave(path, Reply(status=429, headers={"Retry-After": "90"}))
    workflow_id = await _started(
        tenant, inbox, path, retry={"max_attempts": 3, "backoff": "fixed", "initial_seconds": 60}
    )

    delay = await _delay_of_the_retry(tenant, workflow_id)

    assert 89 <= delay <= 121
    assert len(inbox.received(path)) == 1


async def test_a_receiver_that_hangs_is_given_up_in_time_and_throttled(
    tenant: TenantClient, inbox: Receiver, path: str
) -> None:
    inbox.behave(path, Hang())
    workflow_id = await _started(tenant, inbox, path, timeout_seconds=0.5)

    delay = await _delay_of_the_retry(tenant, workflow_id)

    assert delay >= 59
    run = await tenant.run_of(workflow_id, {"running"})
    assert _finished(run)[0]["data"]["problem"]["kind"] == "timeout"


async def _delay_of_the_retry(tenant: TenantClient, workflow_id: str) -> float:
    """Seconds from the end of the first attempt to the second; the run is then cancelled."""

    async def first_attempt() -> Any:
        found = await tenant.every(f"/api/v1/runs?workflow={workflow_id}")
        return found and _finished(await tenant.run(found[0]["id"]))

    (attempt,) = await eventually(first_attempt, "the first attempt has ended")
    ended = datetime.fromisoformat(attempt["recorded_at"])
    return (datetime.fromisoformat(attempt["data"]["retry_at"]) - ended).total_seconds()


async def test_410_disables_the_endpoint_and_nothing_more_is_sent_to_it(
    tenant: TenantClient, inbox: Receiver, path: str
) -> None:
    inbox.behave(path, Reply(status=410))
    workflow_id = await _started(tenant, inbox, path)
    run = await tenant.run_of(workflow_id)
    assert run["status"] == "failed"
    (endpoint,) = await tenant.every("/api/v1/endpoints")

    async def is_disabled() -> bool:
        return not (await tenant.get(f"/api/v1/endpoints/{endpoint['id']}"))["enabled"]

    await eventually(is_disabled, "the endpoint is disabled")
    await tenant.emit("shop.sold", {"amount": 4})
    runs = await tenant.runs_of(workflow_id, 2)
    assert {each["status"] for each in runs} == {"failed"}
    assert len(inbox.received(path)) == 1


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_a_failure_and_never_followed(
    tenant: TenantClient, inbox: Receiver, path: str, status: int
) -> None:
    elsewhere = f"{path}-elsewhere"
    inbox.behave(path, redirect_to(inbox.url(elsewhere), status))
    workflow_id = await _started(tenant, inbox, path, retry=ONCE)

    run = await tenant.run_of(workflow_id)

    assert run["status"] == "failed"
    assert _finished(run)[0]["data"]["problem"]["kind"] == f"http_{status}"
    assert inbox.received(elsewhere) == []


@pytest.mark.parametrize("after_head", [False, True])
async def test_a_reset_connection_is_tried_again(
    tenant: TenantClient, inbox: Receiver, path: str, after_head: bool
) -> None:
    inbox.behave(path, Reset(after_head=after_head), Reply(status=204))
    workflow_id = await _started(tenant, inbox, path)

    run = await tenant.run_of(workflow_id)

    assert run["status"] == "succeeded"
    first, second = inbox.received(path)
    assert (first.webhook_id, first.body) == (second.webhook_id, second.body)


@pytest.mark.parametrize("declared", [FIVE_GIGABYTES, None])
async def test_an_answer_of_five_gigabytes_is_not_read(
    tenant: TenantClient, inbox: Receiver, platform: RunningPlatform, path: str, declared: int | None
) -> None:
    inbox.behave(path, Endless(declared_bytes=declared))
    before = inbox.streamed_bytes
    memory = psutil.Process(platform.pid).memory_info().rss
    workflow_id = await _started(tenant, inbox, path)

    run = await tenant.run_of(workflow_id)

    assert run["status"] == "succeeded"
    assert _finished(run)[0]["data"]["output"]["truncated"] is True
    await inbox.wait_for_stopped_streams()
    assert inbox.streamed_bytes - before < 64 * 1024 * 1024
    assert psutil.Process(platform.pid).memory_info().rss - memory < 64 * 1024 * 1024


async def test_a_refused_effect_in_doubt_waits_for_a_person(tenant: TenantClient, inbox: Receiver, path: str) -> None:
    """A POST that nobody may repeat and whose answer never came: the platform asks instead of guessing."""
    inbox.behave(path, Reset())
    document = workflow("Charge", "shop.sold", call(inbox.url(path)), approval={"when": "never"})
    workflow_id = await tenant.make_workflow(document)
    await tenant.emit("shop.sold")

    async def is_unknown() -> Any:
        for each in await tenant.every(f"/api/v1/runs?workflow={workflow_id}"):
            run = await tenant.run(each["id"])
            if run["steps"][0]["status"] == "unknown":
                return run
        return None

    run = await eventually(is_unknown, "the step is unknown")
    assert run["status"] == "running"
    resolved = await tenant.command(
        "POST",
        f"/api/v1/runs/{run['id']}/steps/call/resolve",
        {"resolution": "succeeded", "reason": "the receiver's books show it", "number": 1},
    )
    resolved.expect(200)
    assert (await tenant.run_with_status(run["id"]))["status"] == "succeeded"
    assert len(inbox.received(path)) == 1


async def test_an_endpoint_on_a_private_address_is_refused_on_saving(tenant: TenantClient) -> None:
    for url in ("http://127.0.0.1:1/", "http://10.0.0.8/", "http://169.254.169.254/latest", "http://[::1]/"):
        answer = await tenant.request("POST", "/api/v1/endpoints", json={"name": "inner", "url": url})
        assert answer.status == 422, url
        assert answer.body["errors"][0]["pointer"] == "#/url"
    assert await tenant.every("/api/v1/endpoints") == []


async def test_a_private_address_behind_a_template_is_refused_when_dialled(tenant: TenantClient) -> None:
    step = call("{{ event.data.url }}", retry=ONCE)
    workflow_id = await tenant.make_workflow(workflow("Call", "shop.sold", step, approval={"when": "never"}))
    await tenant.emit("shop.sold", {"url": "http://127.0.0.1:9/secret"})
    run = await tenant.run_of(workflow_id)
    assert run["status"] == "failed"
    assert _finished(run)[0]["data"]["problem"]["kind"].startswith("egress_")
