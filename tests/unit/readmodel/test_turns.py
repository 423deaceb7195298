"""A tenant whose reads hang waits for itself, and nobody else does."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from shared.readmodel.errors import ReadModelBusy
from shared.readmodel.turns import Turns


async def test_a_tenant_that_holds_all_it_may_waits_and_another_does_not() -> None:
    turns = Turns(4, patience_seconds=0.05)
    async with AsyncExitStack() as hanging:
        for _ in range(2):
            await hanging.enter_async_context(turns.of("hostile"))
        with pytest.raises(ReadModelBusy, match="hostile reads as much at once as it may"):
            await hanging.enter_async_context(turns.of("hostile"))
        async with asyncio.timeout(5), turns.of("small"):
            pass
    async with AsyncExitStack() as again:  # what was called off holds no place
        for _ in range(2):
            await again.enter_async_context(turns.of("hostile"))


async def test_reads_follow_each_other_and_one_that_was_called_off_is_passed_by() -> None:
    turns = Turns(2, patience_seconds=20)
    order: list[int] = []

    async def read(number: int) -> None:
        async with turns.of("acme"):
            order.append(number)
            await asyncio.sleep(0)

    async with turns.of("acme"):
        reads = [asyncio.create_task(read(number)) for number in range(4)]
        await asyncio.sleep(0)
        reads[1].cancel()
        await asyncio.sleep(0)
        assert order == []
    await asyncio.wait(reads)
    assert order == [0, 2, 3]


async def test_a_turn_that_comes_just_as_its_caller_leaves_is_the_next_ones() -> None:
    turns = Turns(2, patience_seconds=20)
    entered = asyncio.Event()

    async def read() -> None:
        async with turns.of("acme"):
            entered.set()

    async with turns.of("acme"):
        leaving, staying = (asyncio.create_task(read()) for _ in range(2))
        await asyncio.sleep(0)
    leaving.cancel()  # its turn has come, and it has not been told yet
    await asyncio.wait([leaving, staying])
    assert leaving.cancelled()
    assert entered.is_set()
