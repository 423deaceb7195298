"""The seal: what Upshot appends is known as its own, whatever others append is not, and whoever copies vouches for little."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from shared.bus import codec
from shared.bus.adapters.memory import MemoryBus
from shared.bus.copied import Place, place_of
from shared.bus.headers import Headers
from shared.bus.port import Bus, NewRecord, Record
from shared.bus.seal import SEAL_HEADER, Seal, SealedBus, seal_key
from shared.bus.topics import DEFINITIONS, EVENTS
from shared.domain.envelope import Event

SEAL = Seal(seal_key(b"master"))
AT = datetime(2026, 3, 2, tzinfo=UTC)
OWN = Event(id="1", source="/upshot/matcher", type="upshot.schedule.fired", tenant_id="acme", data=b"{}", replay_id="r")

_HEADERS = st.lists(st.tuples(st.text(max_size=6), st.binary(max_size=6)), max_size=4).map(tuple)
_VALUES = st.none() | st.binary(max_size=12)


def new(headers: Headers, value: bytes | None, **more: bool) -> NewRecord:
    return NewRecord(topic=EVENTS, key=b"acme", headers=headers, value=value, **more)


def read(headers: Headers, value: bytes | None, seal: Seal = SEAL) -> Record:
    record = Record(topic=EVENTS, partition=0, offset=0, recorded_at=AT, key=b"k", headers=headers, value=value)
    seal.mark([record])
    return record


@given(_HEADERS, _VALUES, _HEADERS, _VALUES)
def test_a_seal_holds_for_what_was_sealed_and_nothing_else(
    headers: Headers, value: bytes | None, others: Headers, other: bytes | None
) -> None:
    sealed = SEAL.stamp(new(headers, value))
    assert not read(sealed.headers, sealed.value).foreign
    if (others, other) != (headers, value):
        assert read((*others, sealed.headers[-1]), other).foreign


@given(_HEADERS, _VALUES)
def test_another_installations_seal_is_none(headers: Headers, value: bytes | None) -> None:
    sealed = Seal(seal_key(b"another")).stamp(new(headers, value))
    assert read(sealed.headers, sealed.value).foreign
    assert read(headers, value).foreign


def test_sealed_twice_is_sealed_once() -> None:
    once = SEAL.stamp(codec.encode(EVENTS, OWN))
    assert SEAL.stamp(once).headers == once.headers
    assert [name for name, _ in once.headers].count(SEAL_HEADER) == 1


def test_what_tools_on_the_way_add_behind_a_seal_does_not_count() -> None:
    sealed = SEAL.stamp(codec.encode(EVENTS, OWN))
    record = read((*sealed.headers, ("ce_type", b"other"), ("recordedtime", b"2020-01-01T00:00:00Z")), sealed.value)
    assert codec.decode(record) == OWN
    assert codec.recorded_at(record) == AT


def test_nobody_else_says_when_something_was_recorded() -> None:
    claimed = ("recordedtime", b"2099-01-01T00:00:00Z")
    assert codec.recorded_at(read((claimed,), b"{}")) == AT


def test_nobody_else_says_where_something_lay() -> None:
    claimed = ("copiedfrom", b"kafka/7/1234")
    assert read((("x", b""), claimed), b"{}").headers == (("x", b""),)
    copy = SEAL.stamp(new((claimed,), b"{}", foreign=True))
    assert place_of(read(copy.headers, copy.value).headers) == Place("kafka", 7, 1234)


def test_a_copied_record_keeps_its_time_and_stays_whose_it_was() -> None:
    first = datetime(2020, 1, 1, tzinfo=UTC)
    stamped = ("recordedtime", b"2020-01-01T00:00:00Z")
    named = (
        ("ce_specversion", b"1.0"),
        ("ce_id", b"7"),
        ("ce_source", b"/s"),
        ("ce_type", b"t"),
        ("ce_tenantid", b"a"),
    )
    ours = SEAL.stamp(codec.encode(EVENTS, OWN))

    for headers, foreign in ((ours.headers, False), (named, True)):
        copy = SEAL.stamp(new((*headers, stamped), b"{}", foreign=foreign))
        copied = read(copy.headers, copy.value)
        assert (copied.foreign, codec.recorded_at(copied)) == (foreign, first)
        assert codec.decode(copied).id == codec.decode(read(headers, b"{}")).id
        twice = SEAL.stamp(new(copied.headers, copied.value, foreign=copied.foreign))
        assert (read(twice.headers, twice.value).foreign, twice.headers) == (foreign, copy.headers)


async def test_on_a_log_that_others_write_to_only_events_are_told_apart() -> None:
    class Still:
        def now(self) -> datetime:
            return AT

    log = MemoryBus(Still(), partition_count=1)
    ours: Bus = SealedBus(log, SEAL)
    forged = replace(codec.encode(EVENTS, OWN), origin=None)
    await ours.append([codec.encode(EVENTS, OWN), codec.encode(DEFINITIONS, OWN)])
    await log.append([forged, replace(forged, topic=DEFINITIONS)])

    async def all_of(topic: str) -> Sequence[Record]:
        reader = ours.reader(topic)
        reader.assign({0: 0})
        return (await reader.poll(timeout_seconds=0))[0]

    assert [each.foreign for each in await all_of(EVENTS)] == [False, True]
    assert [each.foreign for each in await all_of(DEFINITIONS)] == [False, False]
    assert SEAL_HEADER not in dict((await all_of(DEFINITIONS))[0].headers)
