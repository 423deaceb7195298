"""/readyz names what keeps a process from doing its part: partitions that it cannot go on with are told, and hold up no other."""

import pytest

from services.foundation import foundation
from shared.bus import codec
from shared.bus.partitioner import partition_of
from shared.bus.topics import DEFINITIONS, RUNS
from shared.domain.envelope import Event, routing_key
from shared.runtime.settings import UpshotSettings
from shared.testing.documents import cloud_event, wait, workflow
from shared.testing.tenant_client import TenantClient, make_tenant, tenant_client
from shared.testing.waiting import eventually
from shared.testing.workspace import Workspace
from tests.e2e.conftest import StartPlatform, superuser

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_record_of_a_later_version_stops_its_partition_and_readyz_names_it(
    start_platform: StartPlatform, space: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UPSHOT_POSTGRES_SYSTEM_DIR", str(space.system_dir))
    async with start_platform() as platform, tenant_client(platform, "spared") as spared:
        await make_tenant(platform, "ahead")
        await eventually(lambda: _is_ready(spared), "/readyz answers 200")
        async with foundation(UpshotSettings(data_dir=platform.data_dir)) as ground:
            partition = partition_of(routing_key("ahead"), ground.bus.partition_count)
            assert partition != partition_of(routing_key("spared"), ground.bus.partition_count)
            for topic in (DEFINITIONS, RUNS):
                event = Event(id="x", source="/upshot/later", type="tenant.teleported", tenant_id="ahead", data=b"{}")
                await ground.bus.append([codec.encode(topic, event)])

        named = [f"{topic}/{partition} stands still at offset" for topic in (DEFINITIONS, RUNS)]
        await eventually(lambda: _told(spared, named), "/readyz names both")
        await _works(spared)

        await platform.kill9()
        await platform.restart()
        await eventually(lambda: _told(spared, named), "/readyz names both again")
        await _works(spared)


async def test_a_log_that_takes_no_records_is_named_until_it_does_again(start_platform: StartPlatform) -> None:
    """As with a full disk: it can be read, and not written."""
    async with (
        start_platform(UPSHOT_BUS_STATEMENT_TIMEOUT_SECONDS="2") as platform,
        tenant_client(platform, "acme") as tenant,
    ):
        await eventually(lambda: _is_ready(tenant), "/readyz answers 200")
        connection = await superuser(platform)
        async with connection.transaction():
            await connection.execute("lock table log.heads in exclusive mode")
            refused = await tenant.publish(cloud_event("shop.sold"))
            assert refused.expect(503).headers["Retry-After"]
            assert await _told(tenant, ["the log takes no records"])
        await connection.close()
        (await tenant.publish(cloud_event("shop.sold"))).expect(202)
        await eventually(lambda: _is_ready(tenant), "/readyz answers 200 again")


async def test_whoever_comes_back_after_a_kill_takes_its_own_place(start_platform: StartPlatform) -> None:
    """It does not wait for its former self to count as silent, which here would take longer than a start may."""
    async with (
        start_platform(UPSHOT_BUS_SESSION_TIMEOUT_SECONDS="600") as platform,
        tenant_client(platform, "patient") as tenant,
    ):
        for _ in range(2):
            await _works(tenant)
            await platform.kill9()
            await platform.restart()
        await _works(tenant)


async def _works(tenant: TenantClient) -> None:
    """Whoever lies in another partition is none the worse."""
    number = len(await tenant.every("/api/v1/workflows"))
    workflow_id = await tenant.make_workflow(workflow(f"Wait {number}", "shop.sold", wait(0)))
    await tenant.emit("shop.sold")
    await tenant.runs_of(workflow_id, 1, {"succeeded"})


async def _is_ready(tenant: TenantClient) -> bool:
    return (await tenant.request("GET", "/readyz", authorised=False)).status == 200


async def _told(tenant: TenantClient, sentences: list[str]) -> bool:
    answer = await tenant.request("GET", "/readyz", authorised=False)
    return answer.status == 503 and all(each in answer.body["detail"] for each in sentences)
