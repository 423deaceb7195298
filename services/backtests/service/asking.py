"""From what a request asks for to the job that a backtest is: which revision beside which, over which part of the past."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from services.backtests.core.candidate import Candidate
from services.backtests.service.protocol import Job
from services.backtests.service.subjects import Asked, Subject, Subjects
from services.backtests.settings import BacktestsSettings
from shared.domain.clock import Clock
from shared.domain.definitions import Tenant, Workflow
from shared.domain.errors import Flaw, InvalidInput
from shared.workflows.hiding import SECRET_NAMES

SAMPLES = 5
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)


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
        settings: BacktestsSettings,
        clock: Clock,
        partition_of_tenant: Callable[[str], int],
        hidden_names: tuple[str, ...],
    ) -> None:
        self._subjects = subjects
        self._settings = settings
        self._clock = clock
        self._partition_of_tenant = partition_of_tenant
        self._hidden_names = hidden_names

    async def job(self, tenant_id: str, asked: Asked, past: Past, author: str) -> Job:
        """Raises InvalidInput with every flaw; HttpProblem 404 for a workflow or revision that is not there."""
        now = self._clock.now()
        flaws = self._flaws(past, now)
        if flaws:
            raise InvalidInput("this part of the past cannot be looked at", flaws)
        subject = await self._subjects.find(tenant_id, asked, author)
        _refuse_without_past(subject.candidate, "#/workflow" if asked.document is not None else "#/workflow_id")
        return job_of(
            subject.candidate.tenant,
            subject.candidate.workflow,
            _live(subject),
            self._settings,
            partition=self._partition_of_tenant(tenant_id),
            since=past.since,
            until=min(past.until, now) if past.until is not None else now,
            samples=past.samples,
            is_draft=subject.is_draft,
            saved_id=subject.saved.id if subject.saved is not None else None,
            hidden_names=self._hidden_names,
        )

    def _flaws(self, past: Past, now: datetime) -> list[Flaw]:
        flaws = []
        until = past.until if past.until is not None else now
        if past.since < _EARLIEST:
            flaws.append(Flaw(pointer="#/since", detail=f"no log reaches back before {_EARLIEST.year}"))
        elif past.since >= until:
            flaws.append(Flaw(pointer="#/since", detail="it must lie before `until`, and in the past"))
        elif until - past.since > timedelta(days=self._settings.range_days_max):
            detail = f"at most {self._settings.range_days_max} days are looked at (UPSHOT_BACKTESTS_RANGE_DAYS_MAX)"
            flaws.append(Flaw(pointer="#/since", detail=detail))
        if past.samples is not None and past.samples > self._settings.samples_max:
            detail = f"at most {self._settings.samples_max} (UPSHOT_BACKTESTS_SAMPLES_MAX)"
            flaws.append(Flaw(pointer="#/samples", detail=detail))
        return flaws


def job_of(
    tenant: Tenant,
    candidate: Workflow,
    live: Workflow | None,
    settings: BacktestsSettings,
    *,
    partition: int,
    since: datetime,
    until: datetime,
    samples: int | None,
    is_draft: bool,
    saved_id: str | None,
    hidden_names: tuple[str, ...] = SECRET_NAMES,
) -> Job:
    """The one revision that each of the two workflows holds, over the instants [since, until) of that partition."""
    return Job(
        tenant_id=tenant.id,
        plan=tenant.plan,
        quotas=tenant.quotas,
        definitions_version=tenant.version,
        endpoints=tuple(replace(each, secrets=()) for each in tenant.endpoints.values()),
        candidate=candidate,
        is_draft=is_draft,
        saved_id=saved_id,
        live=live,
        partition=partition,
        since=since,
        until=until,
        samples_max=samples if samples is not None else min(SAMPLES, settings.samples_max),
        samples_bytes_max=settings.samples_bytes_max,
        waits_bytes_max=settings.waits_bytes_max,
        batch_records=settings.batch_records,
        cpu_share_max=settings.cpu_share_max,
        nice=settings.nice,
        progress_interval_seconds=settings.progress_interval_seconds,
        hidden_names=hidden_names,
    )


def _refuse_without_past(candidate: Candidate, pointer: str) -> None:
    """What only a person starts has no past; a request by hand beside another trigger is passed over."""
    start = candidate.start
    if not (start.patterns or start.counts or start.absences or start.schedules):
        detail = "only people start this workflow, so the past has nothing to try it on; add a trigger, or test it on an event"
        raise InvalidInput("this workflow cannot be backtested", [Flaw(pointer=pointer, detail=detail)])


def _live(subject: Subject) -> Workflow | None:
    """The newest saved revision, enabled or not. None where that is what is tried, or where nothing is saved."""
    saved = subject.saved
    if saved is None or (not subject.is_draft and saved.newest.number == subject.candidate.workflow.newest.number):
        return None
    return replace(saved, revisions=(saved.newest,))
