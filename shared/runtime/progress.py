"""How far the read model has got, for whoever waits until it shows what was just appended.

Guarantee: `wait` returns True only once the checkpoint has passed the offset. A projector in the same process says so
itself (`advance`); where another process projects, one query answers all waiters, soon after somebody begins to wait and then
ever more seldom, and there is none when nobody waits.
Next: `services/projector/service.py` advances it, `services/api` waits.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from shared.domain.errors import TransientError

POLL_SECONDS_MIN = 0.005
POLL_SECONDS_MAX = 0.05
"""A projector elsewhere writes a command within some 10 ms, if it has nothing else to do: who comes last waits for a short
pause, and nobody makes the server busy with questions."""

Place: TypeAlias = tuple[str, int]
"""(topic, partition)"""

ReadCheckpoints = Callable[[str], Awaitable[Mapping[int, int]]]
"""The next offset per partition of a topic: `ReadModel.next_offsets`."""


class ProjectionProgress:
    """One a process. `read_checkpoints` None: every partition is projected in this very process. `elsewhere`: none is, so
    that only questions bring news, and the first ones come quickly."""

    def __init__(self, read_checkpoints: ReadCheckpoints | None = None, *, elsewhere: bool = False) -> None:
        self._read_checkpoints = read_checkpoints
        self._pause_min = POLL_SECONDS_MIN if elsewhere else POLL_SECONDS_MAX
        self._next: dict[Place, int] = {}
        self._waiting: dict[Place, set[tuple[int, asyncio.Future[None]]]] = {}
        self._poller: asyncio.Task[None] | None = None
        self._pause = self._pause_min
        self._hurry = asyncio.Event()

    def advance(self, topic: str, partition: int, next_offset: int) -> None:
        """The checkpoint stands at `next_offset`: wake whoever waited for less. Never moves back."""
        place = (topic, partition)
        if next_offset <= self._next.get(place, -1):
            return
        self._next[place] = next_offset
        waiting = self._waiting.get(place)
        if not waiting:
            return
        for each in [each for each in waiting if each[0] < next_offset]:
            waiting.discard(each)
            if not each[1].done():
                each[1].set_result(None)
        if not waiting:
            del self._waiting[place]

    def next_offset(self, topic: str, partition: int) -> int:
        """Where the checkpoint stands as far as is known here; -1: nobody has said so yet."""
        return self._next.get((topic, partition), -1)

    async def wait(self, topic: str, partition: int, offset: int, timeout_seconds: float) -> bool:
        """Whether the read model showed the record at `offset` within the time."""
        place = (topic, partition)
        if self._next.get(place, -1) > offset:
            return True
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiter = (offset, future)
        self._waiting.setdefault(place, set()).add(waiter)
        self._poll_while_needed()
        try:
            async with asyncio.timeout(timeout_seconds):
                await future
        except TimeoutError:
            return False
        finally:
            waiting = self._waiting.get(place)
            if waiting is not None:
                waiting.discard(waiter)
                if not waiting:
                    del self._waiting[place]
        return True

    async def close(self) -> None:
        """Stop polling; whoever waits goes on to its timeout."""
        if self._poller is not None:
            self._poller.cancel()
            await asyncio.gather(self._poller, return_exceptions=True)

    def _poll_while_needed(self) -> None:
        self._pause = self._pause_min
        self._hurry.set()
        if self._read_checkpoints is not None and (self._poller is None or self._poller.done()):
            self._poller = asyncio.create_task(self._poll(self._read_checkpoints), name="projection-progress")

    async def _poll(self, read_checkpoints: ReadCheckpoints) -> None:
        while self._waiting:
            # In-process news comes first, and mostly makes the query needless.
            await self._rest()
            for topic in {topic for topic, _ in self._waiting}:
                try:
                    found = await read_checkpoints(topic)
                except TransientError:
                    continue
                for partition, next_offset in found.items():
                    self.advance(topic, partition, next_offset)

    async def _rest(self) -> None:
        """A pause that grows; whoever begins to wait meanwhile makes it short again."""
        if self._pause > self._pause_min:
            self._hurry.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause):
                    await self._hurry.wait()
        if self._pause == self._pause_min:
            await asyncio.sleep(self._pause_min)
        self._pause = min(self._pause * 2, POLL_SECONDS_MAX)
