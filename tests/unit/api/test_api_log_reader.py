"""Records by position, from a real bus in memory, wherever they lie among others."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.api.core.timeline import DATA_BYTES_MAX, decode_entries, show_timeline
from services.api.service.log_reader import LogReader
from shared.bus import codec
from shared.bus.adapters.memory import MemoryBus
from shared.bus.topics import RUNS
from shared.domain.envelope import Event
from shared.domain.errors import TransientError
from shared.runtime.clock import SystemClock
from shared.testing.examples import examples

START = datetime(2026, 3, 2, tzinfo=UTC)


class SteppingClock:
    """Stands where it is put."""

    def __init__(self) -> None:
        self.at = START

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()


async def log_of(count: int) -> MemoryBus:
    bus = MemoryBus(SystemClock(), partition_count=1)
    events = [Event(id=f"r{n}", source="/s", type="t", tenant_id="acme", data=b'{"n": %d}' % n) for n in range(count)]
    await bus.append([codec.encode(RUNS, event) for event in events])
    return bus


@settings(max_examples=examples(25), deadline=None)
@given(st.lists(st.integers(0, 149), max_size=12))
async def test_exactly_the_wanted_records_come_in_order(offsets):
    reader = LogReader(await log_of(150), timeout_seconds=1)
    found = await reader.at(RUNS, 0, offsets)
    assert [record.offset for record in found] == sorted(set(offsets))


async def test_a_record_that_is_not_there_is_trouble_that_may_pass():
    reader = LogReader(await log_of(3), timeout_seconds=0.01)
    with pytest.raises(TransientError):
        await reader.at(RUNS, 0, [1, 7])


async def test_a_timeline_leaves_data_out_once_it_is_too_large():
    bus = MemoryBus(SystemClock(), partition_count=1, record_bytes_max=2**24)
    big = b'"' + b"x" * (DATA_BYTES_MAX // 2) + b'"'
    events = [Event(id=f"r{n}", source="/s", type="t", tenant_id="acme", data=big) for n in range(3)]
    await bus.append([codec.encode(RUNS, event) for event in events])
    entries = decode_entries(await LogReader(bus, 1).at(RUNS, 0, [0, 1, 2]))
    assert ["data" in each for each in show_timeline("run", entries)] == [True, False, False]


@settings(max_examples=examples(25), deadline=None)
@given(st.lists(st.integers(0, 5), max_size=60), st.integers(-1, 200))
async def test_the_first_record_since_an_instant_is_found_by_halving(gaps, asked):
    moments = [START + timedelta(seconds=sum(gaps[: n + 1])) for n in range(len(gaps))]
    clock = SteppingClock()
    bus = MemoryBus(clock, partition_count=1)
    for number, moment in enumerate(moments):
        clock.at = moment
        event = Event(id=f"r{number}", source="/s", type="t", tenant_id="acme", data=b"{}")
        await bus.append([codec.encode(RUNS, event)])
    instant = START + timedelta(seconds=asked)
    expected = next((n for n, moment in enumerate(moments) if moment >= instant), len(moments))
    assert await LogReader(bus, 1).first_since(RUNS, 0, instant) == expected


@pytest.mark.parametrize(
    ("start", "most", "found"), [(0, 300, 250), (100, 151, 250), (100, 150, None), (251, 300, None)]
)
async def test_a_search_reads_no_more_than_it_may(start, most, found):
    reader = LogReader(await log_of(280), timeout_seconds=1)
    record, read = await reader.search(RUNS, 0, start, records_max=most, wanted=lambda event: event.id == "r250")
    assert (record.offset if record else None) == found
    assert read <= min(most, 280)
