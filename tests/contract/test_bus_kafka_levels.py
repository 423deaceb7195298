"""Level with a partition by position, on a real Kafka: each way in which the last record tells nothing about the end.

Producers of transactions, and whoever deletes records, are foreign clients here: Upshot does neither.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection, Mapping

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from services.executor.actions import discover_actions
from services.matcher.service import Matcher, Matching
from services.matcher.service.remembering import restore_memories
from services.matcher.settings import MatcherSettings
from services.matcher.triggers import discover_triggers
from shared.bus.adapters.kafka import KafkaBus
from shared.bus.partitioner import partition_of
from shared.bus.port import NewRecord, PartitionUnreadable, Watermarks
from shared.bus.ranges import BusRange, first_at_or_after
from shared.bus.topics import DEFINITIONS, EVENTS, RUNS, TOPICS
from shared.readmodel.snapshots import Snapshot, WindowsSnapshot
from shared.runtime.clock import SystemClock
from shared.runtime.definitions import DefinitionsFollower, PartitionHalted
from shared.runtime.shards import RunsFollower
from shared.testing.bus import PARTITION_COUNT
from shared.testing.bus.kafka import KafkaLog, fresh_log
from shared.testing.folds import NothingRemembered
from shared.testing.kafka import KafkaCluster
from shared.testing.waiting import eventually
from shared.workflows.catalogue import Catalogue

KEY = b"acme"
PARTITION = partition_of(KEY, PARTITION_COUNT)
QUIET = next(each for each in range(PARTITION_COUNT) if each != PARTITION)
CATALOGUE = Catalogue(actions=discover_actions(), triggers=discover_triggers(), event_schemas={})


@pytest_asyncio.fixture
async def log(kafka_broker: KafkaCluster) -> AsyncIterator[KafkaLog]:
    async with fresh_log(kafka_broker, TOPICS) as fresh:
        yield fresh


@pytest_asyncio.fixture
async def bus(log: KafkaLog) -> KafkaBus:
    return await log.client()


async def transactions(log: KafkaLog, bus: KafkaBus, topic: str, *, committed: int, aborted: int) -> None:
    """So many transactions of one record each, the aborted ones last: a marker follows each record, before long."""
    before = (await bus.watermarks(topic, [PARTITION]))[PARTITION].high
    producer = AIOKafkaProducer(
        bootstrap_servers=log.cluster.bootstrap_servers, transactional_id=f"{log.prefix}{topic}"
    )
    await producer.start()
    try:
        for number in range(committed + aborted):
            await producer.begin_transaction()
            await producer.send_and_wait(log.prefix + topic, b"foreign", key=KEY, partition=PARTITION)
            await (producer.commit_transaction() if number < committed else producer.abort_transaction())
    finally:
        await producer.stop()
    await ends_at(bus, topic, before + 2 * (committed + aborted))


async def ends_at(bus: KafkaBus, topic: str, high: int) -> None:
    async def ask() -> bool:
        return (await bus.watermarks(topic, [PARTITION]))[PARTITION].high == high

    await eventually(ask, f"the marker is written at {high - 1}")


async def delete_below(log: KafkaLog, topic: str, offset: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=log.cluster.bootstrap_servers)
    await admin.start()
    try:
        await admin.delete_records({TopicPartition(log.prefix + topic, PARTITION): RecordsToDelete(offset)})
    finally:
        await admin.close()


async def committed(log: KafkaLog, group: str, topic: str) -> Mapping[int, int]:
    """As Kafka's own tools see it."""
    admin = AIOKafkaAdminClient(bootstrap_servers=log.cluster.bootstrap_servers)
    await admin.start()
    try:
        offsets = await admin.list_consumer_group_offsets(f"{log.prefix}{topic}.{group}")
    finally:
        await admin.close()
    return {place.partition: found.offset for place, found in offsets.items()}


def new(topic: str = EVENTS) -> NewRecord:
    return NewRecord(topic=topic, key=KEY, headers=(), value=b"{}")


class FurtherOn(NothingRemembered):
    """A read model that has folded up to `next`."""

    def __init__(self, next_offset: int) -> None:
        self._next = next_offset

    async def snapshot(self, partitions: Collection[int]) -> Mapping[int, Snapshot]:
        return {each: Snapshot(partition=each, next=self._next, now=None) for each in partitions}

    async def windows(self, partitions: Collection[int]) -> Mapping[int, WindowsSnapshot]:
        return dict.fromkeys(partitions, WindowsSnapshot(next=self._next, now=None))


@contextlib.asynccontextmanager
async def running(work: "asyncio.Future[None] | asyncio.Task[None]") -> AsyncIterator[None]:
    try:
        yield
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


async def test_a_reader_passes_markers_and_what_was_aborted(log: KafkaLog, bus: KafkaBus) -> None:
    await transactions(log, bus, EVENTS, committed=2, aborted=2)
    marks = await bus.watermarks(EVENTS, [PARTITION, QUIET])
    assert marks == {PARTITION: Watermarks(0, 8), QUIET: Watermarks(0, 0)}
    reader = bus.reader(EVENTS)
    reader.assign({PARTITION: 0, QUIET: 0})
    found = []
    async with asyncio.timeout(10):  # no poll waits out its 30 s: coming back empty tells that the position moved
        while reader.positions()[PARTITION] < 8:
            found += (await reader.poll(timeout_seconds=30)).get(PARTITION, [])
    assert [record.offset for record in found] == [0, 2]
    range_of = BusRange(bus, EVENTS, PARTITION)
    assert await first_at_or_after(range_of, found[0].recorded_at, 0, 8) == 0
    assert await first_at_or_after(range_of, SystemClock().now(), 0, 8) == 3
    await range_of.close()


async def test_an_open_transaction_hides_what_follows_it_from_high_and_from_readers_alike(
    log: KafkaLog, bus: KafkaBus
) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=log.cluster.bootstrap_servers, transactional_id=log.prefix)
    await producer.start()
    await producer.begin_transaction()
    await producer.send_and_wait(log.prefix + EVENTS, b"open", key=KEY, partition=PARTITION)
    await bus.append([new()])
    assert (await bus.watermarks(EVENTS, [PARTITION]))[PARTITION] == Watermarks(0, 0)
    await producer.commit_transaction()
    await producer.stop()
    await ends_at(bus, EVENTS, 3)


async def test_definitions_that_end_in_an_aborted_transaction_are_caught_up_with(log: KafkaLog, bus: KafkaBus) -> None:
    await transactions(log, bus, DEFINITIONS, committed=0, aborted=1)
    follower = DefinitionsFollower(bus, [PARTITION, QUIET])
    try:
        async with asyncio.timeout(10):
            await follower.start()
            await transactions(log, bus, DEFINITIONS, committed=0, aborted=1)
            await follower.catch_up()
    finally:
        await follower.close()


async def test_runs_and_windows_that_end_in_an_aborted_transaction_are_restored(log: KafkaLog, bus: KafkaBus) -> None:
    await transactions(log, bus, RUNS, committed=0, aborted=2)
    async with asyncio.timeout(10):
        memories, _ = await restore_memories(bus, NothingRemembered(), [PARTITION, QUIET], retry_seconds=0.1)
    assert memories.keys() == {PARTITION, QUIET}
    follower = RunsFollower(bus, NothingRemembered(), [], group="g", member_id="a")
    async with running(asyncio.create_task(follower.run())):
        await eventually(lambda: _ready(follower.level), "every partition is level, also the empty ones")
        assert follower.shards[PARTITION].next == 4


async def test_the_matchers_lag_goes_back_to_0_behind_an_aborted_transaction(log: KafkaLog, bus: KafkaBus) -> None:
    clock = SystemClock()
    definitions = DefinitionsFollower(bus)
    await definitions.start()
    settings = MatcherSettings(commit_interval_seconds=0.05)
    matching = Matching(
        definitions.definitions,
        CATALOGUE,
        settings,
        clock,
        partition_count=bus.partition_count,
        record_bytes_max=bus.record_bytes_max,
    )
    matcher = Matcher(bus, definitions, matching, settings, member_id="m", snapshots=NothingRemembered(), clock=clock)

    async def level() -> bool:
        return (await committed(log, "matcher", EVENTS)).get(PARTITION) == 2

    async with running(asyncio.create_task(matcher.run())):
        await eventually(lambda: _ready(matching.memories.keys() >= {PARTITION}), "the matcher owns the partition")
        await transactions(log, bus, EVENTS, committed=0, aborted=1)
        await eventually(level, "what is committed reaches the end")
    await definitions.close()


async def test_an_empty_partition_whose_records_were_deleted_is_level(log: KafkaLog, bus: KafkaBus) -> None:
    await bus.append([new()] * 3)
    await delete_below(log, EVENTS, 3)
    assert (await bus.watermarks(EVENTS, [PARTITION]))[PARTITION] == Watermarks(3, 3)
    reader = bus.reader(EVENTS)
    reader.assign({PARTITION: 0})
    async with asyncio.timeout(10):
        while reader.positions()[PARTITION] < 3:
            assert await reader.poll(timeout_seconds=5) == {}
    await bus.append([new()])
    (record,) = (await reader.poll(timeout_seconds=5))[PARTITION]
    assert record.offset == 3


async def test_records_deleted_below_a_checkpoint_are_told_loudly_and_never_waited_for(
    log: KafkaLog, bus: KafkaBus
) -> None:
    await bus.append([new(RUNS), new(DEFINITIONS)] * 3)
    await delete_below(log, RUNS, 2)
    await delete_below(log, DEFINITIONS, 2)
    follower = RunsFollower(bus, FurtherOn(1), [], group="g", member_id="a")
    async with running(asyncio.create_task(follower.run())):
        await eventually(lambda: _ready(PARTITION in follower.halted), "the partition stands still")
        assert "begins at 2" in follower.halted[PARTITION]
        assert not follower.level
    async with asyncio.timeout(10):
        memories, given_up = await restore_memories(bus, FurtherOn(1), [PARTITION], retry_seconds=0.1)
        assert memories == {} and "begins at 2" in given_up[PARTITION]
        definitions = DefinitionsFollower(bus, [PARTITION])
        await definitions.start()
        with pytest.raises(PartitionHalted, match="begins at 2"):
            await definitions.catch_up()
        await definitions.close()


async def test_records_deleted_under_a_reader_or_lost_by_the_log_end_it(log: KafkaLog, bus: KafkaBus) -> None:
    await bus.append([new()])
    reader = bus.reader(EVENTS)
    reader.assign({PARTITION: 0})
    await reader.poll(timeout_seconds=5)
    await bus.append([new()] * 3)
    await delete_below(log, EVENTS, 3)
    with pytest.raises(PartitionUnreadable, match="were deleted while they were being read"):
        await reader.poll(timeout_seconds=5)
    reader.assign({PARTITION: 9, QUIET: 0})
    with pytest.raises(PartitionUnreadable, match="ends at 4, but is to be read from 9") as lost:
        await reader.poll(timeout_seconds=5)
    assert lost.value.partitions == {PARTITION}
    follower = RunsFollower(bus, FurtherOn(9), [], group="g", member_id="a")
    async with running(asyncio.create_task(follower.run())):
        await eventually(lambda: _ready(PARTITION in follower.halted), "the partition stands still")
    assert "another log" in follower.halted[PARTITION]


async def _ready(state: bool) -> bool | None:
    return state or None
