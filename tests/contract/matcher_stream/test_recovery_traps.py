"""Traps that those who rebuild state from Kafka have fallen into, on the side of the matcher's stream.

High watermarks and empty partitions, transaction markers, records that were deleted, buffers that fill during a restore, and
positions that nobody committed.
"""

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import RecordsToDelete

from services.matcher.service.matcher import GROUP
from shared.bus.adapters.kafka.bus import group_id
from shared.bus.topics import EVENTS
from shared.testing.waiting import eventually
from tests.contract.matcher_stream.conftest import PARTITIONS, TENANTS, Log, Member, event

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.xdist_group("kafka-stream")]


async def append_in_a_transaction(log: Log, partition: int, count: int, *, commit: bool) -> None:
    """What an upstream service does that writes in transactions; the marker takes an offset, too."""
    record = event(9000, tenant_id=TENANTS[partition])
    producer = AIOKafkaProducer(bootstrap_servers=log.kafka.bootstrap_servers, transactional_id=log.kafka.topic_prefix)
    await producer.start()
    try:
        await producer.begin_transaction()
        for number in range(count):
            headers = [each if each[0] != "ce_id" else ("ce_id", b"t%d" % number) for each in record.headers]
            headers.append(("ce_subject", None))  # and which is no event, in a way that must not stop the stream
            await producer.send_and_wait(
                log.kafka.topic_prefix + EVENTS, record.value, key=record.key, partition=partition, headers=headers
            )
        await (producer.commit_transaction() if commit else producer.abort_transaction())
    finally:
        await producer.stop()


async def test_lag_is_0_behind_markers_and_aborted_records_and_with_empty_partitions(log: Log) -> None:
    async with log.member("one") as member:
        await log.bus.append([event(0), event(4)])
        await append_in_a_transaction(log, 0, 3, commit=False)
        member.start()
        await log.settled()  # partitions 1, 2 and 3 are empty: low == high
        assert await log.ends() == {0: 6, 1: 0, 2: 0, 3: 0}
        await append_in_a_transaction(log, 1, 2, commit=True)
        await append_in_a_transaction(log, 2, 2, commit=False)
        await log.settled()
        assert await log.ends() == {0: 6, 1: 3, 2: 3, 3: 0}
        assert member.matching.counts["events"] == 4
        assert await log.matched(2) == ["e0", "e4"]


async def test_records_that_were_deleted_before_they_were_read_stop_nothing(log: Log) -> None:
    """Of a log of record they never are; where somebody does it, the matcher goes on with what is left, from its beginning."""
    async with log.member("one") as member:
        await log.bus.append([event(n) for n in range(0, 40, PARTITIONS)])
        gone = TopicPartition(log.kafka.topic_prefix + EVENTS, 0)
        await log.admin.delete_records({gone: RecordsToDelete(before_offset=6)})
        member.start()
        await log.settled()
        assert await log.matched(4) == ["e24", "e28", "e32", "e36"]


async def test_a_position_of_another_log_holds_its_partition_with_that_reason_and_no_other(
    log: Log, caplog: pytest.LogCaptureFixture
) -> None:
    await log.bus.append([event(n) for n in range(PARTITIONS)])
    beyond = TopicPartition(log.kafka.topic_prefix + EVENTS, 0)
    operator = AIOKafkaConsumer(
        bootstrap_servers=log.kafka.bootstrap_servers,
        group_id=group_id(log.kafka, GROUP, EVENTS),
        enable_auto_commit=False,
    )
    await operator.start()
    operator.assign([beyond])
    await operator.commit({beyond: 100})
    await operator.stop()
    async with log.member("one") as member:
        member.start()
        assert sorted(await log.matched(3)) == ["e1", "e2", "e3"]

        async def told() -> bool:
            return "upshot.events/0 ends at 1, but is to be read from 100" in caplog.text

        await eventually(told, "it is told")
        assert (await log.committed())[0] == 100


async def test_a_restore_that_takes_long_holds_no_buffer_and_no_other_partition(log: Log) -> None:
    """More batches than Faust's buffer holds wait for partitions that are being restored; others are matched meanwhile."""
    async with log.member("one") as one, log.member("two") as two:
        one.start()
        await log.settled()
        two.snapshots.may_answer.clear()
        two.start()
        await eventually(lambda: shares(one), "the second member owns some", interval_seconds=0.02)
        await log.bus.append([event(n) for n in range(4000)])
        of_one = sum(TENANTS[n % PARTITIONS] in [TENANTS[each] for each in one.owned] for n in range(4000))
        await eventually(lambda: counted(one, of_one), "the first member has matched its own", interval_seconds=0.02)
        assert two.matching.counts["events"] == 0
        two.snapshots.may_answer.set()
        await log.settled()
        assert two.matching.counts["events"] == 4000 - of_one


async def test_a_partition_whose_rebalances_came_before_its_first_commit_loses_nothing(log: Log) -> None:
    """Nothing says where to seek to then: what was fetched before the rebalance must not count as read."""
    async with log.member("one") as one, log.member("two") as two:
        await log.bus.append([event(n) for n in range(2000)])
        one.start()
        two.start()
        await log.settled()
        await two.stop()
        await log.bus.append([event(n) for n in range(2000, 2100)])
        await log.settled()
    assert len(set(await log.matched(2100))) == 2100


async def shares(member: Member) -> bool:
    return 0 < len(member.owned) < PARTITIONS


async def counted(member: Member, events: int) -> bool:
    return member.matching.counts["events"] == events
