"""A workflow tried on one event, or on its own next firings. It is handed a way to look an event up and the actions' previews,
and nothing that appends or sends.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from services.backtests.core.firings import next_firings
from services.backtests.core.given_event import given_event
from services.backtests.core.rehearsal import Previewer
from services.backtests.core.trial import Trial, decided_on, try_event
from services.backtests.service.subjects import Asked, Subject, Subjects
from shared.domain.clock import Clock
from shared.domain.envelope import Event
from shared.domain.errors import Flaw, InvalidInput
from shared.runtime.http import HttpProblem
from shared.workflows.catalogue import Catalogue
from shared.workflows.document import pointer_to
from shared.workflows.hiding import Hiding

FindEvent = Callable[[str, str], Awaitable[Event | None]]
"""(tenant id, event id) -> the event as it lies in the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class On:
    """What a request names to try it on: an event, one that happened, or so many firings later than `at` (None: now).
    `data`: the text of the event's data, as it was sent."""

    event: Mapping[str, object] | None = None
    data: bytes | None = None
    event_id: str | None = None
    firings: int | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What it was tried on, with what came of it; at least one."""

    subject: Subject
    trials: tuple[tuple[Event, Trial], ...]


class Trials:
    """`POST /api/v1/workflows/test`."""

    def __init__(
        self,
        subjects: Subjects,
        find_event: FindEvent,
        catalogue: Catalogue,
        previewer: Previewer,
        hiding: Hiding,
        clock: Clock,
    ) -> None:
        self._subjects = subjects
        self._catalogue = catalogue
        self._hiding = hiding
        self._find_event = find_event
        self._previewer = previewer
        self._clock = clock

    async def run(self, tenant_id: str, asked: Asked, on: On, *, outputs: Mapping[str, object], author: str) -> Tried:
        """Raises InvalidInput with every flaw, HttpProblem 404 for a workflow, revision or event that is not there."""
        subject = await self._subjects.find(tenant_id, asked, author)
        known = subject.candidate.steps
        detail = f"there is no such step; there are: {', '.join(known)}"
        unknown = [Flaw(pointer=pointer_to("steps", each), detail=detail) for each in outputs if each not in known]
        if unknown:
            raise InvalidInput("outputs are assumed of steps that are not there", unknown)
        now = self._clock.now()
        events = await self._events(tenant_id, subject, on, now)
        trials: list[tuple[Event, Trial]] = []
        for event in events:
            if trials:
                await asyncio.sleep(0)  # others have their turn between two firings
            at = event.time if on.firings is not None and event.time is not None else now
            decided = decided_on(subject.candidate, event, at)
            await asyncio.sleep(0)  # and between the decision and its reasons
            trial = try_event(
                subject.candidate,
                self._catalogue,
                event,
                decided,
                at=at,
                outputs=outputs,
                previewer=self._previewer,
                hiding=self._hiding,
            )
            trials.append((event, trial))
        return Tried(subject=subject, trials=tuple(trials))

    async def _events(self, tenant_id: str, subject: Subject, on: On, now: datetime) -> Sequence[Event]:
        """At least one."""
        if sum(each is not None for each in (on.event, on.event_id, on.firings)) != 1:
            detail = (
                "name one of event (a CloudEvent in JSON), event_id (one that happened), firings (how many of its own)"
            )
            raise InvalidInput("say what it is to be tried on", [Flaw(pointer="#", detail=detail)])
        if on.at is not None and on.firings is None:
            raise InvalidInput(
                "an event has its own time", [Flaw(pointer="#/at", detail="it goes with firings; leave it out")]
            )
        if on.firings is not None:
            return _firings(subject, on.at or now, on.firings)
        if on.event is not None:
            return [given_event(on.event, on.data, tenant_id, now)]
        found = await self._find_event(tenant_id, str(on.event_id))
        if found is None:
            raise HttpProblem(404, "unknown-event", f"there is no event {on.event_id!r}")
        return [found]


def _firings(subject: Subject, after: datetime, count: int) -> Sequence[Event]:
    try:
        found = next_firings(subject.candidate, after.astimezone(UTC), count)
    except OverflowError:  # at the very ends of the calendar
        found = []
    if not found:
        detail = f"nothing is planned after {after.isoformat()}"
        if not subject.candidate.start.schedules:
            detail = "it has no schedule; name an event, or give it one"
        raise InvalidInput("there is no firing to try it on", [Flaw(pointer="#/firings", detail=detail)])
    return found
