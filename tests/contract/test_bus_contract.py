"""The bus port's docstring as tests, against every adapter that is found.

An adapter is added by its module under `shared/bus/adapters` and its harness of the same name under
`shared/testing/bus`; nothing here changes. What an adapter cannot do by nature is a strict xfail.
"""

import asyncio
import contextlib
import signal
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest
import pytest_asyncio

from shared.bus.partitioner import partition_of
from shared.bus.port import Bus, NewRecord, Position, Reader, Record, RecordTooLarge, Watermarks
from shared.domain.envelope import Event
from shared.domain.errors import PermanentError, StaleGenerationError, TransientError
from shared.testing.bus import (
    HEARTBEAT_SECONDS,
    PARTITION_COUNT,
    RECORD_BYTES_MAX,
    SESSION_TIMEOUT_SECONDS,
    TOPICS,
    Log,
    Server,
    Variant,
    variants,
)
from shared.testing.bus.worker import Worker

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.postgres]

TOPIC, OTHER = TOPICS
ALL = range(PARTITION_COUNT)
KEYS = {partition_of(b"key%d" % n, PARTITION_COUNT): b"key%d" % n for n in range(200)}  # one key per partition


@pytest.fixture(
    scope="module",
    params=[pytest.param(each, id=each.name, marks=pytest.mark.xdist_group(each.name)) for each in variants()],
)
def variant(request: pytest.FixtureRequest) -> Variant:
    found: Variant = request.param
    if found.missing:
        pytest.skip(found.missing)
    return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(variant: Variant, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    async with variant.start(tmp_path_factory.mktemp(variant.name)) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def log(server: Server) -> AsyncIterator[Log]:
    async with server.log() as fresh:
        yield fresh


@pytest.fixture
def needs_processes(variant: Variant, request: pytest.FixtureRequest) -> None:
    expect_failure_without("processes", variant, request)


@pytest.fixture
def needs_restart(variant: Variant, request: pytest.FixtureRequest) -> None:
    expect_failure_without("restart", variant, request)


def expect_failure_without(ability: str, variant: Variant, request: pytest.FixtureRequest) -> None:
    if ability in variant.lacks:
        request.applymarker(pytest.mark.xfail(strict=True, reason=f"{variant.name} has no {ability}"))


@pytest_asyncio.fixture(loop_scope="module")
async def bus(log: Log) -> Bus:
    return await log.client()


@pytest_asyncio.fixture(loop_scope="module")
async def workers(log: Log, variant: Variant) -> AsyncIterator[list[Worker]]:
    """Two other processes."""
    started: list[Worker] = []
    try:
        for _ in range(2):
            with contextlib.suppress(EOFError, ValueError):  # an adapter that cannot ends its worker at once
                started.append(await Worker.start(variant.adapter, log.address))
        yield started
    finally:
        for worker in started:
            await worker.stop()


def new(partition: int, value: bytes | None = b"{}", topic: str = TOPIC) -> NewRecord:
    return NewRecord(topic=topic, key=KEYS[partition], headers=(("ce_id", b"1"),), value=value)


def known(partition: int) -> NewRecord:
    """One whose event the appending process has at hand, as everything has that services append."""
    return replace(new(partition), origin=Event(id="1", source="/s", type="t", tenant_id="acme", data=b"{}"))


def values(records: Sequence[Record]) -> list[bytes | None]:
    return [record.value for record in records]


async def drained(reader: Reader, count: int, *, timeout_seconds: float = 30) -> dict[int, list[Record]]:
    """Exactly `count` records, per partition; fails where there are fewer within the timeout."""
    found: dict[int, list[Record]] = defaultdict(list)
    async with asyncio.timeout(timeout_seconds):
        while sum(map(len, found.values())) < count:
            for partition, records in (await reader.poll(timeout_seconds=timeout_seconds)).items():
                found[partition].extend(records)
    assert sum(map(len, found.values())) == count
    return found


def reader_of(bus: Bus, topic: str = TOPIC, at: int = 0) -> Reader:
    reader = bus.reader(topic)
    reader.assign(dict.fromkeys(ALL, at))
    return reader


class TestAppending:
    async def test_records_come_back_as_they_were_in_the_callers_order(self, bus: Bus) -> None:
        appended = [
            NewRecord(
                topic=TOPIC, key=KEYS[3], headers=(("a", b""), ("ü", b"\x00\xff"), ("a", b"again")), value=b"\x00\xff"
            ),
            NewRecord(topic=TOPIC, key=KEYS[3], headers=(), value=None),
            NewRecord(topic=TOPIC, key=KEYS[3], headers=(("long", b"x" * 70_000),), value=b""),
        ]
        positions = await bus.append(appended)
        reader = reader_of(bus)
        records = (await drained(reader, 3))[3]
        assert [(r.key, r.headers, r.value) for r in records] == [(n.key, n.headers, n.value) for n in appended]
        assert [Position(r.topic, r.partition, r.offset, r.recorded_at) for r in records] == list(positions)

    async def test_every_topic_puts_a_key_into_the_partition_of_kafkas_partitioner(self, bus: Bus) -> None:
        keys = [b"tenant-%d" % n for n in range(40)] + [b""]
        for topic in TOPICS:
            positions = await bus.append([NewRecord(topic=topic, key=key, headers=(), value=b"") for key in keys])
            assert [position.partition for position in positions] == [partition_of(key, 8) for key in keys]

    async def test_offsets_grow_without_gaps_and_time_does_not_fall(self, bus: Bus) -> None:
        for number in range(20):
            await bus.append([new(2, b"%d" % number), new(5), new(2, b"%d'" % number)])
        records = (await drained(reader_of(bus), 60))[2]
        assert [record.offset for record in records] == list(range(40))
        assert values(records) == [b"%d%s" % (n, tick) for n in range(20) for tick in (b"", b"'")]
        assert [r.recorded_at for r in records] == sorted(r.recorded_at for r in records)

    async def test_concurrent_callers_each_stay_in_one_piece(self, bus: Bus) -> None:
        async def caller(name: bytes) -> None:
            for number in range(30):
                await bus.append(
                    [new(partition, b"%s %d %d" % (name, number, n)) for n in range(3) for partition in ALL]
                )

        await asyncio.gather(*(caller(b"%d" % n) for n in range(8)))
        for records in (await drained(reader_of(bus), 8 * 30 * 3 * PARTITION_COUNT)).values():
            assert [record.offset for record in records] == list(range(8 * 30 * 3))
            texts = [value.split() for value in values(records) if value is not None]
            for start in range(0, len(texts), 3):
                assert [text[2] for text in texts[start : start + 3]] == [b"0", b"1", b"2"]
                assert len({(text[0], text[1]) for text in texts[start : start + 3]}) == 1
            for name in range(8):
                numbers = [int(text[1]) for text in texts if int(text[0]) == name]
                assert numbers == sorted(numbers)

    async def test_a_record_too_large_is_refused_before_anything_is_sent(self, bus: Bus) -> None:
        with pytest.raises(RecordTooLarge):
            await bus.append([new(0), new(0, b"x" * (RECORD_BYTES_MAX + 1))])
        assert (await bus.watermarks(TOPIC, [0]))[0] == Watermarks(0, 0)

    async def test_nothing_is_nothing(self, bus: Bus) -> None:
        assert list(await bus.append([])) == []

    async def test_a_cancelled_append_hurts_nobody_else(self, bus: Bus) -> None:
        tasks = [asyncio.create_task(bus.append([new(1, b"%d" % number)])) for number in range(10)]
        await asyncio.sleep(0)
        tasks[3].cancel()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        offsets = [answer[0].offset for answer in answers if isinstance(answer, Sequence)]
        assert len(offsets) >= 9
        assert len(set(offsets)) == len(offsets)

    async def test_a_closed_bus_takes_nothing(self, log: Log) -> None:
        bus = await log.client()
        await bus.append([new(0)])
        await bus.close()
        await bus.close()
        with pytest.raises(TransientError):
            await bus.append([new(0)])

    async def test_close_finishes_what_is_being_appended(self, log: Log) -> None:
        bus = await log.client()
        tasks = [asyncio.create_task(bus.append([new(1)])) for _ in range(5)]
        await asyncio.sleep(0)
        await bus.close()
        assert sorted([(await task)[0].offset for task in tasks]) == list(range(5))


class TestWatermarks:
    async def test_of_empty_and_filled_partitions(self, bus: Bus) -> None:
        assert await bus.watermarks(TOPIC) == dict.fromkeys(ALL, Watermarks(0, 0))
        await bus.append([new(4), new(4), new(6), new(4, topic=OTHER)])
        assert await bus.watermarks(TOPIC, [3, 4]) == {3: Watermarks(0, 0), 4: Watermarks(0, 2)}
        assert (await bus.watermarks(OTHER))[4] == Watermarks(0, 1)

    async def test_a_reader_at_the_high_mark_is_level(self, bus: Bus) -> None:
        await bus.append([new(partition) for partition in ALL] * 3)
        reader = reader_of(bus)
        await drained(reader, 3 * PARTITION_COUNT)
        highs = {partition: marks.high for partition, marks in (await bus.watermarks(TOPIC)).items()}
        assert reader.positions() == highs

    async def test_as_of_a_record_tell_of_all_that_another_topic_held_before_it(self, log: Log) -> None:
        """Whoever appended what and whoever asks: the reader's own bus, another one, one that follows nothing else."""
        ours, theirs = await log.client(poll_interval_seconds=60), await log.client(poll_interval_seconds=60)
        readers = {bus: reader_of(bus) for bus in (ours, theirs)}
        for number in range(1, 13):
            first, second = (ours, theirs) if number % 2 else (theirs, ours)
            await first.append([new(3, topic=OTHER)])
            writer = second if number % 3 else first
            await writer.append([known(3), known(3) if number % 4 else new(3)])
            for bus, reader in readers.items():
                if bus is not writer:
                    await bus.watermarks(TOPIC)  # nobody waits for a notification here
                batch = await drained(reader, 2)
                marks = await bus.watermarks(OTHER, as_of=batch)
                assert marks.keys() == {3}
                assert marks[3].high >= number


class TestReading:
    async def test_from_an_offset_on_and_from_the_start(self, bus: Bus) -> None:
        await bus.append([new(0, b"%d" % n) for n in range(10)])
        reader = bus.reader(TOPIC)
        reader.assign({0: 7})
        assert values((await drained(reader, 3))[0]) == [b"7", b"8", b"9"]
        reader.assign({0: -5})
        assert len((await drained(reader, 10))[0]) == 10
        assert reader.positions() == {0: 10}

    async def test_only_what_is_assigned(self, bus: Bus) -> None:
        await bus.append([new(partition) for partition in ALL])
        reader = bus.reader(TOPIC)
        assert await reader.poll(timeout_seconds=0.01) == {}
        reader.assign({1: 0, 5: 1})
        assert set(await drained(reader, 1)) == {1}
        assert reader.positions() == {1: 1, 5: 1}

    async def test_a_busy_partition_does_not_hide_a_quiet_one(self, bus: Bus) -> None:
        await bus.append([new(0) for _ in range(400)])
        await bus.append([new(5)])
        reader = reader_of(bus)
        first = await reader.poll(timeout_seconds=20, records_max=20)
        assert set(first) == {0, 5}
        assert sum(map(len, first.values())) <= 2 * 20
        assert len((await drained(reader, 401 - sum(map(len, first.values()))))[0]) + len(first[0]) == 400

    async def test_positions_move_with_what_was_handed_over(self, bus: Bus) -> None:
        await bus.append([new(2, b"%d" % n) for n in range(100)])
        reader = bus.reader(TOPIC)
        reader.assign({2: 0})
        seen: list[bytes | None] = []
        while len(seen) < 100:
            seen += values((await reader.poll(timeout_seconds=20, records_max=7))[2])
            assert reader.positions() == {2: len(seen)}
        assert seen == [b"%d" % n for n in range(100)]

    async def test_nothing_to_read_is_empty_after_the_timeout(self, bus: Bus) -> None:
        reader = reader_of(bus)
        assert await reader.poll(timeout_seconds=0.02) == {}
        await reader.close()
        await reader.close()

    async def test_a_cancelled_poll_loses_nothing(self, bus: Bus) -> None:
        reader = reader_of(bus)
        for number in range(30):
            poll = asyncio.create_task(reader.poll(timeout_seconds=20))
            await asyncio.sleep(0)
            await bus.append([new(number % PARTITION_COUNT)])
            poll.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                if found := await poll:
                    reader.assign({p: at - len(found.get(p, ())) for p, at in reader.positions().items()})
        await drained(reader, 30)

    async def test_an_append_wakes_whoever_waits(self, log: Log) -> None:
        bus = await log.client(poll_interval_seconds=60)
        reader = reader_of(bus)
        poll = asyncio.create_task(reader.poll(timeout_seconds=30))
        await asyncio.sleep(0)
        await bus.append([new(3)])
        async with asyncio.timeout(20):
            assert set(await poll) == {3}

    async def test_another_clients_append_wakes_by_a_signal(self, log: Log) -> None:
        ours, theirs = await log.client(poll_interval_seconds=60), await log.client()
        reader = reader_of(ours)
        async with asyncio.timeout(30):
            while not await reader.poll(timeout_seconds=0.1):  # until it listens
                await theirs.append([new(0)])
        await drained(reader, (await ours.watermarks(TOPIC, [0]))[0].high - reader.positions()[0])
        poll = asyncio.create_task(reader.poll(timeout_seconds=30))
        await theirs.append([new(3)])
        async with asyncio.timeout(20):
            assert set(await poll) == {3}

    async def test_a_poll_stands_behind_the_signals(self, log: Log) -> None:
        ours = await log.client(poll_interval_seconds=0.05)
        theirs = await log.client(notify_interval_seconds=60)
        reader = reader_of(ours)
        for partition in (0, 3, 5):  # at most one of them is told at once; of the next nobody hears for a minute
            await theirs.append([new(partition)])
            assert set(await drained(reader, 1)) == {partition}

    async def test_clients_that_write_in_turns_read_the_same(self, log: Log) -> None:
        clients = [await log.client(), await log.client()]
        readers = [reader_of(client) for client in clients for _ in range(2)]
        polls = [asyncio.create_task(drained(reader, 300)) for reader in readers]
        for number in range(150):
            await clients[number % 2].append([new(1, b"%d" % number), new(number % PARTITION_COUNT, b"%d'" % number)])
        first, *rest = [await poll for poll in polls]
        assert all(other == first for other in rest)
        for records in first.values():
            assert [record.offset for record in records] == list(range(len(records)))


class TestGroups:
    async def test_a_lone_member_owns_everything(self, bus: Bus) -> None:
        member = await bus.join("g", TOPIC, member_id="a")
        assignment = await member.next_assignment(timeout_seconds=20)
        assert assignment is not None
        assert assignment.partitions == assignment.assigned == frozenset(ALL)
        assert assignment == member.assignment
        assert member.alive()
        assert await member.next_assignment(timeout_seconds=0.02) is None

    async def test_a_newcomer_gets_nothing_until_it_is_released(self, bus: Bus) -> None:
        first = await bus.join("g", TOPIC, member_id="a")
        whole = await first.next_assignment(timeout_seconds=20)
        second = await bus.join("g", TOPIC, member_id="b")
        shrunk = await first.next_assignment(timeout_seconds=20)
        assert whole is not None
        assert shrunk is not None
        assert len(shrunk.revoked) == PARTITION_COUNT // 2
        assert shrunk.generation > whole.generation
        assert await second.next_assignment(timeout_seconds=0.5) is None
        assert first.alive()
        first.release()
        given = await second.next_assignment(timeout_seconds=20)
        assert given is not None
        assert given.partitions == shrunk.revoked
        assert given.generation > shrunk.generation
        assert given.partitions.isdisjoint(first.assignment.partitions)

    async def test_asking_for_the_next_assignment_releases_too(self, bus: Bus) -> None:
        first = await bus.join("g", TOPIC, member_id="a")
        await first.next_assignment(timeout_seconds=20)
        second = await bus.join("g", TOPIC, member_id="b")
        assert await first.next_assignment(timeout_seconds=20)
        again = asyncio.create_task(first.next_assignment(timeout_seconds=2 * HEARTBEAT_SECONDS))
        given = await second.next_assignment(timeout_seconds=20)
        assert given is not None
        assert len(given.partitions) == PARTITION_COUNT // 2
        assert await again is None

    async def test_commits_are_kept_for_whoever_comes_next(self, bus: Bus) -> None:
        first = await bus.join("g", TOPIC, member_id="a")
        owned = await first.next_assignment(timeout_seconds=20)
        assert owned is not None
        assert await first.committed() == {}
        await first.commit({0: 5, 3: 7}, generation=owned.generation)
        await first.commit({3: 8}, generation=owned.generation)
        assert await first.committed() == {0: 5, 3: 8}
        assert await bus.committed("g", TOPIC) == {0: 5, 3: 8}
        assert await bus.committed("g", OTHER) == await bus.committed("nobody", TOPIC) == {}
        await first.leave()
        await first.leave()
        assert not first.alive()
        assert await bus.committed("g", TOPIC) == {0: 5, 3: 8}
        second = await bus.join("g", TOPIC, member_id="b")
        await second.next_assignment(timeout_seconds=20)
        assert await second.committed() == {0: 5, 3: 8}

    async def test_work_in_flight_may_be_committed_until_it_is_released_and_not_after(self, bus: Bus) -> None:
        first = await bus.join("g", TOPIC, member_id="a")
        whole = await first.next_assignment(timeout_seconds=20)
        second = await bus.join("g", TOPIC, member_id="b")
        shrunk = await first.next_assignment(timeout_seconds=20)
        assert whole is not None
        assert shrunk is not None
        lost, kept = min(shrunk.revoked), min(shrunk.partitions)
        await first.commit({lost: 4, kept: 4}, generation=whole.generation)
        first.release()
        given = await second.next_assignment(timeout_seconds=20)
        assert given is not None
        assert await second.committed() == {lost: 4}
        with pytest.raises(StaleGenerationError):
            await first.commit({lost: 9, kept: 9}, generation=whole.generation)
        assert await first.committed() == {kept: 4}
        await first.commit({kept: 5}, generation=whole.generation)
        await second.commit({lost: 5}, generation=given.generation)

    async def test_a_former_generation_of_what_is_owned_again_is_stale(self, bus: Bus) -> None:
        first = await bus.join("g", TOPIC, member_id="a")
        whole = await first.next_assignment(timeout_seconds=20)
        second = await bus.join("g", TOPIC, member_id="b")
        shrunk = await first.next_assignment(timeout_seconds=20)
        first.release()
        assert await second.next_assignment(timeout_seconds=20)
        await second.leave()
        regained = await first.next_assignment(timeout_seconds=20)
        assert whole is not None
        assert shrunk is not None
        assert regained is not None
        assert regained.assigned == shrunk.revoked
        with pytest.raises(StaleGenerationError):
            await first.commit({min(regained.assigned): 1}, generation=whole.generation)
        await first.commit({min(regained.assigned): 1}, generation=regained.generation)

    async def test_leaving_gives_everything_back_at_once(self, log: Log) -> None:
        ours, theirs = await log.client(), await log.client()
        first = await ours.join("g", TOPIC, member_id="a")
        await first.next_assignment(timeout_seconds=20)
        second = await theirs.join("g", TOPIC, member_id="b")
        await first.leave()
        async with asyncio.timeout(SESSION_TIMEOUT_SECONDS):
            given = await second.next_assignment(timeout_seconds=20)
        assert given is not None
        assert given.partitions == frozenset(ALL)
        gone = await first.next_assignment(timeout_seconds=20)
        assert gone is not None
        assert gone.revoked == frozenset(ALL)

    async def test_the_same_member_again_replaces_its_former_self(self, log: Log) -> None:
        ours, theirs = await log.client(), await log.client()
        former = await ours.join("g", TOPIC, member_id="a")
        owned = await former.next_assignment(timeout_seconds=20)
        assert owned is not None
        latter = await theirs.join("g", TOPIC, member_id="a")
        given = await latter.next_assignment(timeout_seconds=20)
        assert given is not None
        assert given.partitions == frozenset(ALL)
        with pytest.raises(StaleGenerationError):
            await former.commit({0: 1}, generation=owned.generation)
        gone = await former.next_assignment(timeout_seconds=20)
        assert gone is not None
        assert gone.revoked == frozenset(ALL)
        assert not gone.partitions
        assert not former.alive()
        await former.leave()
        assert latter.alive()
        await latter.commit({0: 1}, generation=given.generation)

    async def test_groups_and_topics_keep_apart(self, bus: Bus) -> None:
        members = [
            await bus.join(group, topic, member_id="a") for group, topic in (("g", TOPIC), ("h", TOPIC), ("g", OTHER))
        ]
        for number, member in enumerate(members):
            owned = await member.next_assignment(timeout_seconds=20)
            assert owned is not None
            assert owned.partitions == frozenset(ALL)
            await member.commit({0: number}, generation=owned.generation)
        assert [await member.committed() for member in members] == [{0: 0}, {0: 1}, {0: 2}]

    async def test_what_a_member_never_took_over_is_not_withheld(self, bus: Bus) -> None:
        # The first one owns everything, and is not told of it as long as nobody asks.
        first = await bus.join("g", TOPIC, member_id="a")
        second = await bus.join("g", TOPIC, member_id="b")
        async with asyncio.timeout(30):
            while len(second.assignment.partitions) < PARTITION_COUNT // 2:
                await second.next_assignment(timeout_seconds=0.2)
            while first.assignment.partitions | second.assignment.partitions != frozenset(ALL):
                await first.next_assignment(timeout_seconds=0.2)
        assert not first.assignment.partitions & second.assignment.partitions

    async def test_many_members_settle_on_a_fair_share_each(self, log: Log) -> None:
        buses = [await log.client(), await log.client()]
        members = [await buses[n % 2].join("g", TOPIC, member_id=f"m{n}") for n in range(3)]

        async def settle() -> None:
            while sorted(len(member.assignment.partitions) for member in members) != [2, 3, 3]:
                await asyncio.gather(*(member.next_assignment(timeout_seconds=0.2) for member in members))

        await asyncio.wait_for(settle(), 20)
        owned = [partition for member in members for partition in member.assignment.partitions]
        assert sorted(owned) == list(ALL)


class TestBetweenProcesses:
    @pytest.mark.usefixtures("needs_processes")
    async def test_two_that_append_in_opposite_orders_never_lock_each_other_out(
        self, bus: Bus, workers: list[Worker]
    ) -> None:
        keys = [KEYS[partition].decode() for partition in ALL]
        for worker, order in zip(workers, (keys, keys[::-1]), strict=True):
            worker.send("append_often", TOPIC, order, 150)
        assert [await worker.answer() for worker in workers] == [150, 150]
        for records in (await drained(reader_of(bus), 300 * PARTITION_COUNT)).values():
            assert [record.offset for record in records] == list(range(300))

    @pytest.mark.usefixtures("needs_processes")
    async def test_a_frozen_owner_is_relieved_and_knows_it_before_it_acts(self, workers: list[Worker]) -> None:
        frozen, other = workers
        await frozen.call("join", "g", TOPIC, "frozen")
        generation, owned, _ = await frozen.call("next_assignment", 20)
        assert owned == list(ALL)
        await frozen.call("commit", {"0": 1}, generation)
        frozen.process.send_signal(signal.SIGSTOP)
        await other.call("join", "g", TOPIC, "other")
        _, taken, _ = await other.call("next_assignment", SESSION_TIMEOUT_SECONDS + 20)
        assert taken == list(ALL)
        frozen.send("alive")
        frozen.process.send_signal(signal.SIGCONT)
        assert await frozen.answer() is False
        with pytest.raises(RuntimeError, match="StaleGenerationError"):
            await frozen.call("commit", {"0": 2}, generation)
        _, kept, revoked = await frozen.call("next_assignment", 20)
        assert revoked == list(ALL)
        assert kept == []

    @pytest.mark.usefixtures("needs_processes")
    async def test_a_killed_owner_is_relieved(self, workers: list[Worker]) -> None:
        killed, other = workers
        await killed.call("join", "g", TOPIC, "killed")
        generation, _, _ = await killed.call("next_assignment", 20)
        await killed.call("commit", {"2": 9}, generation)
        await killed.stop()
        await other.call("join", "g", TOPIC, "other")
        _, taken, _ = await other.call("next_assignment", SESSION_TIMEOUT_SECONDS + 20)
        assert taken == list(ALL)


class TestWhenTheServerDies:
    @pytest.mark.usefixtures("needs_restart")
    async def test_nothing_acknowledged_is_lost(self, log: Log) -> None:
        bus = await log.client()
        acknowledged: dict[tuple[int, int], bytes] = {}
        stop = asyncio.Event()

        async def caller(name: int) -> None:
            number = 0
            while not stop.is_set():
                value = b"%d-%d" % (name, number)
                try:
                    (position,) = await bus.append([new(name, value)])
                except TransientError as error:
                    await asyncio.sleep(error.retry_after_seconds or 0.01)  # and again: folds ignore duplicates
                else:
                    acknowledged[position.partition, position.offset] = value
                    number += 1

        callers = [asyncio.create_task(caller(n)) for n in range(8)]
        try:
            reader = reader_of(bus)
            await drained_at_least(reader, 100)
            await log.kill_server()
            before = len(acknowledged)
            async with asyncio.timeout(30):
                while len(acknowledged) < before + 100:
                    await reader.poll(timeout_seconds=1)
        finally:
            stop.set()
            await asyncio.gather(*callers)
        total = sum(marks.high for marks in (await bus.watermarks(TOPIC)).values())
        found = await drained(reader_of(await log.client()), total)
        kept = {(r.partition, r.offset): r.value for records in found.values() for r in records}
        assert kept.items() >= acknowledged.items()
        for records in found.values():
            assert [record.offset for record in records] == list(range(len(records)))

    @pytest.mark.usefixtures("needs_restart")
    async def test_readers_resume_and_are_woken_again(self, log: Log) -> None:
        ours, theirs = await log.client(), await log.client()
        reader = reader_of(ours)
        await theirs.append([new(0)])
        await drained(reader, 1)
        await log.kill_server()
        poll = asyncio.create_task(drained(reader, 1))
        await persistently(theirs, new(6))
        assert set(await poll) == {6}

    @pytest.mark.usefixtures("needs_restart")
    async def test_members_keep_what_they_own_or_are_told(self, log: Log) -> None:
        bus = await log.client()
        member = await bus.join("g", TOPIC, member_id="a")
        owned = await member.next_assignment(timeout_seconds=20)
        assert owned is not None
        await log.kill_server()
        async with asyncio.timeout(30):
            while True:
                try:
                    await member.commit({0: 3}, generation=owned.generation)
                    break
                except StaleGenerationError:
                    # The server came back, and gave up on its members before these found it again: then they are told.
                    told = await member.next_assignment(timeout_seconds=20)
                    assert told is not None
                    assert told.revoked == owned.partitions or told.assigned == told.partitions
                    owned = told
                except TransientError:
                    await asyncio.sleep(0.02)
        assert await member.committed() == {0: 3}
        async with asyncio.timeout(30):
            while not member.alive():
                await asyncio.sleep(0.02)


async def drained_at_least(reader: Reader, count: int) -> None:
    async with asyncio.timeout(30):
        while count > 0:
            count -= sum(map(len, (await reader.poll(timeout_seconds=1)).values()))


async def persistently(bus: Bus, record: NewRecord) -> None:
    """Append it once, for all the server is away."""
    async with asyncio.timeout(30):
        while True:
            try:
                await bus.append([record])
            except TransientError:
                await asyncio.sleep(0.02)
            else:
                return


async def test_unknown_topics_are_refused(bus: Bus, variant: Variant) -> None:
    if variant.name == "memory":
        pytest.skip("memory makes topics as they come")
    with pytest.raises(PermanentError):
        await bus.append([new(0, topic="nowhere")])
