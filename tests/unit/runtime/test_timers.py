"""Instants are waited for in their order, and what is waited for no more is let go of, however far off it was."""

import asyncio
import contextlib
import weakref
from collections.abc import AsyncIterator
from datetime import timedelta

from shared.runtime.clock import SystemClock
from shared.runtime.timers import Timers

A_MONTH = timedelta(days=30)


@contextlib.asynccontextmanager
async def running() -> AsyncIterator[Timers]:
    timers = Timers(SystemClock())
    task = asyncio.create_task(timers.run())
    try:
        yield timers
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class Held:
    """What a call holds."""

    def come(self) -> None:
        raise AssertionError("nobody waits for this")


async def test_instants_come_in_their_order() -> None:
    came: list[str] = []
    done = asyncio.Event()
    now = SystemClock().now()
    async with running() as timers:
        timers.at(now + timedelta(seconds=0.02), done.set)
        timers.at(now + timedelta(seconds=0.01), lambda: came.append("second"))
        timers.at(now - A_MONTH, lambda: came.append("first"))
        timers.at(now + A_MONTH, lambda: came.append("never"))
        async with asyncio.timeout(10):
            await done.wait()
        assert (came, len(timers)) == (["first", "second"], 1)


async def test_what_is_due_all_at_once_leaves_others_their_turn() -> None:
    past, done, turns = SystemClock().now() - A_MONTH, asyncio.Event(), 0
    began_in: list[int] = []

    async def something_else() -> None:
        nonlocal turns
        while not done.is_set():
            turns += 1
            await asyncio.sleep(0)

    async with running() as timers:
        for _ in range(1000):
            timers.at(past, lambda: began_in.append(turns))
        timers.at(past, done.set)
        async with asyncio.timeout(10):
            await asyncio.gather(something_else(), done.wait())
    assert max(began_in.count(turn) for turn in began_in) <= 100


async def test_what_is_cancelled_neither_comes_nor_holds_anything() -> None:
    now, done, held = SystemClock().now(), asyncio.Event(), Held()
    gone = weakref.ref(held)
    async with running() as timers:
        soon, late = timers.at(now + timedelta(seconds=0.01), held.come), timers.at(now + A_MONTH, held.come)
        comes = timers.at(now + timedelta(seconds=0.02), done.set)
        assert timers.cancel(soon)
        assert timers.cancel(late)
        assert not timers.cancel(late)
        del held
        assert gone() is None
        assert len(timers) == 1
        async with asyncio.timeout(10):
            await done.wait()
        assert not timers.cancel(comes)
        assert len(timers) == 0


async def test_what_is_cancelled_takes_no_room_for_a_month() -> None:
    now, came = SystemClock().now(), asyncio.Event()
    async with running() as timers:
        stays = timers.at(now + timedelta(seconds=0.05), came.set)
        for _ in range(10_000):
            timers.cancel(timers.at(now + A_MONTH, came.set))
        assert len(timers._heap) < 200  # what the promise is about
        assert len(timers) == 1
        async with asyncio.timeout(10):
            await came.wait()
        assert not timers.cancel(stays)
