"""What triggers remember goes with the partition: handed over, or taken from an owner that stands still and wakes up again.

Counts that one process began the other completes, once; waits are told of once.
"""

from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest

from services.foundation import foundation
from shared.bus.partitioner import partition_of
from shared.bus.topics import EVENTS
from shared.domain.envelope import routing_key
from shared.readmodel.connect import SERVICE, connect
from shared.runtime.settings import UpshotSettings
from shared.testing.documents import wait
from shared.testing.platform import RunningPlatform, second_process
from shared.testing.tenant_client import TenantClient
from shared.testing.waiting import eventually
from shared.testing.workspace import Workspace
from tests.e2e.conftest import SOON_SILENT, StartPlatform, tenant_clients

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]

TENANTS = 4
TIMES = 3
COUNT = {"event": "door.denied", "times": TIMES, "within_seconds": 120, "lateness_seconds": 120}
ABSENCE = {
    "after": {"event": "door.opened"},
    "of": {"event": "door.closed"},
    "within_seconds": 2,
    "lateness_seconds": 1,
    "key": "{{ event.data.door }}",
}
TAKEN_OVER_SECONDS = 30.0

_OWNERS = """
SELECT DISTINCT owner FROM log.group_shares
WHERE name = 'matcher' AND topic = $1 AND partition = ANY($2::int[]) AND owner IS NOT NULL
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """A tenant who counts and who waits."""

    tenant: TenantClient
    counting: str
    missing: str

    async def be_denied(self, platform: RunningPlatform, times: int) -> None:
        for _ in range(times):
            await self.tenant.at(platform).emit("door.denied")

    async def open_doors(self, platform: RunningPlatform, turn: str) -> set[str]:
        """Two are opened and one is closed again: the event that nothing follows."""
        at = self.tenant.at(platform)
        left_open = await at.emit("door.opened", {"door": f"left open {turn}"})
        await at.emit("door.opened", {"door": f"closed {turn}"})
        await at.emit("door.closed", {"door": f"closed {turn}"})
        return {left_open}

    async def completed(self, platform: RunningPlatform, times: int) -> None:
        """So many counts and no more."""
        found = await self.tenant.at(platform).runs_of(self.counting, times, {"succeeded"}, TAKEN_OVER_SECONDS)
        assert len(found) == times

    async def told(self, platform: RunningPlatform, opened: set[str]) -> None:
        """Of these openings, each once, and of no other."""
        found = await self.tenant.at(platform).runs_of(self.missing, len(opened), {"succeeded"}, TAKEN_OVER_SECONDS)
        assert sorted(run["event_id"] for run in found) == sorted(opened)


async def test_a_process_that_joins_and_one_that_leaves_take_and_hand_over_what_is_remembered(
    start_platform: StartPlatform, space: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UPSHOT_POSTGRES_SYSTEM_DIR", str(space.system_dir))
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(start_platform())
        watches = await _watches(stack, first, "handed")
        opened = {}
        for watch in watches:
            await watch.be_denied(first, TIMES - 1)
            opened[watch.counting] = await watch.open_doors(first, "before")
        async with second_process(first, space) as second:
            await _shared(first, watches)
            for watch in watches:
                await watch.be_denied(second, 1 + TIMES - 1)
                opened[watch.counting] |= await watch.open_doors(second, "while there are two")
        for watch in watches:
            await watch.be_denied(first, 1)
            opened[watch.counting] |= await watch.open_doors(first, "afterwards")
        for watch in watches:
            await watch.told(first, opened[watch.counting])
            await watch.completed(first, 2)


async def test_an_owner_that_stood_still_and_wakes_up_tells_of_nothing_again(
    start_platform: StartPlatform, space: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UPSHOT_POSTGRES_SYSTEM_DIR", str(space.system_dir))
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(start_platform(**SOON_SILENT))
        watches = await _watches(stack, first, "frozen")
        second = await stack.enter_async_context(second_process(first, space, environment=SOON_SILENT))
        await _shared(first, watches)
        opened = {}
        for watch in watches:
            await watch.be_denied(first, TIMES - 1)
            opened[watch.counting] = await watch.open_doors(first, "before")

        # when: its waits fall due, and its counts are completed, while it stands still
        first.freeze()
        for watch in watches:
            await watch.be_denied(second, 1)
        for watch in watches:
            await watch.told(second, opened[watch.counting])
            await watch.completed(second, 1)
        first.thaw()

        # then: what follows is known to come after whatever it did when it woke up
        for watch in watches:
            await watch.be_denied(first, TIMES)
            opened[watch.counting] |= await watch.open_doors(first, "afterwards")
        for watch in watches:
            await watch.told(second, opened[watch.counting])
            await watch.completed(second, 2)


async def _watches(stack: AsyncExitStack, platform: RunningPlatform, name: str) -> list[Watch]:
    names = [f"{name}-{number}" for number in range(TENANTS)]
    tenants = await stack.enter_async_context(tenant_clients(platform, names))
    return [
        Watch(
            tenant=tenant,
            counting=await tenant.make_workflow(
                {"name": "Denied again and again", "trigger": {"count": COUNT}, "steps": [wait(0)]}
            ),
            missing=await tenant.make_workflow(
                {"name": "Left open", "trigger": {"absence": ABSENCE}, "steps": [wait(0)]}
            ),
        )
        for tenant in tenants
    ]


async def _shared(platform: RunningPlatform, watches: list[Watch]) -> None:
    """Returns once the events of these tenants are matched by two processes."""
    async with foundation(UpshotSettings(data_dir=platform.data_dir)) as ground:
        service = await connect(ground.role(SERVICE))
        partitions = {partition_of(routing_key(each.tenant.tenant_id), ground.bus.partition_count) for each in watches}

        async def owners() -> bool:
            found = await service.fetch(_OWNERS, EVENTS, list(partitions))
            return len(found) == 2

        await eventually(owners, "both processes match some of the tenants")
        await service.close()
