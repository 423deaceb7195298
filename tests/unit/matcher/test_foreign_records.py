"""What the matcher makes of records that others append: runs, once; a second copy where the key was wrong; dead letters."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.executor.actions import discover_actions
from services.matcher.service import Matching
from services.matcher.settings import MatcherSettings
from services.matcher.triggers import discover_triggers
from shared.bus import codec, facts
from shared.bus.adapters.memory import MemoryBus
from shared.bus.deadletters import DeadLetter, read_letter
from shared.bus.partitioner import partition_of
from shared.bus.port import Headers, NewRecord, Record
from shared.bus.seal import Seal, SealedBus, seal_key
from shared.bus.sizes import RECORD_BYTES_MAX_DEFAULT
from shared.bus.topics import DEADLETTERS, EVENTS, RUNS
from shared.domain.definitions import Definitions
from shared.domain.ids import published_event_id
from shared.domain.records import EventMatched
from shared.workflows.catalogue import Catalogue

PARTITIONS = 4
RIGHT = partition_of(b"acme", PARTITIONS)
HEADERS: Headers = (
    ("content-type", b"application/json"),
    ("ce_specversion", b"1.0"),
    ("ce_id", b"o-1"),
    ("ce_source", b"/shop"),
    ("ce_type", b"order.refunded"),
    ("ce_tenantid", b"acme"),
)
DATA = b'{"order_id": "1", "refund_id": "2", "amount_minor": 99, "currency": "EUR"}'
STRUCTURED = (
    b'{"specversion":"1.0","id":"o-1","source":"/shop","type":"order.refunded","tenantid":"acme","data":%s}' % DATA
)
EVENT_ID = published_event_id("acme", "/shop", "o-1")


class Stream:
    """The matcher's core on a log of four partitions that others write to as well."""

    def __init__(self, world, record_bytes_max: int = RECORD_BYTES_MAX_DEFAULT) -> None:
        self.log = MemoryBus(world.clock, partition_count=PARTITIONS, record_bytes_max=record_bytes_max)
        self.bus = SealedBus(self.log, Seal(seal_key(b"master")))
        definitions = Definitions()
        catalogue = Catalogue(actions=discover_actions(), triggers=discover_triggers(), event_schemas={})
        self.matching = Matching(
            definitions,
            catalogue,
            MatcherSettings(),
            world.clock,
            partition_count=PARTITIONS,
            record_bytes_max=record_bytes_max,
        )
        for fact, at in world.changes:
            self.matching.definition_changed(definitions.apply("acme", fact, at))

    async def put(self, partition: int, headers: Headers, value: bytes | None) -> None:
        """A client that picks the partition by itself."""
        key = next(b"k%d" % n for n in range(99) if partition_of(b"k%d" % n, PARTITIONS) == partition)
        await self.log.append([NewRecord(topic=EVENTS, key=key, headers=headers, value=value)])

    async def all_of(self, topic: str) -> list[Record]:
        reader = self.bus.reader(topic)
        reader.assign(dict.fromkeys(range(PARTITIONS), 0))
        return [each for records in (await reader.poll(timeout_seconds=0)).values() for each in records]

    async def match_all(self) -> None:
        """From the beginning, as after a lost commit."""
        for partition in range(PARTITIONS):
            reader = self.bus.reader(EVENTS)
            reader.assign({partition: 0})
            while records := (await reader.poll(timeout_seconds=0)).get(partition, ()):
                # What lies in the log has been written by another process: nothing is known of it but its bytes.
                produced = self.matching.handle_batch(partition, [replace(each, origin=None) for each in records])
                await self.bus.append(produced.records)

    async def matches(self) -> list[EventMatched]:
        found = [facts.runs_fact(codec.decode(each)) for each in await self.all_of(RUNS)]
        return [each for each in found if isinstance(each, EventMatched)]

    async def letters(self) -> list[DeadLetter]:
        read = [read_letter(each) for each in await self.all_of(DEADLETTERS)]
        return [each for each in read if isinstance(each, DeadLetter)]


@pytest.fixture
async def stream(world) -> Stream:
    world.save({"event": "order.refunded"})
    return Stream(world)


@pytest.mark.parametrize(
    ("headers", "value"), [(HEADERS, DATA), ((("content-type", b"application/cloudevents+json"),), STRUCTURED)]
)
async def test_a_record_in_the_wrong_partition_starts_one_run(stream: Stream, headers: Headers, value: bytes) -> None:
    wrong = (RIGHT + 1) % PARTITIONS
    await stream.put(wrong, headers, value)
    for _ in range(3):
        await stream.match_all()

    events = await stream.all_of(EVENTS)
    moved = [each for each in events if each.partition == RIGHT]
    assert {codec.decode(each).id for each in events} == {EVENT_ID}
    assert moved
    assert not any(each.foreign for each in moved)
    assert codec.decode(replace(moved[0], origin=None)).time == events[0].recorded_at
    matches = await stream.matches()
    assert {each.event.id for each in matches} == {EVENT_ID}
    assert len({match.run_id for each in matches for match in each.matches}) == 1
    assert stream.matching.counts["rerouted"] == 3


async def test_both_copies_and_both_modes_start_one_run(stream: Stream) -> None:
    await stream.put(RIGHT, HEADERS, DATA)
    await stream.put((RIGHT + 2) % PARTITIONS, HEADERS, DATA)
    await stream.put(RIGHT, (("content-type", b"application/cloudevents+json"),), STRUCTURED)
    await stream.match_all()
    await stream.match_all()

    matches = await stream.matches()
    assert len({match.run_id for each in matches for match in each.matches}) == 1
    assert len(matches) >= 3


SICK: Sequence[tuple[Headers, bytes | None, str]] = [
    ((), None, "#"),
    ((), b"\xff", "#"),
    (HEADERS[:-1], DATA, "#/tenantid"),
    ((*HEADERS[:-1], ("ce_tenantid", b"nobody")), DATA, "#/tenantid"),
    (HEADERS, b'{"order_id": "1"}', "#/data"),
    (HEADERS, b"\xff", "#/data"),
    ((*HEADERS, ("ce_subject", b"\xff")), DATA, "#/subject"),
    ((*HEADERS[:3], ("ce_source", b"/upshot/matcher"), *HEADERS[4:]), DATA, "#/source"),
    (HEADERS, b" " * 3_000_000, "#/data"),
]


async def test_what_cannot_be_understood_is_a_dead_letter_and_holds_nothing_up(stream: Stream) -> None:
    for headers, value, _ in SICK:
        await stream.put(RIGHT, headers, value)
    await stream.put(RIGHT, HEADERS, DATA)
    await stream.match_all()
    told = stream.matching.counts["dead_letters"]
    await stream.match_all()  # what was appended anew to a partition that had been read before

    assert {each.event.id for each in await stream.matches()} == {EVENT_ID}
    letters = {each.id: each for each in await stream.letters()}.values()
    nobodys = [each for each in letters if "there is no tenant 'nobody'" in each.reason]
    others = [each for each in letters if each not in nobodys]
    assert {each.partition for each in nobodys} == {partition_of(b"nobody", PARTITIONS)}
    assert [(each.partition, each.offset) for each in sorted(others, key=lambda each: each.offset)] == [
        (RIGHT, offset) for offset, (headers, _, _) in enumerate(SICK) if ("ce_tenantid", b"nobody") not in headers
    ]
    for letter in others:
        headers, value, pointer = SICK[letter.offset]
        assert pointer in {flaw.pointer for flaw in letter.flaws}
        if not letter.omitted_bytes:
            assert (letter.headers, letter.value) == (headers, value)
    assert told >= len(others)


@pytest.mark.parametrize("record_bytes_max", [1024, 20_000, 524_288])
@pytest.mark.parametrize("partition", [RIGHT, (RIGHT + 1) % PARTITIONS], ids=["right", "wrong"])
async def test_nothing_that_the_log_takes_is_too_large_for_a_letter(
    world, record_bytes_max: int, partition: int
) -> None:
    world.save({"event": "order.refunded"})
    stream = Stream(world, record_bytes_max)
    headers = (*HEADERS[:4], ("ce_type", b"x.y"), HEADERS[5])
    left = record_bytes_max - sum(len(name) + len(value) for name, value in headers) - 2
    await stream.put(partition, headers, b'"%s"' % (b"x" * (left - 2)))
    await stream.put(partition, headers, b" " * left)
    await stream.put(RIGHT, HEADERS, DATA)
    await stream.match_all()
    assert len(await stream.letters()) >= 1
    if record_bytes_max > 1024:  # else the match has no room
        assert {each.event.id for each in await stream.matches()} == {EVENT_ID}


_HEADER_NAMES = st.sampled_from(["content-type", *(name for name, _ in HEADERS), "ce_time", "ce_causalchain", "ce_x"])
_HEADER_VALUES = st.sampled_from([value for _, value in HEADERS]) | st.binary(max_size=8)
_SETTLED = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@_SETTLED
@given(
    st.lists(st.tuples(_HEADER_NAMES, _HEADER_VALUES), max_size=4),
    st.none() | st.sampled_from([DATA, STRUCTURED]) | st.binary(max_size=30) | st.text(max_size=20).map(str.encode),
    st.integers(0, PARTITIONS - 1),
    st.binary(max_size=9),
)
async def test_nothing_that_anybody_appends_stops_the_matcher(stream: Stream, more, value, partition, key) -> None:
    record = Record(
        topic=EVENTS,
        partition=partition,
        offset=0,
        recorded_at=datetime(2026, 3, 2, tzinfo=UTC),
        key=key,
        headers=(*HEADERS, *more),
        value=value,
        foreign=True,
    )
    for each in (record, replace(record, headers=tuple(more))):
        produced = stream.matching.handle_batch(partition, [each])
        assert {made.topic for made in produced.records} <= {EVENTS, RUNS, DEADLETTERS}
