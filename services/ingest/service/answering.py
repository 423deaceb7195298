"""Callers of a hook that wait for the run: how many may, how long, and what they are answered.

Guarantee: a caller has its place before anything is appended, so that nobody is turned away whose event is taken; one tenant's
callers leave room for the others', and who has hung up for everybody. What is answered late is answered 202: the run goes on,
and the answer says where.
Next: `services/run_ends.py`, which knows when a run has ended.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, Protocol, assert_never

from services.ingest.settings import IngestSettings
from shared.bus.port import Position
from shared.domain.envelope import Event
from shared.domain.errors import InvalidInput, UpshotError
from shared.domain.hooks import HookAnswer
from shared.domain.runs.state import RunStatus
from shared.expressions import TemplateError, compile_template
from shared.workflows.check import STEP_ROOTS

RETRY_AFTER_SECONDS = 1
LOOK_SECONDS = 1.0
"""So often each caller's connection is looked at: aiohttp tells of its loss only by cancelling, which no command may suffer."""


class TooManyWait(UpshotError):
    """Nothing was taken: no more callers may wait just now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnd:
    """What became of the run that an event asks for, as far as it was waited for.

    `status` None: there is no run, `matched` says whether that is certain: the workflow's condition, say, did not hold.
    `context`: what templates see, of a run that succeeded.
    """

    run_id: str
    status: RunStatus | None
    matched: bool = False
    reason: str | None = None
    context: Mapping[str, object] | None = None


class RunEnds(Protocol):
    """`services.run_ends.RunEndings`."""

    async def end_of(self, event: Event, position: Position, workflow_id: str, seconds: float) -> RunEnd:
        """Once the run has ended, or waits for an approval, or is known never to be; at the latest after `seconds`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """The run's own answer. `text`: the body is a text and no JSON."""

    run_id: str
    status: int
    body: object
    text: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NotYet:
    """The event is taken; `why` there is no answer of the run. `run_id` None: there is no run."""

    run_id: str | None
    why: str
    state: Literal["open", "pending_approval", "not_started"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFailed:
    """The run ended without what the answer should hold. `refused`: it never began, by a limit of the workflow's own."""

    run_id: str
    status: str
    why: str
    refused: bool = False


Outcome = Answered | NotYet | RunFailed


class Answering:
    """One a process."""

    def __init__(self, ends: RunEnds, settings: IngestSettings) -> None:
        self._ends = ends
        self._settings = settings
        self._waiting: Counter[str] = Counter()

    @contextmanager
    def place(self, tenant_id: str) -> Iterator[None]:
        """A place for one caller. Raises TooManyWait."""
        free = self._settings.waiting_callers_max - self._waiting.total()
        if free <= 0:
            raise TooManyWait("as many callers wait for their runs as may; nothing was taken, send it again")
        # Never more than it leaves free, so that there is a place for a tenant that has none.
        if self._waiting[tenant_id] >= min(free, self._settings.tenant_waiting_callers_max):
            raise TooManyWait(
                "as many callers of this tenant wait for their runs as may; nothing was taken, send it again"
            )
        self._waiting[tenant_id] += 1
        try:
            yield
        finally:
            self._waiting[tenant_id] -= 1
            if not self._waiting[tenant_id]:
                del self._waiting[tenant_id]

    async def outcome(
        self, event: Event, position: Position, workflow_id: str, answer: HookAnswer, *, connected: Callable[[], bool]
    ) -> Outcome:
        """What to say to the caller; once nobody is `connected` any more, that. Raises TransientError where nobody can
        tell just now."""
        end = asyncio.ensure_future(self._ends.end_of(event, position, workflow_id, answer.wait_seconds))
        try:
            while connected():
                done, _ = await asyncio.wait([end], timeout=LOOK_SECONDS)
                if done:
                    return outcome_of(end.result(), answer)
            return NotYet(run_id=None, why="the caller has hung up; the run goes on", state="open")
        finally:
            end.cancel()
            await asyncio.gather(end, return_exceptions=True)


def outcome_of(end: RunEnd, answer: HookAnswer) -> Outcome:
    """Pure."""
    match end.status:
        case None:
            if end.matched:
                return NotYet(
                    run_id=None, why="no run was started: the workflow's condition did not hold", state="not_started"
                )
            return NotYet(run_id=end.run_id, why="the run has not begun in time; it may still", state="open")
        case "queued" | "running":
            return NotYet(run_id=end.run_id, why="the run has not ended in time; it goes on", state="open")
        case "pending_approval":
            return NotYet(run_id=end.run_id, why="the run waits for an approval", state="pending_approval")
        case "succeeded":
            return _rendered(end, answer)
        case "failed" | "cancelled" | "denied" | "expired":
            return RunFailed(run_id=end.run_id, status=end.status, why=end.reason or f"the run ended as {end.status}")
        case "skipped":
            why = end.reason or "a limit of the workflow left it out"
            return RunFailed(run_id=end.run_id, status=end.status, why=why, refused=True)
        case _:
            assert_never(end.status)


def _rendered(end: RunEnd, answer: HookAnswer) -> Outcome:
    if answer.body is None:
        return Answered(run_id=end.run_id, status=answer.status, body={"run_id": end.run_id, "status": "succeeded"})
    try:
        body = compile_template(answer.body, roots=STEP_ROOTS).render(end.context or {})
    except (TemplateError, InvalidInput) as error:
        why = f"it succeeded, but its answer cannot be written: {error}"
        return RunFailed(run_id=end.run_id, status="succeeded", why=why)
    return Answered(run_id=end.run_id, status=answer.status, body=body, text=isinstance(body, str))
