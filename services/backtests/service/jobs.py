"""Backtests of all tenants, in memory: started within bounds, followed, cancelled, kept for a while once they have ended.

A backtest is no fact: after a restart none is known, and whoever asks is told so.
Next: `processes.py`, where they run.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from services.backtests.core.found import Range, Report
from services.backtests.service.processes import Runner
from services.backtests.service.protocol import Began, Ended, Failed, Job, Message, Progressed
from services.backtests.settings import BacktestsSettings
from shared.domain.clock import Clock, Randomness
from shared.runtime.http import HttpProblem

log = logging.getLogger(__name__)

Status = Literal["running", "succeeded", "failed", "cancelled"]


@dataclass(slots=True, kw_only=True)
class Backtest:
    """One. `range` None: it has not been found yet. `report`: what was found so far; whole once `status` is succeeded.

    `offset`: up to where the range has been read. `changed` is set, and replaced by a new one, with every change.
    """

    id: str
    tenant_id: str
    asked_at: datetime
    status: Status = "running"
    began_at_monotonic: float = 0.0
    told_at_monotonic: float = 0.0
    ended_at: datetime | None = None
    range: Range | None = None
    offset: int = 0
    report: Report | None = None
    cpu_seconds: float | None = None
    problem: str | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def ended(self) -> bool:
        return self.status != "running"


class Backtests:
    """Every method names the tenant; another tenant's backtest is not there."""

    def __init__(self, runner: Runner, settings: BacktestsSettings, clock: Clock, randomness: Randomness) -> None:
        self._runner = runner
        self._settings = settings
        self._clock = clock
        self._randomness = randomness
        self._known: dict[str, Backtest] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def start(self, tenant_id: str, job: Job) -> Backtest:
        """Raises HttpProblem 429 where as many run as may."""
        running = [each for each in self._known.values() if not each.ended]
        own = [each for each in running if each.tenant_id == tenant_id]
        if len(own) >= self._settings.running_per_tenant_max:
            detail = (
                f"backtest {own[0].id} of yours is running; wait for it, or POST /api/v1/backtests/{own[0].id}/cancel"
            )
            raise HttpProblem(429, "too-many-backtests", detail, headers={"Retry-After": "10"})
        if len(running) >= self._settings.running_max:
            detail = f"{len(running)} backtests are running, which are as many as may; try again in a while"
            raise HttpProblem(429, "too-many-backtests", detail, headers={"Retry-After": "10"})
        backtest = Backtest(
            id=self._randomness.token_bytes(16).hex(),
            tenant_id=tenant_id,
            asked_at=self._clock.now(),
            began_at_monotonic=self._clock.monotonic(),
            told_at_monotonic=self._clock.monotonic(),
        )
        self._known[backtest.id] = backtest
        task = asyncio.create_task(self._follow(backtest, job), name=f"backtest-{backtest.id}")
        self._tasks[backtest.id] = task
        task.add_done_callback(lambda done: self._done(backtest, done))
        return backtest

    def get(self, tenant_id: str, backtest_id: str) -> Backtest:
        """Raises HttpProblem 404."""
        found = self._known.get(backtest_id)
        if found is None or found.tenant_id != tenant_id:
            detail = (
                f"there is no backtest {backtest_id!r}; they are kept in memory only, so a restart forgets them, and of "
                f"those that have ended the newest {self._settings.kept_per_tenant_max} are kept: start it again"
            )
            raise HttpProblem(404, "unknown-backtest", detail)
        return found

    async def cancel(self, tenant_id: str, backtest_id: str) -> Backtest:
        """Its process is gone when this returns. One that has ended stays as it is. Raises HttpProblem 404."""
        backtest = self.get(tenant_id, backtest_id)
        task = self._tasks.get(backtest_id)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        return backtest

    async def changes(self, backtest: Backtest, *, timeout_seconds: float) -> AsyncIterator[bool]:
        """True now and after each change, until it has ended; False where nothing changed for that long."""
        while True:
            changed = backtest.changed
            yield True
            if backtest.ended:
                return
            while True:
                try:
                    async with asyncio.timeout(timeout_seconds):
                        await changed.wait()
                    break
                except TimeoutError:
                    yield False

    async def close(self) -> None:
        """End all that run; whoever follows one is told."""
        for backtest_id in list(self._tasks):
            backtest = self._known[backtest_id]
            await self.cancel(backtest.tenant_id, backtest_id)

    async def _follow(self, backtest: Backtest, job: Job) -> None:
        messages = self._runner.run(job)
        try:
            async with asyncio.timeout(self._settings.seconds_max):
                async for message in messages:
                    self._take(backtest, message)
        except TimeoutError:
            self._fail(
                backtest,
                f"not through after {self._settings.seconds_max:g} s (UPSHOT_BACKTESTS_SECONDS_MAX); take a shorter range",
            )
        except OSError as trouble:
            self._fail(backtest, f"its process could not be started: {trouble.strerror or trouble}")
        finally:
            await messages.aclose()

    def _done(self, backtest: Backtest, task: asyncio.Task[None]) -> None:
        del self._tasks[backtest.id]
        if task.cancelled():
            self._end(backtest, "cancelled")
        elif (trouble := task.exception()) is not None:
            log.error("backtest %s cannot be followed", backtest.id, exc_info=trouble)
            self._fail(backtest, "something unexpected went wrong; the operator finds it in the log under this id")

    def _take(self, backtest: Backtest, message: Message) -> None:
        backtest.told_at_monotonic = self._clock.monotonic()
        match message:
            case Began():
                backtest.range, backtest.offset = message.range, message.range.first_offset
            case Progressed():
                backtest.offset, backtest.report = message.offset, message.report
            case Ended():
                backtest.offset, backtest.report = message.report.range.to_offset, message.report
                backtest.cpu_seconds = message.cpu_seconds
                self._end(backtest, "succeeded")
            case Failed():
                self._fail(backtest, message.detail)
        _say_changed(backtest)

    def _fail(self, backtest: Backtest, detail: str) -> None:
        log.warning("backtest %s failed: %s", backtest.id, detail)
        backtest.problem = detail
        self._end(backtest, "failed")

    def _end(self, backtest: Backtest, status: Status) -> None:
        if backtest.ended:
            return
        backtest.status, backtest.ended_at = status, self._clock.now()
        _say_changed(backtest)
        ended = [each for each in self._known.values() if each.ended]
        own = [each for each in ended if each.tenant_id == backtest.tenant_id]
        for each in own[: max(0, len(own) - self._settings.kept_per_tenant_max)]:
            del self._known[each.id]
            ended.remove(each)
        for each in ended[: max(0, len(ended) - self._settings.kept_max)]:
            del self._known[each.id]


def _say_changed(backtest: Backtest) -> None:
    told, backtest.changed = backtest.changed, asyncio.Event()
    told.set()
