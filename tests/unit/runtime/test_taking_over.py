"""However quickly partitions come and go while they are restored, each is acted on through one shard."""

import asyncio
from collections.abc import Collection, Mapping

from shared.bus.adapters.memory import MemoryBus
from shared.bus.topics import RUNS
from shared.domain.runs.delta import RunsDelta
from shared.readmodel.snapshots import Snapshot
from shared.runtime.clock import SystemClock
from shared.runtime.shard import Shard
from shared.runtime.shards import RunsFollower
from shared.testing.folds import NothingRemembered
from shared.testing.waiting import eventually

PARTITIONS = 4


class SlowSnapshots(NothingRemembered):
    """Answers when the test says so."""

    def __init__(self) -> None:
        self.given = 0
        self.asked, self.answering = asyncio.Event(), asyncio.Event()

    async def snapshot(self, partitions: Collection[int]) -> Mapping[int, Snapshot]:
        self.asked.set()
        await self.answering.wait()
        self.given += 1
        return await super().snapshot(partitions)


class Acting:
    """An actor that notes on which shards it acts."""

    def __init__(self) -> None:
        self.shards: list[Shard] = []

    def restored(self, shard: Shard) -> None:
        self.shards.append(shard)

    def folded(self, shard: Shard, delta: RunsDelta) -> None: ...

    def revoked(self, shard: Shard) -> None:
        if shard in self.shards:
            self.shards.remove(shard)

    def halted(self, shard: Shard) -> None: ...


async def test_what_is_taken_away_and_given_back_during_a_restore_is_restored_once_more_and_acted_on_once() -> None:
    bus, snapshots, acting = MemoryBus(SystemClock(), partition_count=PARTITIONS), SlowSnapshots(), Acting()
    follower = RunsFollower(bus, snapshots, [acting], group="runs", member_id="m1")
    task = asyncio.create_task(follower.run())
    try:
        async with asyncio.timeout(10):
            await snapshots.asked.wait()
        neighbour = await bus.join("runs", RUNS, member_id="m2")

        async def neighbour_owns() -> bool:
            await neighbour.next_assignment(timeout_seconds=0.05)
            return len(neighbour.assignment.partitions) == PARTITIONS // 2

        await eventually(neighbour_owns, "half of them are the neighbour's")
        await neighbour.leave()

        async def all_ours() -> bool:
            membership = follower._membership
            return membership is not None and len(membership.assignment.partitions) == PARTITIONS

        await eventually(all_ours, "all are given back")
        snapshots.answering.set()

        async def settled() -> bool:
            return snapshots.given == 2 and follower.level and len(follower.shards) == PARTITIONS

        await eventually(settled, "what was given back is restored once more")
        assert sorted(shard.partition for shard in acting.shards) == list(range(PARTITIONS))
        assert set(acting.shards) == set(follower.shards.values())
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
