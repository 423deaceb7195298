"""A campaign that failed says of each partition whether the matcher stands still there."""

from services.matcher.service.matcher import GROUP
from shared.bus import codec
from shared.bus.adapters.memory import MemoryBus
from shared.bus.partitioner import partition_of
from shared.bus.topics import EVENTS
from shared.domain.envelope import Event
from shared.runtime.clock import SystemClock
from tests.chaos.lags import matcher_lags, told


async def test_each_partition_is_told_apart() -> None:
    bus = MemoryBus(SystemClock(), partition_count=4)
    for name in ("a", "b", "c", "d", "e", "f", "g"):
        if partition_of(name.encode(), 4) != 3:
            event = Event(id=name, source="/s", type="shop.sold", tenant_id=name, data=b"{}")
            await bus.append([codec.encode(EVENTS, event)] * 3)
    member = await bus.join(GROUP, EVENTS, member_id="m")
    change = await member.next_assignment(timeout_seconds=1)
    assert change is not None
    ends = {partition: end for partition, (_, end) in (await matcher_lags(bus)).items()}
    assert ends.keys() == {0, 1, 2}, "of empty ones nothing is told"
    before = await matcher_lags(bus)
    await member.commit({0: ends[0], 1: 1}, generation=change.generation)
    lines = told(before, await matcher_lags(bus))
    assert [line.rpartition(": ")[2] for line in lines] == ["level", "moves", "stands still"]
    assert f"committed 0, then 1 of {ends[1]}, {ends[1] - 1} behind" in lines[1]
