"""What one tenant holds for as long as it can, another tenant does not wait for."""

import asyncio

import pytest

from shared.testing.documents import cloud_event, tell, wait, workflow
from shared.testing.receivers import Hang, Receiver
from shared.testing.tenant_client import TenantClient
from shared.testing.waiting import eventually
from tests.e2e.conftest import superuser, tenant_clients

pytestmark = pytest.mark.asyncio(loop_scope="session")

SOON_SECONDS = 10
"""Far less than what hangs would take to be given up."""


async def hang(tenant: TenantClient, inbox: Receiver) -> None:
    """As many attempts under way for an hour each as the platform lets one tenant have."""
    for number in range(4):
        inbox.behave(f"/{tenant.tenant_id}/{number}", Hang())
        await tenant.make_endpoint(f"e{number}", inbox.url(f"/{tenant.tenant_id}/{number}"))
        step = tell(f"e{number}", timeout_seconds=3600)
        await tenant.make_workflow(workflow(f"Hangs {number}", "shop.sold", step))
    (await tenant.publish(*(cloud_event("shop.sold", {}) for _ in range(40)))).expect(202)


async def test_two_tenants_whose_receivers_hang_do_not_stop_a_third(start_platform, inbox: Receiver) -> None:
    async with start_platform() as platform, tenant_clients(platform, ["one", "two", "third"]) as (one, two, third):
        await third.make_endpoint("e", inbox.url("/third"))
        await third.make_workflow(workflow("Goes on", "shop.sold", tell("e")))
        for tenant in (one, two):
            await hang(tenant, inbox)
        for tenant in (one, two):
            await inbox.wait_for(15, 30, path=f"/{tenant.tenant_id}/0")
        (await third.publish(cloud_event("shop.sold", {}))).expect(202)
        await inbox.wait_for(1, SOON_SECONDS, path="/third")


async def test_reads_of_one_tenant_that_hang_do_not_stop_anothers_events_and_reads(start_platform) -> None:
    async with start_platform() as platform, tenant_clients(platform, ["many", "other"]) as (many, other):
        await other.make_workflow(workflow("Waits", "shop.sold", wait(1)))
        connection = await superuser(platform)
        async with connection.transaction():
            await connection.execute("LOCK TABLE rm_1.runs IN ACCESS EXCLUSIVE MODE")
            reads = [asyncio.create_task(many.request("GET", "/api/v1/runs")) for _ in range(24)]

            async def some_hang() -> bool:
                waiting = "select count(*) from pg_locks where not granted and relation = 'rm_1.runs'::regclass"
                return bool(await connection.fetchval(waiting) >= 4)

            await eventually(some_hang, "reads wait for the table")
            async with asyncio.timeout(SOON_SECONDS):
                (await other.publish(cloud_event("shop.sold", {}))).expect(202)
                (await other.request("GET", "/api/v1/workflows")).expect(200)
            refused = [answer for answer in await asyncio.gather(*reads) if answer.status == 503]
            assert len(refused) >= 20
            assert all(int(answer.headers["Retry-After"]) >= 1 for answer in refused)
        await connection.close()
        (await many.request("GET", "/api/v1/runs")).expect(200)
