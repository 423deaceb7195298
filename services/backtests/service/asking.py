"""From what a request asks for to the job that a backtest is: which revision beside which, over which part of the past."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from services.backtests.service.protocol import Job
from services.backtests.service.subjects import Asked, Subject, Subjects
from services.backtests.settings import BacktestsSettings
from shared.domain.clock import Clock
from shared.domain.definitions import Revision, Workflow
from shared.domain.errors import Flaw, InvalidInput
from shared.workflows.catalogue import Catalogue
from shared.workflows.check import trigger_start
from shared.workflows.document import parse_document, pointer_to
from shared.workflows.triggers import OnAbsence, OnSchedule

SAMPLES = 5
_NOT_YET = "what the clock starts, or what does not follow in time, cannot be backtested so far"


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """`until` None: now. `samples`: matches to show in full; None: a few."""

    since: datetime
    until: datetime | None
    samples: int | None


class Asking:
    """Makes jobs."""

    def __init__(
        self,
        subjects: Subjects,
        catalogue: Catalogue,
        settings: BacktestsSettings,
        clock: Clock,
        partition_of_tenant: Callable[[str], int],
    ) -> None:
        self._subjects = subjects
        self._catalogue = catalogue
        self._settings = settings
        self._clock = clock
        self._partition_of_tenant = partition_of_tenant

    async def job(self, tenant_id: str, asked: Asked, past: Past, author: str) -> Job:
        """Raises InvalidInput with every flaw; HttpProblem 404 for a workflow or revision that is not there."""
        now = self._clock.now()
        flaws = self._flaws(past, now)
        if flaws:
            raise InvalidInput("this part of the past cannot be looked at", flaws)
        subject = await self._subjects.find(tenant_id, asked, author)
        self._refuse_without_events(subject, "#/workflow" if asked.document is not None else "#/workflow_id")
        tenant, settings = subject.candidate.tenant, self._settings
        return Job(
            tenant_id=tenant_id,
            plan=tenant.plan,
            quotas=tenant.quotas,
            definitions_version=tenant.version,
            endpoints=tuple(replace(each, secrets=()) for each in tenant.endpoints.values()),
            candidate=subject.candidate.workflow,
            is_draft=subject.is_draft,
            saved_id=subject.saved.id if subject.saved is not None else None,
            live=_live(subject, self._catalogue),
            partition=self._partition_of_tenant(tenant_id),
            since=past.since,
            until=min(past.until, now) if past.until is not None else now,
            samples_max=past.samples if past.samples is not None else min(SAMPLES, settings.samples_max),
            samples_bytes_max=settings.samples_bytes_max,
            batch_records=settings.batch_records,
            cpu_share_max=settings.cpu_share_max,
            nice=settings.nice,
            progress_interval_seconds=settings.progress_interval_seconds,
        )

    def _flaws(self, past: Past, now: datetime) -> list[Flaw]:
        flaws = []
        until = past.until if past.until is not None else now
        if past.since >= until:
            flaws.append(Flaw(pointer="#/since", detail="it must lie before `until`, and in the past"))
        elif until - past.since > timedelta(days=self._settings.range_days_max):
            detail = f"at most {self._settings.range_days_max} days are looked at (UPSHOT_BACKTESTS_RANGE_DAYS_MAX)"
            flaws.append(Flaw(pointer="#/since", detail=detail))
        if past.samples is not None and past.samples > self._settings.samples_max:
            detail = f"at most {self._settings.samples_max} (UPSHOT_BACKTESTS_SAMPLES_MAX)"
            flaws.append(Flaw(pointer="#/samples", detail=detail))
        return flaws

    def _refuse_without_events(self, subject: Subject, base: str) -> None:
        """What no event starts has no past in the log of events; a request by hand beside another trigger is passed over."""
        start = subject.candidate.start
        flaws = [
            Flaw(pointer=base + place.removeprefix("#"), detail=f"{kind}: {_NOT_YET}; leave this trigger out")
            for place, kind in _without_past(start.revision, self._catalogue)
        ]
        if not flaws and not start.patterns and not start.counts:
            flaws.append(
                Flaw(pointer=base, detail="no event starts this workflow, so the past has nothing to try it on")
            )
        if flaws:
            raise InvalidInput("this workflow cannot be backtested", flaws)


def _live(subject: Subject, catalogue: Catalogue) -> Workflow | None:
    """The newest saved revision, enabled or not. None where that is what is tried, where nothing is saved, or where the past
    does not tell what it would have made of it."""
    saved = subject.saved
    if saved is None or (not subject.is_draft and saved.newest.number == subject.candidate.workflow.newest.number):
        return None
    return replace(saved, revisions=(saved.newest,)) if not _without_past(saved.newest, catalogue) else None


def _without_past(revision: Revision, catalogue: Catalogue) -> list[tuple[str, str]]:
    """Where triggers stand that the log of events cannot answer for, and what they are."""
    document = parse_document(revision.document)
    found = []
    for index, trigger in enumerate(document.triggers):
        if isinstance(trigger_start(trigger, catalogue, zone=document.timezone), OnAbsence | OnSchedule):
            place = pointer_to("trigger", index) if isinstance(document.trigger, tuple) else pointer_to("trigger")
            found.append((place, "+".join(trigger)))
    return found
