"""`upshot up` on what an earlier version left: the read model is built anew from the log first, whoever is killed meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from services.foundation import Foundation, foundation
from shared.readmodel.connect import SERVICE, Connection, connect
from shared.readmodel.generations import read_pointer, rebuilding
from shared.readmodel.versions import MODEL_VERSION
from shared.runtime.settings import UpshotSettings
from shared.testing.documents import wait, workflow
from shared.testing.platform import RunningPlatform, running_platform, second_process
from shared.testing.tenant_client import Answer, TenantClient, tenant_client
from shared.testing.waiting import eventually
from shared.testing.workspace import Workspace

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]

_GENERATIONS = r"SELECT substr(nspname, 4)::int FROM pg_namespace WHERE nspname ~ '^rm_\d+$' ORDER BY 1"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def long_lived(space: Workspace) -> AsyncIterator[RunningPlatform]:
    """One for all tests here: each leaves it as the next version would find it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UPSHOT_POSTGRES_SYSTEM_DIR", str(space.system_dir))
        async with running_platform(space, "updated") as it:
            yield it


@pytest_asyncio.fixture(loop_scope="session")
async def updated(long_lived: RunningPlatform) -> RunningPlatform:
    """Running, whatever the test before has left."""
    if not long_lived.alive:
        await long_lived.restart()
    return long_lived


async def test_killed_while_it_builds_the_next_start_begins_again_and_all_runs_are_there(
    updated: RunningPlatform,
) -> None:
    async with tenant_client(updated, "long-standing") as tenant:
        workflow_id, runs = await _history(tenant)
        async with _earlier_version_left(updated) as (ground, admin, generation):
            holder = await connect(ground.admin)
            # given: a build that stands in the middle, its first rows written, because the test holds a table of it
            async with admin.transaction():
                async with holder.transaction():
                    await holder.execute("SELECT FROM readmodel.current FOR UPDATE")
                    starting = asyncio.create_task(updated.restart())
                    await eventually(
                        lambda: _generations(admin, [generation, generation + 1]), "a generation is being built"
                    )
                    await admin.execute(f"LOCK TABLE rm_{generation + 1}.runs")
                await eventually(lambda: _says(tenant, "remain"), "/readyz says how much is left")

                # then: whoever looks for life finds it, whoever delivers is told to come again
                assert (await tenant.request("GET", "/healthz", authorised=False)).status == 200
                refused = (await tenant.request("POST", "/events", json={})).expect(503)
                assert int(refused.headers["Retry-After"]) > 0

                # when
                await updated.kill9()
                with pytest.raises(AssertionError, match="before it was ready"):
                    await starting
            await holder.close()
            await updated.restart()
            assert await _generations(admin, [generation + 2]), (
                "neither the half-built generation nor the earlier one is left"
            )
        assert await tenant.runs_of(workflow_id, 3, {"succeeded"}) == runs
        await tenant.emit("order.noted")
        await tenant.runs_of(workflow_id, 4, {"succeeded"})
        assert "equal to the live read model" in await updated.cli("rebuild", "--verify")


async def test_of_two_processes_that_start_at_once_one_builds_and_the_other_waits(
    updated: RunningPlatform, space: Workspace
) -> None:
    async with tenant_client(updated, "twice-started") as tenant:
        workflow_id, runs = await _history(tenant)
        async with _earlier_version_left(updated) as (ground, admin, generation):
            service = await connect(ground.role(SERVICE))
            second = second_process(updated, space)
            async with rebuilding(service):
                starting = [asyncio.create_task(updated.restart()), asyncio.create_task(second.__aenter__())]
                await eventually(lambda: _says(tenant, "another process"), "/readyz says what is waited for")
            await service.close()
            try:
                _, other = await asyncio.gather(*starting)
                assert await _generations(admin, [generation + 1])
                assert await tenant.at(other).runs_of(workflow_id, 3, {"succeeded"}) == runs
            finally:
                await second.__aexit__(None, None, None)


async def test_while_it_waits_to_build_it_ends_when_it_is_told_to(updated: RunningPlatform) -> None:
    async with tenant_client(updated, "impatient") as tenant:
        await _history(tenant)
        async with _earlier_version_left(updated) as (ground, admin, generation):
            service = await connect(ground.role(SERVICE))
            async with rebuilding(service):
                starting = asyncio.create_task(updated.restart())
                await eventually(lambda: _says(tenant, "another process"), "/readyz says what is waited for")
                assert await updated.stop() == 0
                with pytest.raises(AssertionError, match="before it was ready"):
                    await starting
            await service.close()
            assert await _generations(admin, [generation])


async def test_a_later_versions_read_model_is_left_alone(updated: RunningPlatform) -> None:
    async with tenant_client(updated, "gone-back") as tenant:
        workflow_id, runs = await _history(tenant)
        async with _earlier_version_left(updated, by=-1) as (_, admin, generation):
            with pytest.raises(AssertionError, match="upshot rebuild"):
                await updated.restart()
            assert await _generations(admin, [generation])
            await updated.cli("rebuild")
            await updated.restart()
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
) -> AsyncIterator[tuple[Foundation, Connection, int]]:
    """The platform stopped, its tables as a version so much earlier would have left them: unreadable. With the number of
    their generation."""
    await platform.stop()
    async with foundation(UpshotSettings(data_dir=platform.data_dir)) as ground:
        admin = await connect(ground.admin)
        await admin.execute("UPDATE readmodel.current SET fold_version = $1", MODEL_VERSION - by)
        generation = (await read_pointer(admin)).generation
        await admin.execute(f"TRUNCATE rm_{generation}.runs, rm_{generation}.workflows")
        yield ground, admin, generation
        await admin.close()


async def _generations(admin: Connection, wanted: list[int]) -> bool:
    return [row[0] for row in await admin.fetch(_GENERATIONS)] == wanted


async def _says(tenant: TenantClient, words: str) -> bool:
    try:
        answer: Answer = await tenant.request("GET", "/readyz", authorised=False)
    except aiohttp.ClientError:
        return False
    return answer.status == 503 and words in answer.body["detail"]
