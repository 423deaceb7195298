"""Record versions: older ones are read as the newest, newer ones are written only when the level allows it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.bus import codec, write_level
from shared.bus.adapters.memory import MemoryBus
from shared.bus.port import NewRecord, Record
from shared.bus.topics import DEFINITIONS, EVENTS, RUNS
from shared.bus.upcasters import NotWritableYet, Recast, RecordVersion, RecordVersions
from shared.bus.write_level import at_write_level
from shared.domain.envelope import Event
from shared.domain.errors import InvalidInput
from shared.runtime.clock import SystemClock

FACT = Event(id="1", source="/s", type="door.opened", tenant_id="acme", data=b"1")


def step(version: int, level: int, *, topic: str = RUNS) -> RecordVersion:
    """A door is opened in version n by a number of n digits."""

    def up(event: Event) -> Event:
        return replace(event, version=version, data=(event.data or b"") + b"1")

    def down(event: Event) -> Event:
        if event.data is None:
            raise NotWritableYet(f"door.opened without data needs write level {level}")
        return replace(event, version=version - 1, data=event.data[:-1])

    return RecordVersion(topic=topic, type="door.opened", version=version, write_level=level, upcast=up, downcast=down)


VERSIONS = RecordVersions([step(2, 2), step(3, 2), step(4, 5)])
NEWEST = replace(FACT, version=4, data=b"1111")


def test_each_version_is_read_as_the_newest() -> None:
    for version in range(1, 5):
        shipped = replace(FACT, version=version, data=b"1" * version)
        assert VERSIONS.upcast(RUNS, shipped) == NEWEST
        assert codec.decode(as_record(codec.encode(RUNS, shipped)), VERSIONS) == NEWEST


def test_a_version_to_come_is_left_as_it_is_for_its_reader_to_halt_at() -> None:
    ahead = replace(FACT, version=5)
    assert VERSIONS.upcast(RUNS, ahead) == ahead


def test_what_tenants_name_alike_on_another_topic_is_no_fact_of_ours() -> None:
    assert codec.decode(as_record(codec.encode(EVENTS, FACT)), VERSIONS) == FACT
    assert VERSIONS.types(RUNS) == {"door.opened"}
    assert VERSIONS.types(EVENTS) == frozenset()
    assert (VERSIONS.newest(RUNS, "door.opened"), VERSIONS.newest(DEFINITIONS, "door.opened")) == (4, 1)


@given(st.integers(1, 9))
def test_what_is_written_at_a_level_is_known_to_all_who_read_that_level(level: int) -> None:
    written = VERSIONS.downcast(RUNS, NEWEST, level)
    assert written.version == (1 if level < 2 else 3 if level < 5 else 4)
    assert VERSIONS.upcast(RUNS, written) == NEWEST


@pytest.mark.parametrize("versions", [[step(3, 2)], [step(2, 1)], [step(2, 3), step(3, 2)], [step(2, 2), step(2, 2)]])
def test_versions_out_of_line_are_refused(versions: list[RecordVersion]) -> None:
    with pytest.raises(AssertionError, match="out of line"):
        RecordVersions(versions)


def test_casters_that_do_not_do_their_one_step_are_found_out() -> None:
    def nothing(event: Event) -> Event:
        return event

    casters: Sequence[tuple[Recast, Recast]] = [(nothing, nothing)]
    for up, down in casters:
        idle = RecordVersions([replace(step(2, 2), upcast=up, downcast=down)])
        with pytest.raises(AssertionError, match="by one"):
            idle.upcast(RUNS, FACT)
        with pytest.raises(AssertionError, match="by one"):
            idle.downcast(RUNS, replace(FACT, version=2), 1)


async def test_the_bus_writes_no_newer_version_than_its_level() -> None:
    log = MemoryBus(SystemClock(), partition_count=1)
    bus = at_write_level(log, 3, VERSIONS)
    await bus.append([codec.encode(RUNS, NEWEST), codec.encode(RUNS, replace(FACT, type="door.closed"))])
    first, second = log.log(RUNS, 0)
    assert dict(first.headers)["ce_recordversion"] == b"3"
    assert first.value == b"111"
    assert "ce_recordversion" not in dict(second.headers)
    assert codec.decode(first, VERSIONS) == NEWEST, "also in the process that wrote it"


async def test_what_an_older_version_cannot_say_is_refused_and_nothing_is_appended() -> None:
    log = MemoryBus(SystemClock(), partition_count=1)
    unsayable = codec.encode(RUNS, replace(NEWEST, data=None))
    with pytest.raises(NotWritableYet, match="level 5"):
        await at_write_level(log, 2, VERSIONS).append([codec.encode(RUNS, NEWEST), unsayable])
    assert log.log(RUNS, 0) == []


def test_at_the_newest_level_nothing_stands_between() -> None:
    log = MemoryBus(SystemClock(), partition_count=1)
    assert at_write_level(log, 5, VERSIONS) is log
    for unknown in (0, 6):
        with pytest.raises(InvalidInput, match=r"UPSHOT_WRITE_LEVEL.*levels 1 to 5"):
            at_write_level(log, unknown, VERSIONS)


@given(st.text(min_size=1))
def test_a_member_says_what_it_reads(name: str) -> None:
    member_id = write_level.member_name(name, VERSIONS)
    assert write_level.reads_level(member_id) == 5
    assert write_level.reads_level(f"{member_id}-f6a17eb0-0ec3-4ec2-bd9e-58606ef6b518") == 5, "as brokers name it"


@pytest.mark.parametrize("name", ["host-1-ab", "7", "x~", "x~y", "x~1-2", ""])
def test_a_member_that_does_not_say_it_is_known_as_such(name: str) -> None:
    assert write_level.reads_level(name) is None


def as_record(new: NewRecord) -> Record:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return Record(
        topic=new.topic, partition=0, offset=0, recorded_at=at, key=new.key, headers=new.headers, value=new.value
    )
