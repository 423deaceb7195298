"""A member of a group for whom there is no partition stands by: it is ready, and takes over when another one leaves."""

import asyncio

import pytest

from shared.bus.adapters.memory import MemoryBus
from shared.runtime import shards
from shared.runtime.clock import SystemClock
from shared.runtime.shards import RunsFollower
from shared.testing.folds import NothingRemembered


async def test_who_has_no_partition_is_ready_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "POLL_SECONDS", 0.001)
    bus = MemoryBus(SystemClock(), partition_count=1)
    model = NothingRemembered()
    first, second = (RunsFollower(bus, model, [], group="g", member_id=name) for name in "ab")
    tasks = []
    try:
        for follower in (first, second):
            tasks.append(asyncio.create_task(follower.run()))
            async with asyncio.timeout(10):
                while not follower.assigned:
                    await asyncio.sleep(0)
        assert [bool(first.shards), bool(second.shards)] == [True, False]

        # when
        tasks[0].cancel()

        # then
        async with asyncio.timeout(10):
            while not second.shards:
                await asyncio.sleep(0)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
