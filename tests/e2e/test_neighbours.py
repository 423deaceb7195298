"""What one tenant holds for as long as it can, another tenant does not wait for."""

import asyncio
import itertools

import pytest

from shared.domain.ids import published_event_id
from shared.testing.documents import Document, cloud_event, tell, wait, workflow
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


def stop_hanging(tenant: TenantClient, inbox: Receiver) -> None:
    """A platform that is told to stop waits for attempts under way."""
    for number in range(4):
        inbox.release(f"/{tenant.tenant_id}/{number}")


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
        for tenant in (one, two):
            stop_hanging(tenant, inbox)


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
            refused = [await each for each in itertools.islice(asyncio.as_completed(reads), 20)]
            assert all(int(answer.expect(503).headers["Retry-After"]) >= 1 for answer in refused)
        await connection.close()
        await asyncio.gather(*reads)
        (await many.request("GET", "/api/v1/runs")).expect(200)


def looks_into_arrays(number: int) -> Document:
    """At five fields of one element; an event of `lots` has each, and never together."""
    document = workflow(f"Looks {number}", "lots.sold", wait(0), priority=number)
    fields = {key: [{"numeric": [">", -number]}] for key in ("a", "b", "c", "y", "zz")}
    document["trigger"]["pattern"] = {"data": {"lots": fields}}
    return document


async def test_patterns_on_one_tenants_large_arrays_do_not_stop_anothers_events(
    start_platform, inbox: Receiver
) -> None:
    async with start_platform() as platform, tenant_clients(platform, ["looks", "quiet"]) as (looks, quiet):
        await quiet.make_endpoint("e", inbox.url("/quiet"))
        await quiet.make_workflow(workflow("Goes on", "shop.sold", tell("e")))
        for first in range(0, 200, 20):
            await asyncio.gather(*(looks.make_workflow(looks_into_arrays(first + each)) for each in range(20)))
        lots = [{"a": 1, "b": 1, "c": 1, "y": 1}, {"zz": 1}] * 5_000
        large = [cloud_event("lots.sold", {"lots": lots}) for _ in range(3)]
        for event in large:
            (await looks.publish(event)).expect(202)
        (await quiet.publish(cloud_event("shop.sold", {}))).expect(202)
        await inbox.wait_for(1, SOON_SECONDS, path="/quiet")

        async def is_said_to_be_left_out() -> bool | None:
            event_id = published_event_id(looks.tenant_id, "/shop", large[0]["id"])
            path = f"/api/v1/events/{event_id}/explain?workflow=Looks%20199"
            answer = await looks.request("GET", path)
            if answer.status != 200:
                return None
            outcome = answer.body["items"][0]["outcome"]
            return (outcome["kind"], outcome["reason_kind"]) == ("unevaluated", "budget")

        await eventually(is_said_to_be_left_out, "the last workflow is said to be left out")
