"""What Faust lets drop is read again: through rebalances in quick succession, emptied queues, and fetches that end too late."""

import asyncio

import pytest

from shared.testing.waiting import eventually
from tests.contract.matcher_stream.conftest import PARTITIONS, event
from tests.contract.matcher_stream.faust_alone import Alone, alone

pytestmark = pytest.mark.asyncio(loop_scope="session")

LOST = "events were fetched, but not delivered by Faust"


async def send(it: Alone, numbers: range) -> None:
    await it.bus.memory.append([event(number) for number in numbers])


async def busy(it: Alone, numbers: range) -> None:
    """The agent has these in hand for as long as the log takes nothing."""
    it.bus.may_append.clear()
    await send(it, numbers)
    await it.bus.waiting.wait()


async def test_a_rebalance_that_begins_while_the_last_one_ends_loses_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with alone(monkeypatch) as it:
        await send(it, range(12))
        await it.matched(range(12))
        await it.begin_rebalance()
        it.thread.may_seek.clear()
        await it.end_rebalance(2)
        await it.settled()
        await it.begin_rebalance()
        await send(it, range(12, 48))
        it.thread.may_seek.set()
        await asyncio.sleep(0.1)  # if Faust were to go on, it would by now
        assert not it.consumer.flow_active, "nothing flows in the middle of a rebalance"
        it.thread.may_seek.clear()
        await it.end_rebalance(3)
        it.thread.may_seek.set()
        await it.matched(range(48))
        await send(it, range(48, 52))
        await it.matched(range(52))
    assert LOST not in caplog.text


@pytest.mark.parametrize("behind", [0, 4], ids=["the last ones", "with others behind them"])
async def test_a_queue_that_is_emptied_is_filled_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, behind: int
) -> None:
    async with alone(monkeypatch) as it:
        await busy(it, range(4))
        await send(it, range(4, 16))
        await it.handed_over(4)
        it.consumer.app.flow_control.clear()
        await send(it, range(16, 16 + behind))
        it.bus.may_append.set()
        await it.matched(range(16 + behind))
        await eventually(lambda: committed(it, 4 + behind // PARTITIONS), "all is committed", interval_seconds=0.02)
    assert LOST in caplog.text


@pytest.mark.parametrize("behind", [0, 4], ids=["the last ones", "with others behind them"])
async def test_a_fetch_that_ends_while_the_flow_is_stopped_is_made_again(
    monkeypatch: pytest.MonkeyPatch, behind: int
) -> None:
    async with alone(monkeypatch) as it:
        await send(it, range(4))
        await it.matched(range(4))
        await it.fetching()
        it.consumer.stop_flow()
        await send(it, range(4, 8))
        await it.handed_over(2)
        it.consumer.resume_flow()
        await send(it, range(8, 8 + behind))
        await it.matched(range(8 + behind))


async def test_a_partition_is_not_read_from_its_beginning_because_nobody_keeps_the_group(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with alone(monkeypatch) as it:
        await send(it, range(4))
        await it.matched(range(4))
        await eventually(lambda: committed(it, 1), "all is committed", interval_seconds=0.02)
        it.bus.unkept = True
        await it.begin_rebalance()
        await it.end_rebalance(3)  # one was between: all is restored
        await asyncio.sleep(0.1)
        assert it.share.positions() == {}
        it.bus.unkept = False
        await it.settled()
        assert it.share.positions() == dict.fromkeys(range(PARTITIONS), 1)


async def committed(it: Alone, count: int) -> bool:
    return it.thread.offsets == dict.fromkeys(range(PARTITIONS), count)
