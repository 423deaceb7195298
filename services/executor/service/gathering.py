"""Appends in company: what nobody waits for goes to the log together with the next record that somebody does wait for.

Where little is merged, every append is a commit of its own; the word that ended a run's last step can wait some
milliseconds for the start of another's. Where company is not to be expected in that time nobody waits: to wake up once more,
with cold caches, costs more than the commit. Guarantee: a record is durable when `append` returns, whoever it went with;
what fails in company is told as a `TransientError`, so that its own caller appends it again, by itself.
"""

import asyncio
import math

from shared.bus.port import AppendInDoubt, Bus, NewRecord, Position
from shared.domain.errors import PermanentError

COMPANY_MAX = 64
"""Records that wait at most; the next one takes them along at once. Far below what any bus takes in one append."""


class Gathering:
    """One a process, for all that the executor itself appends."""

    def __init__(self, bus: Bus, patience_seconds: float) -> None:
        """Inside the running loop. `patience_seconds`: how long a patient record waits at most, where others come as often; 0:
        not at all."""
        self._bus = bus
        self._loop = asyncio.get_running_loop()
        self._patience_seconds = patience_seconds
        self._waiting: list[tuple[NewRecord, asyncio.Future[Position]]] = []
        self._alone: asyncio.TimerHandle | None = None
        self._sending: set[asyncio.Task[None]] = set()
        self._hurried_at, self._interval_seconds = -math.inf, math.inf

    async def append(self, record: NewRecord, *, patient: bool = False) -> Position:
        """See the port's `append`. `patient`: nothing depends on when exactly it is there."""
        if not patient:
            now = self._loop.time()
            self._interval_seconds, self._hurried_at = now - self._hurried_at, now
            return await self._send(record)
        if self._interval_seconds >= self._patience_seconds or len(self._waiting) >= COMPANY_MAX:
            return await self._send(record)
        answer: asyncio.Future[Position] = self._loop.create_future()
        self._waiting.append((record, answer))
        if self._alone is None:
            self._alone = self._loop.call_later(self._patience_seconds, self._nobody_came)
        return await answer

    async def _send(self, record: NewRecord) -> Position:
        company = self._take()
        if not company:
            return (await self._bus.append([record]))[0]
        try:
            position, *others = await self._bus.append([record, *(each for each, _ in company)])
        except BaseException as error:  # the caller may be cancelled, too: those that went along are not
            for _, answer in company:
                if not answer.done():
                    answer.set_exception(AppendInDoubt(f"appended together with a record that failed: {error!r}"))
            if not isinstance(error, PermanentError):
                raise
            # Nothing was sent. Whether it is this record that the log will never take is to be asked of it alone.
            return (await self._bus.append([record]))[0]
        for (_, answer), other in zip(company, others, strict=True):
            if not answer.done():
                answer.set_result(other)
        return position

    def _take(self) -> list[tuple[NewRecord, asyncio.Future[Position]]]:
        company, self._waiting = self._waiting, []
        if self._alone is not None:
            self._alone.cancel()
            self._alone = None
        return [(record, answer) for record, answer in company if not answer.done()]  # else its caller was cancelled

    def _nobody_came(self) -> None:
        self._alone = None
        (first, answer), *self._waiting = self._waiting
        task = asyncio.create_task(self._send_first(first, answer))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _send_first(self, record: NewRecord, answer: asyncio.Future[Position]) -> None:
        try:
            position = await self._send(record)
        except Exception as error:  # its caller's to judge
            if not answer.done():
                answer.set_exception(error)
        else:
            if not answer.done():
                answer.set_result(position)
