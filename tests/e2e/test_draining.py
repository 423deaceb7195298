"""SIGTERM, as a load balancer sees it: /readyz says that the process drains before connections are refused, whatever it runs."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio

from shared.testing.platform import RunningPlatform
from shared.testing.services import SERVICES, RunningServices, running_services
from shared.testing.tenant_client import TenantClient, tenant_client
from shared.testing.waiting import eventually
from shared.testing.workspace import Workspace
from tests.e2e.conftest import StartPlatform

pytestmark = pytest.mark.asyncio(loop_scope="session")

DRAINING = "this process is draining: it was told to stop"
EVENT = b'{"specversion": "1.0", "id": "1", "source": "/s", "type": "shop.sold"}'


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def services(space: Workspace) -> AsyncIterator[RunningServices]:
    async with running_services(space, "draining", environment={"UPSHOT_DRAIN_NOTICE_SECONDS": "2"}) as it:
        yield it


async def test_ingest_answers_while_a_request_is_under_way(services: RunningServices) -> None:
    ingest = await services.add("ingest", UPSHOT_DRAIN_NOTICE_SECONDS="0")
    async with tenant_client(services, "acme") as tenant:
        await _drains(ingest, tenant)
    services.forget(ingest)


async def test_each_service_that_is_told_to_stop_says_so_before_it_ends(services: RunningServices) -> None:
    async def ends(service: str) -> None:
        member = services.of(service)[0]
        member.process.terminate()
        await eventually(lambda: _says_draining(member), f"/readyz of {service} says that it drains")
        assert await member.process.wait() == 0, service

    async with asyncio.TaskGroup() as group:
        for service in SERVICES:
            group.create_task(ends(service))


async def test_the_platform_answers_while_a_request_is_under_way(
    start_platform: StartPlatform,
) -> None:
    async with start_platform() as platform, tenant_client(platform, "acme") as tenant:
        await _drains(platform, tenant)


async def _drains(member: RunningPlatform, tenant: TenantClient) -> None:
    """An event is half sent when the process is told to stop. It is taken once it is whole, and then the process ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", member.port)
    head = (
        f"POST /events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {tenant.token}\r\n"
        f"Content-Type: application/cloudevents+json\r\nContent-Length: {len(EVENT)}\r\n\r\n"
    )
    writer.write(head.encode() + EVENT[:10])
    await writer.drain()
    await _took_a_request(member)
    member.process.terminate()
    await eventually(lambda: _says_draining(member), "/readyz says that it drains")
    assert await _says_draining(member)
    writer.write(EVENT[10:])
    assert b" 202 " in await reader.readline()
    assert await member.process.wait() == 0
    writer.close()


async def _took_a_request(member: RunningPlatform) -> None:
    """What came before this request has been seen by the process when it is answered."""
    async with aiohttp.ClientSession() as session, session.get(f"{member.url}/healthz") as answer:
        assert answer.status == 200


async def _says_draining(member: RunningPlatform) -> bool:
    async with aiohttp.ClientSession() as session, session.get(f"{member.url}/readyz") as answer:
        return answer.status == 503 and DRAINING in await answer.text()
