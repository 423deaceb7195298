"""What a workflow bounds, and that one tenant's flood is not another's wait."""

import asyncio
import resource

import psutil
import pytest

from services.foundation import Foundation
from services.tenants import change_plan
from shared.domain.errors import InvalidInput
from shared.runtime.clock import SystemClock
from shared.runtime.descriptors import DESCRIPTORS_MAX
from shared.testing.documents import cloud_event, emit, tell, wait, workflow
from shared.testing.receivers import Hang, Receiver
from shared.testing.tenant_client import TenantClient, client_session, tenant_client
from shared.testing.waiting import eventually
from tests.e2e.conftest import StartPlatform

pytestmark = pytest.mark.asyncio(loop_scope="session")

FLOOD = 400
NEIGHBOURS_BOUND_SECONDS = 10.0
"""First come, first served would be a minute at least: so long does each delivery of the flood hang."""


async def test_no_more_run_at_once_than_max_concurrent_and_the_rest_waits_in_order(
    tenant: TenantClient, inbox: Receiver
) -> None:
    inbox.behave("/two", Hang())
    await tenant.make_endpoint("sink", inbox.url("/two"))
    document = workflow("Two at once", "shop.sold", tell("sink"), limits={"max_concurrent": 2, "max_queued": 3})
    workflow_id = await tenant.make_workflow(document)
    (await tenant.publish(*(cloud_event("shop.sold", {"n": n}) for n in range(6)))).expect(202)

    async def settled() -> list[str] | None:
        statuses = sorted(run["status"] for run in await tenant.every(f"/api/v1/runs?workflow={workflow_id}"))
        return statuses if len(statuses) == 6 else None

    assert await eventually(settled, "six runs") == ["queued"] * 3 + ["running"] * 2 + ["skipped"]
    await inbox.wait_for(2, path="/two")
    assert len(inbox.received("/two")) == 2
    inbox.release("/two")
    runs = await tenant.runs_of(workflow_id, 6)
    assert sorted(run["status"] for run in runs) == ["skipped"] + ["succeeded"] * 5
    (skipped,) = [run for run in runs if run["status"] == "skipped"]
    assert skipped["reason"]["kind"] == "queue_full"
    assert len(inbox.received("/two")) == 5


async def test_a_cooldown_skips_by_its_key_and_says_until_when(tenant: TenantClient) -> None:
    limits = {"cooldown": {"seconds": 300, "key": "{{ event.data.who }}"}}
    workflow_id = await tenant.make_workflow(workflow("Rarely", "shop.sold", wait(0), limits=limits))
    for who in ("ann", "ann", "bob"):
        await tenant.emit("shop.sold", {"who": who})
    runs = await tenant.runs_of(workflow_id, 3)
    assert sorted(run["status"] for run in runs) == ["skipped", "succeeded", "succeeded"]
    (skipped,) = [run for run in runs if run["status"] == "skipped"]
    assert skipped["reason"]["kind"] == "cooldown"
    assert "ann" in skipped["reason"]["detail"]


async def test_runs_per_day_are_bounded(tenant: TenantClient) -> None:
    workflow_id = await tenant.make_workflow(workflow("Twice", "shop.sold", wait(0), limits={"max_runs_per_day": 2}))
    (await tenant.publish(*(cloud_event("shop.sold") for _ in range(4)))).expect(202)
    runs = await tenant.runs_of(workflow_id, 4)
    assert sorted(run["status"] for run in runs) == ["skipped"] * 2 + ["succeeded"] * 2
    assert {run["reason"]["kind"] for run in runs if run["status"] == "skipped"} == {"runs_per_day"}


async def test_a_loop_is_cut_where_it_closes(tenant: TenantClient) -> None:
    ping = await tenant.make_workflow(workflow("Ping", "game.ping", emit("game.pong")))
    pong = await tenant.make_workflow(workflow("Pong", "game.pong", emit("game.ping")))
    await tenant.emit("game.ping")
    pings = await tenant.runs_of(ping, 2)
    assert sorted(run["status"] for run in pings) == ["skipped", "succeeded"]
    assert {run["reason"]["kind"] for run in pings if run["reason"]} == {"loop"}
    assert len(await tenant.runs_of(pong, 1)) == 1


async def test_stop_on_match_lets_only_the_first_admitted_run(tenant: TenantClient) -> None:
    first = await tenant.make_workflow(workflow("First", "shop.sold", wait(0), priority=1, stop_on_match=True))
    second = await tenant.make_workflow(workflow("Second", "shop.sold", wait(0), priority=2))
    await tenant.emit("shop.sold")
    assert (await tenant.run_of(first))["status"] == "succeeded"
    skipped = await tenant.run_of(second)
    assert (skipped["status"], skipped["reason"]["kind"]) == ("skipped", "stopped")


async def test_a_flood_to_hanging_receivers_does_not_delay_the_neighbour(
    tenant: TenantClient, other_tenant: TenantClient, inbox: Receiver
) -> None:
    """First come, first served would make the neighbour wait for 3,200 deliveries that hang; round robin does not."""
    steps = []
    for number in range(8):
        inbox.behave(f"/flood{number}", Hang())
        await tenant.make_endpoint(f"slow{number}", inbox.url(f"/flood{number}"))
        steps.append(tell(f"slow{number}", f"tell{number}", needs=[], timeout_seconds=60))
    flooding = await tenant.make_workflow(workflow("Flood", "shop.sold", *steps))
    await other_tenant.make_endpoint("fast", inbox.url("/neighbour"))
    await other_tenant.make_workflow(workflow("Tell", "shop.sold", tell("fast")))
    (await tenant.publish(*(cloud_event("shop.sold", event_id=str(n)) for n in range(FLOOD)))).expect(202)

    async def is_flooded() -> bool:
        return sum(len(inbox.received(f"/flood{number}")) for number in range(8)) >= 64

    await eventually(is_flooded, "the flood fills what one tenant may have")
    clock = SystemClock()
    waits = []
    for number in range(1, 21):
        begin_seconds = clock.monotonic()
        await other_tenant.emit("shop.sold")
        arrived = await inbox.wait_for(number, path="/neighbour")
        waits.append(arrived[-1].at_seconds - begin_seconds)
    assert max(waits) < NEIGHBOURS_BOUND_SECONDS, f"the neighbour waited {max(waits):.2f} s"
    open_runs = await tenant.get(f"/api/v1/runs?workflow={flooding}&status=succeeded")
    assert open_runs["items"] == [], "the flood was still waiting all the while"
    # Leave the shared platform as it was: nothing hangs on.
    (await tenant.command("POST", f"/api/v1/workflows/{flooding}/disable")).expect(200)
    for number in range(8):
        inbox.release(f"/flood{number}")
    await asyncio.wait_for(_drained(tenant, flooding), 60)


async def _drained(tenant: TenantClient, workflow_id: str) -> None:
    async def nothing_runs() -> bool:
        return not (await tenant.get(f"/api/v1/runs?workflow={workflow_id}&status=running"))["items"]

    await eventually(nothing_runs, "the flood has drained", timeout_seconds=60, interval_seconds=0.25)


async def test_workflows_of_a_tag_share_its_places_and_start_in_order(tenant: TenantClient, inbox: Receiver) -> None:
    inbox.behave("/till", Hang())
    await tenant.make_endpoint("shared", inbox.url("/till"))
    shared = {"shared": [{"tag": "till", "max_concurrent": 1}]}
    first, second = [
        await tenant.make_workflow(workflow(name, event, tell("shared"), tags=["till"], limits=shared))
        for name, event in (("One", "shop.one"), ("Two", "shop.two"))
    ]
    await tenant.emit("shop.one")
    await inbox.wait_for(1, path="/till")
    await tenant.emit("shop.two")

    async def waits() -> bool:
        return [run["status"] for run in await tenant.every(f"/api/v1/runs?workflow={second}")] == ["queued"]

    await eventually(waits, "the other workflow's run waits for the tag")
    inbox.release("/till")
    assert (await tenant.run_of(first))["status"] == "succeeded"
    assert (await tenant.run_of(second))["status"] == "succeeded"
    assert len(inbox.received("/till")) == 2


async def test_a_plan_that_is_given_bounds_what_comes_and_usage_says_so(
    tenant: TenantClient, ground: Foundation
) -> None:
    workflow_id = await tenant.make_workflow(workflow("Once", "shop.sold", wait(0)))
    with pytest.raises(InvalidInput, match="there is no plan 'gold'; there are: free, team"):
        await change_plan(ground, tenant.tenant_id, "gold")
    changed = await change_plan(ground, tenant.tenant_id, "free")
    assert changed["quotas"] == {"workflows": 5, "runs_per_month": 1_000}
    for number in range(4):
        await tenant.make_workflow(workflow(f"More {number}", "shop.other", wait(0)))
    refused = await tenant.command("POST", "/api/v1/workflows", workflow("Too many", "shop.other", wait(0)))
    assert (refused.status, refused.body["type"]) == (409, "urn:upshot:problem:plan-workflows")
    await tenant.emit("shop.sold")
    assert (await tenant.run_of(workflow_id))["status"] == "succeeded"
    usage = await tenant.get("/api/v1/usage")
    assert (usage["plan"], usage["workflows"]) == ("free", {"enabled": 5, "quota": 5})
    assert (usage["runs"]["admitted"], usage["runs"]["quota"]) == (1, 1_000)


async def test_idle_connections_keep_nobody_out(start_platform: StartPlatform) -> None:
    async with start_platform(UPSHOT_HTTP_CONNECTIONS_MAX="20") as platform, tenant_client(platform, "next") as tenant:
        soft, hard = psutil.Process(platform.pid).rlimit(resource.RLIMIT_NOFILE)
        assert soft == (min(hard, DESCRIPTORS_MAX) if hard != resource.RLIM_INFINITY else DESCRIPTORS_MAX)
        idle = [await asyncio.open_connection("127.0.0.1", platform.port) for _ in range(60)]
        try:
            for _, writer in idle[::2]:
                writer.write(b"POST /hooks/x HTTP/1.1\r\nHost: x\r\n")
            await tenant.emit("shop.sold")
            async with client_session() as session, session.get(f"{platform.url}/metrics") as answer:
                shown = await answer.text()
            assert "upshot_http_connections 20" in shown
            assert 'upshot_http_connections_closed_total{reason="limit"} 4' in shown
        finally:
            for _, writer in idle:
                writer.close()
