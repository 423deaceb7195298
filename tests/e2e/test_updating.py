"""`upshot up` on what an earlier version left: the read model is built anew from the log first, whoever is killed meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from services.foundation import Foundation, foundation
from shared.readmodel.connect import SERVICE, Connection, connect
from shared.readmodel.generations import rebuilding
from shared.readmodel.versions import MODEL_VERSION
from shared.runtime.settings import UpshotSettings
from shared.testing.documents import wait, workflow
from shared.testing.platform import RunningPlatform, second_process
from shared.testing.tenant_client import Answer, TenantClient, tenant_client
from shared.testing.waiting import eventually
from shared.testing.workspace import Workspace
from tests.e2e.conftest import StartPlatform

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]

_GENERATIONS = r"SELECT substr(nspname, 4)::int FROM pg_namespace WHERE nspname ~ '^rm_\d+$' ORDER BY 1"


@pytest.fixture(autouse=True)
def _same_server(space: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPSHOT_POSTGRES_SYSTEM_DIR", str(space.system_dir))


async def test_killed_while_it_builds_the_next_start_begins_again_and_all_runs_are_there(
    start_platform: StartPlatform,
) -> None:
    async with start_platform() as platform, tenant_client(platform, "long-standing") as tenant:
        workflow_id, runs = await _history(tenant)
        async with _earlier_version_left(platform) as (ground, admin):
            holder = await connect(ground.admin)
            # given: a build that stands in the middle, its first rows written, because the test holds a table of it
            async with admin.transaction():
                async with holder.transaction():
                    await holder.execute("SELECT FROM readmodel.current FOR UPDATE")
                    starting = asyncio.create_task(platform.restart())
                    await eventually(lambda: _generations(admin, [1, 2]), "a generation is being built")
                    await admin.execute("LOCK TABLE rm_2.runs")
                await eventually(lambda: _says(tenant, "remain"), "/readyz says how much is left")

                # then: whoever looks for life finds it, whoever delivers is told to come again
                assert (await tenant.request("GET", "/healthz", authorised=False)).status == 200
                refused = (await tenant.request("POST", "/events", json={})).expect(503)
                assert int(refused.headers["Retry-After"]) > 0

                # when
                await platform.kill9()
                with pytest.raises(AssertionError, match="before it was ready"):
                    await starting
            await holder.close()
            await platform.restart()
            assert await _generations(admin, [3]), "neither the half-built generation nor the earlier one is left"
        assert await tenant.runs_of(workflow_id, 3, {"succeeded"}) == runs
        await tenant.emit("order.noted")
        await tenant.runs_of(workflow_id, 4, {"succeeded"})
        assert "equal to the live read model" in await platform.cli("rebuild", "--verify")


async def test_of_two_processes_that_start_at_once_one_builds_and_the_other_waits(
    start_platform: StartPlatform, space: Workspace
) -> None:
    async with start_platform() as platform, tenant_client(platform, "twice-started") as tenant:
        workflow_id, runs = await _history(tenant)
        async with _earlier_version_left(platform) as (ground, admin):
            service = await connect(ground.role(SERVICE))
            second = second_process(platform, space)
            async with rebuilding(service):
                starting = [asyncio.create_task(platform.restart()), asyncio.create_task(second.__aenter__())]
                await eventually(lambda: _says(tenant, "another process"), "/readyz says what is waited for")
            await service.close()
            try:
                _, other = await asyncio.gather(*starting)
                assert await _generations(admin, [2])
                assert await tenant.at(other).runs_of(workflow_id, 3, {"succeeded"}) == runs
            finally:
                await second.__aexit__(None, None, None)


async def test_while_it_waits_to_build_it_ends_when_it_is_told_to(start_platform: StartPlatform) -> None:
    async with start_platform() as platform, tenant_client(platform, "impatient") as tenant:
        await _history(tenant)
        async with _earlier_version_left(platform) as (ground, admin):
            service = await connect(ground.role(SERVICE))
            async with rebuilding(service):
                starting = asyncio.create_task(platform.restart())
                await eventually(lambda: _says(tenant, "another process"), "/readyz says what is waited for")
                assert await platform.stop() == 0
                with pytest.raises(AssertionError, match="before it was ready"):
                    await starting
            await service.close()
            assert await _generations(admin, [1])


async def test_a_later_versions_read_model_is_left_alone(start_platform: StartPlatform) -> None:
    async with start_platform() as platform, tenant_client(platform, "gone-back") as tenant:
        workflow_id, runs = await _history(tenant)
        async with _earlier_version_left(platform, by=-1) as (_, admin):
            with pytest.raises(AssertionError, match="upshot rebuild"):
                await platform.restart()
            assert await _generations(admin, [1])
            await platform.cli("rebuild")
            await platform.restart()
        assert await tenant.runs_of(workflow_id, 3, {"succeeded"}) == runs


async def _history(tenant: TenantClient) -> tuple[str, list[Any]]:
    """A workflow and its three runs."""
    workflow_id = await tenant.make_workflow(workflow("Note orders", "order.noted", wait(0)))
    for _ in range(3):
        await tenant.emit("order.noted")
    return workflow_id, await tenant.runs_of(workflow_id, 3, {"succeeded"})


@asynccontextmanager
async def _earlier_version_left(
    platform: RunningPlatform, *, by: int = 1
) -> AsyncIterator[tuple[Foundation, Connection]]:
    """The platform stopped, its tables as a version so much earlier would have left them: unreadable."""
    await platform.stop()
    async with foundation(UpshotSettings(data_dir=platform.data_dir)) as ground:
        admin = await connect(ground.admin)
        await admin.execute("UPDATE readmodel.current SET fold_version = $1", MODEL_VERSION - by)
        await admin.execute("TRUNCATE rm_1.runs, rm_1.workflows")
        yield ground, admin
        await admin.close()


async def _generations(admin: Connection, wanted: list[int]) -> bool:
    return [row[0] for row in await admin.fetch(_GENERATIONS)] == wanted


async def _says(tenant: TenantClient, words: str) -> bool:
    try:
        answer: Answer = await tenant.request("GET", "/readyz", authorised=False)
    except aiohttp.ClientError:
        return False
    return answer.status == 503 and words in answer.body["detail"]
