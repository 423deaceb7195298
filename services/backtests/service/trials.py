"""A workflow tried on one event. It is handed a way to look an event up and the actions' previews, and nothing that appends
or sends."""

from collections.abc import Awaitable, Callable, Mapping

from services.backtests.core.given_event import given_event
from services.backtests.core.rehearsal import Previewer
from services.backtests.core.trial import Trial, try_event
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

    async def run(
        self,
        tenant_id: str,
        asked: Asked,
        *,
        event: Mapping[str, object] | None,
        event_id: str | None,
        outputs: Mapping[str, object],
        author: str,
    ) -> tuple[Subject, Event, Trial]:
        """Raises InvalidInput with every flaw, HttpProblem 404 for a workflow, revision or event that is not there."""
        subject = await self._subjects.find(tenant_id, asked, author)
        known = subject.candidate.steps
        detail = f"there is no such step; there are: {', '.join(known)}"
        unknown = [Flaw(pointer=pointer_to("steps", each), detail=detail) for each in outputs if each not in known]
        if unknown:
            raise InvalidInput("outputs are assumed of steps that are not there", unknown)
        tried = await self._event(tenant_id, event, event_id)
        trial = try_event(
            subject.candidate,
            self._catalogue,
            tried,
            at=self._clock.now(),
            outputs=outputs,
            previewer=self._previewer,
            hiding=self._hiding,
        )
        return subject, tried, trial

    async def _event(self, tenant_id: str, given: Mapping[str, object] | None, event_id: str | None) -> Event:
        if (given is None) == (event_id is None):
            flaw = Flaw(pointer="#", detail="name either event (a CloudEvent in JSON) or event_id (one that happened)")
            raise InvalidInput("say which event it is to be tried on", [flaw])
        if given is not None:
            return given_event(given, tenant_id, self._clock.now())
        found = await self._find_event(tenant_id, str(event_id))
        if found is None:
            raise HttpProblem(404, "unknown-event", f"there is no event {event_id!r}")
        return found
