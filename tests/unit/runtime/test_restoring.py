"""How long a restore still takes, told from what was done so far."""

from shared.bus.adapters.memory import MemoryBus
from shared.bus.port import Membership
from shared.bus.topics import RUNS
from shared.readmodel.snapshots import Snapshot
from shared.runtime.clock import SystemClock
from shared.runtime.restoring import TOLD_PARTITIONS_MAX, RestoreProgress
from shared.runtime.shard import Shard


class MovedClock(SystemClock):
    seconds = 100.0

    def monotonic(self) -> float:
        return self.seconds


async def member() -> Membership:
    return await MemoryBus(SystemClock()).join("g", RUNS, member_id="m")


def shard(partition: int, membership: Membership, *, begun: int, end: int) -> Shard:
    made = Shard(partition, membership, parsed_bytes_max=0)
    made.begin(Snapshot(partition=partition, next=begun, now=None), end)
    made.reach_level()
    return made


async def test_what_is_left_is_told_in_all_and_by_partition_with_the_time_that_it_takes() -> None:
    membership, clock = await member(), MovedClock()
    shards = {
        0: shard(0, membership, begun=100, end=100),
        1: shard(1, membership, begun=0, end=1000),
        2: shard(2, membership, begun=50, end=150),
    }
    progress = RestoreProgress(lambda: shards, clock)
    assert progress.sentences() == [
        f"2 of 3 partitions of {RUNS} are being restored: 1100 records to go",
        f"{RUNS}/1 is restored to offset 0 of 1000: 1000 records to go",
        f"{RUNS}/2 is restored to offset 50 of 150: 100 records to go",
    ]

    # when
    clock.seconds += 2
    shards[1].next, shards[2].next = 400, 100

    # then
    assert progress.sentences() == [
        f"2 of 3 partitions of {RUNS} are being restored: 650 records to go, about 3 s",
        f"{RUNS}/1 is restored to offset 400 of 1000: 600 records to go, about 3 s",
        f"{RUNS}/2 is restored to offset 100 of 150: 50 records to go, about 2 s",
    ]
    shards[1].next, shards[2].next = 1000, 150
    for each in shards.values():
        each.reach_level()
    assert progress.sentences() == []
    assert progress.remaining() == {}


async def test_a_partition_that_is_restored_again_begins_its_time_anew() -> None:
    membership, clock = await member(), MovedClock()
    shards = {1: shard(1, membership, begun=0, end=1000)}
    progress = RestoreProgress(lambda: shards, clock)
    progress.sentences()
    clock.seconds += 10
    shards[1].next = 900
    progress.sentences()
    shards[1] = shard(1, membership, begun=500, end=2000)
    assert progress.sentences()[0].endswith("1500 records to go")


async def test_of_many_partitions_those_are_named_that_have_most_before_them() -> None:
    membership = await member()
    shards = {each: shard(each, membership, begun=0, end=each + 1) for each in range(100)}
    told = RestoreProgress(lambda: shards, MovedClock()).sentences()
    assert len(told) == 1 + TOLD_PARTITIONS_MAX
    assert told[1].startswith(f"{RUNS}/99 ")
