"""Who is in no hurry travels with who is, and nobody pays for another's trouble."""

import asyncio
from collections.abc import Sequence

import pytest

from services.executor.service.gathering import COMPANY_MAX, Gathering
from shared.bus.adapters.memory import MemoryBus
from shared.bus.port import AppendInDoubt, NewRecord, Position, RecordTooLarge
from shared.bus.topics import RUNS
from shared.runtime.clock import SystemClock

LONG_SECONDS = 3_600.0


def record(text: str) -> NewRecord:
    return NewRecord(topic=RUNS, key=b"acme", headers=(), value=text.encode())


class CountingBus(MemoryBus):
    """Remembers which records came together."""

    def __init__(self) -> None:
        super().__init__(SystemClock(), partition_count=1, record_bytes_max=100)
        self.appends: list[list[bytes | None]] = []

    async def append(self, records: Sequence[NewRecord]) -> Sequence[Position]:
        self.appends.append([each.value for each in records])
        await asyncio.sleep(0)
        return await super().append(records)


async def amid_traffic(bus: MemoryBus, patience_seconds: float = LONG_SECONDS) -> Gathering:
    """Two that are in a hurry came shortly after each other: a third is to be expected."""
    gathering = Gathering(bus, patience_seconds)
    for _ in range(2):
        await gathering.append(record("-"))
    if isinstance(bus, CountingBus):
        bus.appends.clear()
    return gathering


async def waiting(gathering: Gathering, text: str) -> asyncio.Task[Position]:
    task = asyncio.create_task(gathering.append(record(text), patient=True))
    await asyncio.sleep(0)
    return task


async def test_the_patient_go_with_the_next_that_is_not() -> None:
    bus = CountingBus()
    gathering = await amid_traffic(bus)
    patient = [await waiting(gathering, "a"), await waiting(gathering, "b")]
    assert bus.appends == []

    first = await gathering.append(record("c"))

    assert bus.appends == [[b"c", b"a", b"b"]]
    assert [(await each).offset for each in patient] == [first.offset + 1, first.offset + 2]


async def test_without_company_they_go_alone_in_time() -> None:
    bus = CountingBus()
    gathering = await amid_traffic(bus, 0.5)
    first, second = await waiting(gathering, "a"), await waiting(gathering, "b")
    assert sorted([(await first).offset, (await second).offset]) == [2, 3]
    assert bus.appends == [[b"a", b"b"]]


async def test_nobody_waits_without_patience() -> None:
    bus = CountingBus()
    gathering = await amid_traffic(bus, 0)
    await gathering.append(record("a"), patient=True)
    assert bus.appends == [[b"a"]]


async def test_nobody_waits_where_company_is_not_to_be_expected() -> None:
    bus = CountingBus()
    gathering = Gathering(bus, LONG_SECONDS)
    await gathering.append(record("a"), patient=True)
    await gathering.append(record("b"))
    await gathering.append(record("c"), patient=True)
    assert bus.appends == [[b"a"], [b"b"], [b"c"]]


async def test_a_crowd_does_not_wait() -> None:
    bus = CountingBus()
    gathering = await amid_traffic(bus)
    crowd = [await waiting(gathering, str(number)) for number in range(COMPANY_MAX + 1)]
    assert sorted([(await each).offset - 2 for each in crowd]) == list(range(COMPANY_MAX + 1))
    assert len(bus.appends) == 1


async def test_what_fails_for_one_is_only_in_doubt_for_the_others() -> None:
    bus = CountingBus()
    gathering = await amid_traffic(bus)
    patient = await waiting(gathering, "a")
    with pytest.raises(RecordTooLarge):
        await gathering.append(record("x" * 101))
    with pytest.raises(AppendInDoubt):
        await patient
    assert (await gathering.append(record("a"))).offset == 2


async def test_what_can_never_be_taken_of_one_is_no_refusal_of_whoever_took_it_along() -> None:
    bus = CountingBus()
    gathering = await amid_traffic(bus)
    too_large = await waiting(gathering, "x" * 101)

    position = await gathering.append(record("innocent"))

    assert position.offset == 2
    assert [each.value for each in bus.log(RUNS, 0)[2:]] == [b"innocent"]
    with pytest.raises(AppendInDoubt):
        await too_large
    with pytest.raises(RecordTooLarge):
        await gathering.append(record("x" * 101))


async def test_one_alone_that_fails_is_told_why() -> None:
    gathering = await amid_traffic(CountingBus(), 0.5)
    with pytest.raises(RecordTooLarge):
        await gathering.append(record("x" * 101), patient=True)


async def test_who_is_cancelled_leaves_the_others_their_way() -> None:
    bus = CountingBus()
    gathering = await amid_traffic(bus)
    gone, stays = await waiting(gathering, "gone"), await waiting(gathering, "stays")
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    hurried = asyncio.create_task(gathering.append(record("now")))
    await asyncio.sleep(0)
    hurried.cancel()
    with pytest.raises(AppendInDoubt):
        await stays
    assert bus.appends == [[b"now", b"stays"]]
