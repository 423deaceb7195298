"""Tests that mostly wait, waiting together: what each of a parametrised test's cases does is begun with the first of them.

Only cases that were chosen to run are begun; a case fails alone.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

import pytest

Result = TypeVar("Result")


def chosen(request: pytest.FixtureRequest, test: Callable[..., object]) -> list[str]:
    """The names of the cases in which the test will run in this session, in order."""
    functions = [item for item in request.session.items if isinstance(item, pytest.Function)]
    return [item.callspec.id for item in functions if item.originalname == test.__name__]


@asynccontextmanager
async def at_once(
    names: Sequence[str], work: Callable[[str], Awaitable[Result]], *, at_most: int
) -> AsyncIterator[Mapping[str, asyncio.Task[Result]]]:
    """A task for each name, begun in order, so many of them at a time; cancelled on the way out where it has not ended."""
    turns = asyncio.Semaphore(at_most)

    async def turn(name: str) -> Result:
        async with turns:
            return await work(name)

    tasks = {name: asyncio.create_task(turn(name)) for name in names}
    try:
        yield tasks
    finally:
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)
