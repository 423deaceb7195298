"""A copied log holds each record once, in order, with its bytes and its time, whatever is killed on the way."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.bus import codec, copying
from shared.bus.adapters.memory import MemoryBus
from shared.bus.copied import COPIED_FROM, Place, places_of
from shared.bus.copying import CopyProgress, LogCopy
from shared.bus.deadletters import DeadLetter, dead_letter, read_letter
from shared.bus.partitioner import partition_of
from shared.bus.passing import PassingBus, PassingReader
from shared.bus.port import AppendInDoubt, NewRecord, Position, Reader, Record, Watermarks
from shared.bus.topics import DEADLETTERS, EVENTS
from shared.domain.errors import PermanentError
from shared.testing.examples import examples

KEYS = [b"acme", b"globex", b"initech", b"umbrella", b"hooli"]


class Ticking:
    """A clock that moves on with every look at it, or stands still."""

    def __init__(self) -> None:
        self.at = datetime(2026, 1, 1, tzinfo=UTC)
        self.step = timedelta(microseconds=1)

    def now(self) -> datetime:
        self.at += self.step
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()


class Killed(Exception):
    """The copying process is no more."""


class Breaking(MemoryBus):
    """Breaks in some appends, of which then each partition keeps as much as `kept` says, in order."""

    def __init__(self, partition_count: int, breaks: Sequence[tuple[int, int, bool]]) -> None:
        super().__init__(Ticking(), partition_count=partition_count)
        self._breaks = {number: (kept, kills) for number, kept, kills in breaks}
        self._number = 0

    async def append(self, records: Sequence[NewRecord]) -> Sequence[Position]:
        self._number += 1
        if self._number not in self._breaks:
            return await super().append(records)
        kept, kills = self._breaks[self._number]
        by_partition: dict[int, list[NewRecord]] = {}
        for record in records:
            by_partition.setdefault(partition_of(record.key, self.partition_count), []).append(record)
        for partition, some in by_partition.items():
            await super().append(some[: kept * (partition + 1) % (len(some) + 1)])
        raise Killed if kills else AppendInDoubt("the connection broke", retry_after_seconds=0.001)


class Gapped(PassingBus):
    """Every so many offsets hold a record, those between them nothing, as where others wrote in transactions."""

    def __init__(self, bus: MemoryBus, every: int) -> None:
        super().__init__(bus)
        self._every = every

    def reader(self, topic: str) -> Reader:
        return GappedReader(self.beneath.reader(topic), self._every)

    async def watermarks(
        self,
        topic: str,
        partitions: Sequence[int] | None = None,
        *,
        as_of: Mapping[int, Sequence[Record]] | None = None,
    ) -> Mapping[int, Watermarks]:
        marks = await super().watermarks(topic, partitions, as_of=as_of)
        return {partition: Watermarks(each.low, each.high * self._every) for partition, each in marks.items()}


class GappedReader(PassingReader):
    def __init__(self, reader: Reader, every: int) -> None:
        super().__init__(reader)
        self._every = every

    def assign(self, positions: Mapping[int, int]) -> None:
        super().assign({partition: -(-at // self._every) for partition, at in positions.items()})

    def positions(self) -> Mapping[int, int]:
        return {partition: at * self._every for partition, at in super().positions().items()}

    async def poll(self, *, timeout_seconds: float, records_max: int = 1000) -> Mapping[int, Sequence[Record]]:
        found = await super().poll(timeout_seconds=timeout_seconds, records_max=records_max)
        return {
            partition: [replace(each, offset=each.offset * self._every) for each in records]
            for partition, records in found.items()
        }


def new(number: int, key: bytes) -> NewRecord:
    headers = (("ce_id", b"%d" % number), ("x", b"\xff"))
    return NewRecord(topic=EVENTS, key=key, headers=headers, value=None if number % 3 == 0 else b"%d" % number)


@pytest.fixture(autouse=True)
def _small_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "ROUND_RECORDS", 7)
    monkeypatch.setattr(copying, "READ_RECORDS", 4)
    monkeypatch.setattr(copying, "_POLL_SECONDS", 0.01)


@settings(max_examples=examples(60), deadline=None)
@given(
    keys=st.lists(st.sampled_from(KEYS), max_size=60),
    counts=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    breaks=st.lists(st.tuples(st.integers(1, 12), st.integers(0, 9), st.booleans()), max_size=6),
    every=st.integers(1, 3),
)
async def test_each_record_is_copied_once_in_order(
    keys: list[bytes], counts: tuple[int, int], breaks: list[tuple[int, int, bool]], every: int
) -> None:
    source, target = MemoryBus(Ticking(), partition_count=counts[0]), Breaking(counts[1], breaks)
    for number, key in enumerate(keys):
        await source.append([new(number, key)])

    last: list[CopyProgress] = []
    for _ in range(20):
        try:
            done = await LogCopy(Gapped(source, every), target, "one", last.append).copy(EVENTS)
            break
        except Killed:
            continue
    assert (done.copied, done.total) == (len(keys), len(keys) * every)

    copies = records(target)
    assert sorted(int(dict(each.headers)["ce_id"]) for each in copies) == list(range(len(keys)))
    origins = {(each.partition, each.offset * every): each for each in records(source)}
    for each in copies:
        assert each.headers[-1][0] == COPIED_FROM
        name, partition, offset = each.headers[-1][1].decode().split("/")
        origin = origins[int(partition), int(offset)]
        assert (name, each.key, each.value, each.headers[:-2]) == ("one", origin.key, origin.value, origin.headers)
        assert codec.recorded_at(each) == origin.recorded_at
    for partition in range(target.partition_count):
        times = [codec.recorded_at(each) for each in target.log(EVENTS, partition)]
        assert times == sorted(times), "time does not fall, so folds decide as they did"
    for key in KEYS:
        assert [each.value for each in copies if each.key == key] == [
            new(number, key).value for number, of in enumerate(keys) if of == key
        ]


@pytest.mark.parametrize("every", [1, 2])
async def test_what_a_killed_round_left_out_is_copied_however_far_below(every: int) -> None:
    # given: a round of which one partition of the target has all, and the other nothing, though it came first
    assert partition_of(b"acme", 2) != partition_of(b"hooli", 2)
    source, target = MemoryBus(Ticking(), partition_count=1), MemoryBus(Ticking(), partition_count=2)
    for number in range(30):
        await source.append([new(number, b"acme" if number < 1 else b"hooli")])
    copy = LogCopy(Gapped(source, every), target, "one", print)
    first, *others = [
        copy._copied(replace(each, offset=each.offset * every), each.recorded_at) for each in records(source)
    ]
    await target.append(others[: copying.ROUND_RECORDS - 1])
    # and: the next call, killed as well, got on with others before that one
    await target.append(others[copying.ROUND_RECORDS - 1 : 2 * copying.ROUND_RECORDS - 1])
    await copy.copy(EVENTS)
    assert sorted(int(dict(each.headers)["ce_id"]) for each in records(target)) == list(range(30))
    assert target.log(EVENTS, partition_of(b"acme", 2))[0].headers == first.headers


async def test_a_copy_that_lacks_a_record_below_others_is_told() -> None:
    source, target = (MemoryBus(Ticking(), partition_count=1) for _ in range(2))
    for number in range(3):
        await source.append([new(number, b"acme")])
    copy = LogCopy(source, target, "one", print)
    await target.append([copy._copied(each, each.recorded_at) for each in records(source)[1:]])
    with pytest.raises(PermanentError, match=r"upshot\.events/0 holds 3 records, and the target 2 of them"):
        await copy.copy(EVENTS)


async def test_a_copy_of_a_copy_keeps_the_first_time() -> None:
    buses = [MemoryBus(Ticking(), partition_count=count) for count in (2, 3, 1)]
    await buses[0].append([new(1, b"acme")])
    for number in (0, 1):
        await LogCopy(buses[number], buses[number + 1], f"log-{number}", print).copy(EVENTS)
    (first,), (last,) = records(buses[0]), records(buses[2])
    assert codec.recorded_at(last) == first.recorded_at
    assert [name for name, _ in last.headers] == ["ce_id", "x", COPIED_FROM, "recordedtime", COPIED_FROM]
    assert places_of(last.headers) == [
        Place("log-0", first.partition, first.offset),
        Place("log-1", partition_of(b"acme", 3), 0),
    ]


async def test_a_copied_letter_keeps_the_record_that_it_is_about_and_its_own_time() -> None:
    # given: a letter that was told in a copied log, of a copied record
    buses = [MemoryBus(Ticking(), partition_count=1) for _ in range(3)]
    await buses[0].append([new(1, b"acme")])
    await LogCopy(buses[0], buses[1], "first", print).copy(EVENTS)
    (sick,) = records(buses[1])
    (told,) = await buses[1].append([dead_letter(sick, "sick")])
    await LogCopy(buses[1], buses[2], "second", print).copy(DEADLETTERS)
    letter = read_letter(buses[2].log(DEADLETTERS, 0)[0])
    assert isinstance(letter, DeadLetter)
    assert letter.headers == sick.headers
    assert (letter.id, letter.reason, letter.recorded_at) == ("second/upshot.events/0/0", "sick", sick.recorded_at)
    assert letter.told_at == told.recorded_at


async def test_a_target_that_holds_anything_else_is_refused() -> None:
    source, target = (MemoryBus(Ticking(), partition_count=1) for _ in range(2))
    await source.append([new(1, b"acme")])
    await LogCopy(source, target, "one", print).copy(EVENTS)
    with pytest.raises(PermanentError, match=r"copy of another log, one, in upshot\.events/0 at offset 0"):
        await LogCopy(source, target, "two", print).copy(EVENTS)
    await target.append([new(2, b"acme")])
    with pytest.raises(PermanentError, match=r"in use: .* upshot\.events/0 at offset 1"):
        await LogCopy(source, target, "one", print).copy(EVENTS)


@pytest.mark.parametrize("lag", [0, 3])
async def test_a_group_goes_on_in_the_copy_where_it_was(lag: int) -> None:
    source, target = MemoryBus(Ticking(), partition_count=2), MemoryBus(Ticking(), partition_count=3)
    for number in range(30):
        await source.append([new(number, KEYS[number % len(KEYS)])])
    member = await source.join("matcher", EVENTS, member_id="a")
    assignment = await member.next_assignment(timeout_seconds=1)
    assert assignment is not None
    highs = {each: marks.high for each, marks in (await source.watermarks(EVENTS)).items()}
    committed = {each: high - lag for each, high in highs.items()}
    await member.commit(committed, generation=assignment.generation)
    copy = LogCopy(source, target, "one", print)
    await copy.copy(EVENTS)
    offsets = await copy.commit_group("matcher", EVENTS)
    assert dict(await target.committed("matcher", EVENTS)) == offsets
    unread = {each.value for each in records(source) if each.offset >= committed[each.partition]}
    again = {each.value for each in records(target) if each.offset >= offsets.get(each.partition, 0)}
    assert unread <= again
    assert lag or not again
    assert await copy.commit_group("nobody", EVENTS) == {}


async def test_a_round_is_bounded_by_all_that_its_records_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "ROUND_BYTES", 1_000)
    source, target = (MemoryBus(Ticking(), partition_count=1) for _ in range(2))
    for number in range(6):
        padded = replace(new(number, b"acme"), headers=(("x-trace", b"x" * 500),), value=None)
        await source.append([padded])
    told: list[CopyProgress] = []
    await LogCopy(source, target, "one", told.append).copy(EVENTS)
    assert [each.copied for each in told] == [0, 2, 4, 6]


async def test_progress_says_what_is_left() -> None:
    told = CopyProgress(topic=EVENTS, copied=600, total=1000, resumed=100).told(5.0)
    assert told == "upshot.events: 600 of 1000 records, 400 remain, 100/s, about 4 s to go"


def records(bus: MemoryBus) -> list[Record]:
    return [each for partition in range(bus.partition_count) for each in bus.log(EVENTS, partition)]
