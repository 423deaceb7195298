"""A copied log amounts to the same: folded anew with other offsets in other partitions, contents are equal; else it is told."""

import pytest

from services.projector.service.moving import MoveReport, move_read_model
from shared.bus.adapters.memory import MemoryBus
from shared.bus.copying import LogCopy
from shared.bus.topics import RUNS, TOPICS
from shared.readmodel.generations import read_pointer
from shared.readmodel.store import ReadModel
from tests.contract.readmodel.test_readmodel_rebuild import CLOCK, Live, LogClock, busy_scenario, fill


@pytest.mark.parametrize("lags", [False, True], ids=["level", "lagging"])
async def test_contents_are_equal_whatever_the_number_of_partitions(readmodel: ReadModel, lags: bool) -> None:
    """`lags`: the read model that the copy is compared with was not level with its log when the platform was stopped."""
    async with Live(readmodel).running() as live:
        await fill(live)
    if lags:
        await live.append(busy_scenario("later"), "acme")
    report, target = await moved(live, readmodel, partition_count=7)
    assert report.differs == ()
    assert report.tables["runs"].rows > 0
    assert report.tables["windows"].rows > 0
    async with readmodel.pool.acquire() as connection:
        assert (await read_pointer(connection)).generation == report.generation
    checkpoints = {
        (each.topic, each.partition): each.next for each in await readmodel.checkpoints_of(report.generation)
    }
    marks = await target.watermarks(RUNS)
    assert {partition: checkpoints[RUNS, partition] for partition in range(7)} == {
        partition: each.high for partition, each in marks.items()
    }


async def test_a_copy_that_lacks_a_record_is_told_and_nothing_is_switched(readmodel: ReadModel) -> None:
    async with Live(readmodel).running() as live:
        await fill(live)
    report, _ = await moved(live, readmodel, partition_count=3, lacking=1)
    assert report.differs
    assert "runs" in report.differs
    assert set(report.differs) < set(report.tables)
    async with readmodel.pool.acquire() as connection:
        assert (await read_pointer(connection)).generation == 1


async def moved(
    live: Live, readmodel: ReadModel, *, partition_count: int, lacking: int = 0
) -> tuple[MoveReport, MemoryBus]:
    target = MemoryBus(LogClock(), partition_count=partition_count)
    copy = LogCopy(live.bus, target, "one", lambda _: None)
    for topic in TOPICS:
        await copy.copy(topic)
    if lacking:
        longest = max((target.log(RUNS, partition) for partition in range(partition_count)), key=len)
        del longest[-lacking * 10 :]
    heard: list[tuple[int, int]] = []
    report = await move_read_model(
        live.bus, readmodel, target, readmodel, CLOCK, lambda folded, total: heard.append((folded, total))
    )
    assert heard[-1] == (report.records, report.records)
    return report, target
