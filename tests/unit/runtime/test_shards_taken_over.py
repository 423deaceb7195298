"""However often a partition goes and comes back, and whatever its follower is busy with, it is held once and for its own time."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager

import pytest

from shared.bus.adapters.memory import MemoryBus, MemoryMembership
from shared.bus.port import Assignment
from shared.bus.topics import RUNS
from shared.domain.errors import PermanentError
from shared.domain.runs.delta import RunsDelta
from shared.readmodel.snapshots import Snapshot
from shared.runtime import shards
from shared.runtime.clock import SystemClock
from shared.runtime.shard import Shard
from shared.runtime.shards import RunsFollower
from shared.testing.folds import NothingRemembered

PARTITIONS = 2


class KnownMembers(MemoryBus):
    """Knows who has joined."""

    def __init__(self) -> None:
        super().__init__(SystemClock(), partition_count=PARTITIONS)
        self.members: dict[str, MemoryMembership] = {}

    async def join(self, group: str, topic: str, *, member_id: str) -> MemoryMembership:
        self.members[member_id] = member = await super().join(group, topic, member_id=member_id)
        return member


class SlowModel(NothingRemembered):
    """Answers when the test says so."""

    def __init__(self) -> None:
        self.asked: list[set[int]] = []
        self.answers = asyncio.Event()

    async def snapshot(self, partitions: Collection[int]) -> Mapping[int, Snapshot]:
        self.asked.append(set(partitions))
        await self.answers.wait()
        return await super().snapshot(partitions)


class Holder:
    """An actor that notes what it may act on."""

    def __init__(self) -> None:
        self.restored_shards = 0
        self.shards: list[Shard] = []

    def restored(self, shard: Shard) -> None:
        self.restored_shards += 1
        self.shards.append(shard)

    def folded(self, shard: Shard, delta: RunsDelta) -> None:
        pass

    def revoked(self, shard: Shard) -> None:
        if shard in self.shards:
            self.shards.remove(shard)

    def halted(self, shard: Shard) -> None:
        pass


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "POLL_SECONDS", 0.001)


@asynccontextmanager
async def following(
    bus: KnownMembers, model: SlowModel, holder: Holder, may_read: asyncio.Event | None = None
) -> AsyncIterator[RunsFollower]:
    follower = RunsFollower(bus, model, [holder], group="g", member_id="a", may_read=may_read)
    task = asyncio.create_task(follower.run())
    try:
        yield follower
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0)


async def come_and_go(bus: KnownMembers) -> None:
    """Another member is given one of the partitions, and gives it back."""
    other = await bus.join("g", RUNS, member_id="b")
    await until(lambda: len(bus.members["a"].assignment.partitions) == 1)
    assert await other.next_assignment(timeout_seconds=5) is not None
    await other.leave()
    await until(lambda: len(bus.members["a"].assignment.partitions) == PARTITIONS)


def held_once(follower: RunsFollower, holder: Holder) -> bool:
    return sorted(each.partition for each in holder.shards) == [0, 1] and set(holder.shards) == set(
        follower.shards.values()
    )


async def test_what_goes_and_comes_back_during_its_own_restore_is_restored_anew_and_held_once() -> None:
    bus, model, holder = KnownMembers(), SlowModel(), Holder()
    async with following(bus, model, holder) as follower:
        await until(lambda: model.asked == [{0, 1}])

        # when
        await come_and_go(bus)
        model.answers.set()

        # then: the answer of before is of no use for the one that another member had meanwhile
        await until(lambda: len(model.asked) == 2 and len(follower.shards) == PARTITIONS)
        assert len(model.asked[1]) == 1
        assert held_once(follower, holder)
        assert holder.restored_shards == PARTITIONS


async def test_what_goes_and_comes_back_again_and_again_while_nothing_may_be_read_is_held_once() -> None:
    bus, model, holder, may_read = KnownMembers(), SlowModel(), Holder(), asyncio.Event()
    model.answers.set()
    async with following(bus, model, holder, may_read) as follower:
        await until(lambda: len(holder.shards) == PARTITIONS)

        # when
        for _ in range(3):
            await come_and_go(bus)
        assert len(holder.shards) == 1
        may_read.set()

        # then
        await until(lambda: len(follower.shards) == PARTITIONS)
        assert held_once(follower, holder)
        assert holder.restored_shards == PARTITIONS + 1


async def test_what_is_taken_away_while_the_read_model_is_away_is_not_asked_for_any_more() -> None:
    bus, model, holder = KnownMembers(), SlowModel(), Holder()
    async with following(bus, model, holder) as follower:
        await until(lambda: model.asked == [{0, 1}])

        # when
        other = await bus.join("g", RUNS, member_id="b")
        await until(lambda: len(bus.members["a"].assignment.partitions) == 1)
        model.answers.set()

        # then
        await until(lambda: bool(follower.shards))
        assert follower.shards.keys() == bus.members["a"].assignment.partitions
        assert {each.partition for each in holder.shards} == bus.members["a"].assignment.partitions
        await other.leave()


async def test_who_stands_by_without_a_partition_learns_that_the_group_refuses_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def refuse(_member: MemoryMembership, *, timeout_seconds: float) -> Assignment | None:
        await asyncio.sleep(timeout_seconds)
        raise PermanentError("the group refuses this member")

    monkeypatch.setattr(MemoryMembership, "next_assignment", refuse)
    follower = RunsFollower(KnownMembers(), SlowModel(), [], group="g", member_id="a")
    async with asyncio.timeout(10):
        with pytest.raises(PermanentError, match="refuses"):
            await follower.run()
