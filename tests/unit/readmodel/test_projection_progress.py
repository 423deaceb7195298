"""Waiting for the read model: true as soon as it shows the record, false when the time is over, no query for nobody."""

import asyncio
from collections.abc import Mapping

from shared.domain.errors import TransientError
from shared.runtime.progress import ProjectionProgress

TOPIC = "upshot.runs"


async def test_what_is_shown_already_needs_no_waiting() -> None:
    progress = ProjectionProgress()
    progress.advance(TOPIC, 3, 8)
    assert await progress.wait(TOPIC, 3, 7, timeout_seconds=0)
    assert not await progress.wait(TOPIC, 3, 8, timeout_seconds=0)
    assert not await progress.wait(TOPIC, 4, 0, timeout_seconds=0)


async def test_an_advance_wakes_exactly_those_that_it_serves() -> None:
    progress = ProjectionProgress()
    waiting = [asyncio.create_task(progress.wait(TOPIC, 3, offset, timeout_seconds=60)) for offset in (4, 5, 6)]
    await asyncio.sleep(0)
    progress.advance(TOPIC, 3, 6)
    assert await waiting[0]
    assert await waiting[1]
    assert not waiting[2].done()
    progress.advance(TOPIC, 3, 7)
    assert await waiting[2]


async def test_checkpoints_never_move_back() -> None:
    progress = ProjectionProgress()
    progress.advance(TOPIC, 3, 8)
    progress.advance(TOPIC, 3, 2)
    assert await progress.wait(TOPIC, 3, 7, timeout_seconds=0)


async def test_another_processes_projection_is_asked_about_while_somebody_waits() -> None:
    asked: list[str] = []
    answers: list[Mapping[int, int] | Exception] = [{3: 4}, TransientError("away"), {3: 5, 4: 9}]

    async def read(topic: str) -> Mapping[int, int]:
        asked.append(topic)
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    progress = ProjectionProgress(read)
    found = await asyncio.gather(*(progress.wait(TOPIC, 3, 4, timeout_seconds=60) for _ in range(5)))
    assert found == [True] * 5
    assert asked == [TOPIC] * 3
    assert await progress.wait(TOPIC, 4, 8, timeout_seconds=0)
    await progress.close()
    assert len(asked) == 3


async def test_a_caller_that_goes_away_is_not_waited_for() -> None:
    progress = ProjectionProgress()
    waiting = asyncio.create_task(progress.wait(TOPIC, 3, 4, timeout_seconds=60))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert progress._waiting == {}
    progress.advance(TOPIC, 3, 9)
