"""Records by position, from a real bus in memory, wherever they lie among others."""

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


async def log_of(count: int) -> MemoryBus:
    bus = MemoryBus(SystemClock(), partition_count=1)
    events = [Event(id=f"r{n}", source="/s", type="t", tenant_id="acme", data=b'{"n": %d}' % n) for n in range(count)]
    await bus.append([codec.encode(RUNS, event) for event in events])
    return bus


@settings(max_examples=25, deadline=None)
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
