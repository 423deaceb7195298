"""A time limit means what `asyncio.timeout` means."""

import asyncio

import pytest

from shared.runtime.deadline import Deadline


async def test_what_ends_in_time_is_left_alone() -> None:
    with Deadline(asyncio.get_running_loop(), 60.0):
        await asyncio.sleep(0)
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()


async def test_what_takes_longer_is_a_timeout() -> None:
    with pytest.raises(TimeoutError), Deadline(asyncio.get_running_loop(), 0.0):
        await asyncio.Event().wait()
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()


async def test_an_error_goes_its_way() -> None:
    with pytest.raises(ConnectionError), Deadline(asyncio.get_running_loop(), 60.0):
        raise ConnectionError


async def test_a_cancellation_from_elsewhere_stays_one() -> None:
    begun = asyncio.Event()

    async def wait() -> None:
        with Deadline(asyncio.get_running_loop(), 60.0):
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(wait())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancellation_stays_one_where_the_time_is_over_as_well() -> None:
    begun = asyncio.Event()

    async def wait() -> None:
        with Deadline(asyncio.get_running_loop(), 0.0):
            begun.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                task.cancel()  # while the time limit's own is on its way
                raise

    task = asyncio.create_task(wait())
    await begun.wait()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancellation_of_before_does_not_hide_the_timeout() -> None:
    timed_out = False

    async def clean_up() -> None:
        nonlocal timed_out
        try:
            await asyncio.Event().wait()
        finally:  # cancelled, and still at work
            try:
                with Deadline(asyncio.get_running_loop(), 0.0):
                    await asyncio.Event().wait()
            except TimeoutError:
                timed_out = True

    task = asyncio.create_task(clean_up())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert timed_out
