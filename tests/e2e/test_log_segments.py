"""Segments are detached beside a running platform, by the documented commands: what looks at the past still sees it."""

import json
from pathlib import Path

import pytest

from shared.testing.documents import wait, workflow
from shared.testing.markdown import snippets
from shared.testing.platform import REPOSITORY, RunningPlatform
from shared.testing.shell import Shell
from shared.testing.tenant_client import TenantClient, tenant_client
from shared.testing.waiting import eventually
from tests.e2e.conftest import StartPlatform

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow, pytest.mark.timeout(300)]

DOCUMENTED = [each.text for each in snippets(REPOSITORY) if each.kind == "sh segments"]
TOPICS = ("upshot.definitions", "upshot.events", "upshot.runs")


async def test_what_is_detached_is_still_explained_backtested_rebuilt_and_read_at_a_start(
    start_platform: StartPlatform, shell: Shell, tmp_path: Path
) -> None:
    async with (
        start_platform(UPSHOT_BUS_SEGMENT_RECORDS="4") as platform,
        tenant_client(platform, "historian") as tenant,
        tenant_client(platform, "neighbour") as neighbour,
    ):
        workflow_id = await tenant.make_workflow(workflow("Note orders", "order.noted", wait(0)))
        for number in range(3):
            await tenant.make_workflow(workflow(f"Idle {number}", "order.lost", wait(0)))
        first, *_ = [await tenant.emit("order.noted") for _ in range(6)]
        await tenant.runs_of(workflow_id, 6, {"succeeded"})
        explained = await tenant.get(f"/api/v1/events/{first}/explain")
        own = await segments(platform)
        assert {own[f"{topic}.0"]["state"] for topic in TOPICS} == {"closed"}

        # when: by the documented commands, for three topics at once
        archives = str(tmp_path / "archive")
        detaching, attaching = DOCUMENTED
        commands = detaching.replace("upshot.events.0", " ".join(f"{topic}.0" for topic in TOPICS))
        # The matcher commits now and then: until then what it would read again is still needed.
        await eventually(lambda: ended_well(shell, platform, commands, archives), "all are detached")
        own = await segments(platform)
        assert {own[f"{topic}.0"]["state"] for topic in TOPICS} == {"detached"}

        # then
        assert await tenant.get(f"/api/v1/events/{first}/explain") == explained
        assert "equal to the live read model" in await platform.cli("rebuild", "--verify")
        backtest = {"UPSHOT_URL": platform.url, "UPSHOT_TOKEN": tenant.token}
        assert "6 matches in 6 events" in await shell.run(platform, "upshot backtest 'Note orders'", **backtest)
        # and: without its file one tenant's definitions stand still, the other's do not
        archive = tmp_path / "archive" / "upshot.definitions.0"
        archive.rename(tmp_path / "mislaid")
        await platform.kill9()
        await platform.restart()
        await eventually(lambda: unready(neighbour, str(archive)), "/readyz names the file")
        other = await neighbour.make_workflow(workflow("Note orders", "order.noted", wait(0)))
        await works(neighbour, other, 1)

        (tmp_path / "mislaid").rename(archive)
        await platform.kill9()
        await platform.restart()
        await works(tenant, workflow_id, 7)
        await shell.run(platform, attaching, ARCHIVE=archives)
        assert (await segments(platform))["upshot.events.0"]["state"] == "exported"


async def segments(platform: RunningPlatform) -> dict[str, dict[str, object]]:
    told = [json.loads(line) for line in (await platform.cli("log", "segments", "--json")).splitlines()]
    return {each["segment"]: each for each in told}


async def ended_well(shell: Shell, platform: RunningPlatform, commands: str, archives: str) -> bool:
    try:
        await shell.run(platform, commands, ARCHIVE=archives)
    except AssertionError as failure:
        assert "is still needed" in str(failure)
        return False
    return True


async def works(tenant: TenantClient, workflow_id: str, runs: int) -> None:
    await tenant.emit("order.noted")
    await tenant.runs_of(workflow_id, runs, {"succeeded"})


async def unready(tenant: TenantClient, words: str) -> bool:
    answer = await tenant.request("GET", "/readyz", authorised=False)
    return answer.status == 503 and words in answer.body["detail"]
