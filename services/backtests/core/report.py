"""What a backtest found: a fold of judgements in log order. The same range and definitions give the same report.

Limits are those of `shared/domain/runs/admission.py`, in log time, beginning with an empty memory. Pure.
"""

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from services.backtests.core.candidate import Candidate
from services.backtests.core.judging import Judgement
from services.backtests.core.rehearsal import Previewer, StepRehearsal, rehearse
from shared.domain.envelope import Event
from shared.domain.ids import match_id
from shared.domain.json_text import dump_json
from shared.domain.records import EventMatched, Problem
from shared.domain.runs.admission import note_admitted, refusal
from shared.domain.runs.days import local_day
from shared.domain.runs.state import Activity, Usage
from shared.domain.workflow import Limits, SharedLimit
from shared.workflows.decide import event_data, source_event

DIFFERENCES_SHOWN = 20
"""Events named on each side of a difference; all are counted."""

REPEATS_KNOWN = 250_000
"""Matches back to which a repetition of an event is known as such: about 30 MB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """What was looked at: offsets [from_offset, to_offset) of one partition of `upshot.events`, fixed at the start."""

    since: datetime
    until: datetime
    partition: int
    from_offset: int
    to_offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """`id` None: a draft of a new workflow. `live_revision`: what it is compared with; None: nothing."""

    id: str | None
    name: str
    revision: int
    is_draft: bool
    live_revision: int | None
    live_enabled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """Matches on one calendar day of the workflow's zone (`2026-03-01`)."""

    day: str
    matches: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenEvent:
    """An event of the log, by what it is known by. `recorded_at`: when it was appended."""

    id: str
    type: str
    source: str
    subject: str | None
    recorded_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """Events that only one of the two revisions matches: how many, and the first of them."""

    count: int
    events: tuple[SeenEvent, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The candidate beside the live revision."""

    both: int
    newly_matching: Side
    no_longer_matching: Side


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One match: what would have held it (None: nothing), whether a person would have been asked, and the first steps."""

    event: SeenEvent
    held: Problem | None
    needs_approval: bool
    steps: tuple[StepRehearsal, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """`events`: this tenant's in the range, repetitions and unreadable ones among them. `held`: matches that limits would
    have skipped, by limit. `approvals`: admitted ones that a person would have been asked about."""

    range: Range
    workflow: Tried
    definitions_version: int
    timezone: str
    events: int
    unreadable: int
    repeated: int
    matches: int
    matches_per_day: tuple[Day, ...]
    admitted: int
    approvals: int
    held: Mapping[str, int]
    difference: Difference | None
    samples: tuple[Sample, ...]
    samples_left_out: int
    notes: tuple[str, ...]


class BacktestFold:
    """Takes an event after the other; `report` may be asked at any time."""

    def __init__(
        self,
        candidate: Candidate,
        live: Candidate | None,
        tried: Tried,
        looked_at: Range,
        previewer: Previewer,
        *,
        samples_max: int,
        samples_bytes_max: int,
    ) -> None:
        self._candidate = candidate
        self._live = live
        self._tried = tried
        self._range = looked_at
        self._previewer = previewer
        self._samples_max = samples_max
        self._samples_bytes_left = samples_bytes_max
        self._zone = candidate.start.limits.zone
        self._now = looked_at.since
        self._activity = Activity()
        self._shared: dict[str, Activity] = {}
        self._usage = Usage()
        self._known: set[str] = set()
        self._known_in_order: deque[str] = deque()
        self.events = 0
        """Counted by the caller: most events are not worth a call."""
        self.unreadable = 0
        """As above."""
        self._counts: Counter[str] = Counter()
        self._held: Counter[str] = Counter()
        self._days: Counter[str] = Counter()
        self._newly: list[SeenEvent] = []
        self._no_longer: list[SeenEvent] = []
        self._samples: list[Sample] = []
        self._samples_left_out = 0

    def take(self, judged: Judgement, recorded_at: datetime) -> None:
        """One event that matched something."""
        if self._is_repeated(judged.event):
            self._counts["repeated"] += 1
            return
        self._compare(judged, recorded_at)
        if judged.matched is not None:
            self._match(judged.event, judged.matched, recorded_at)

    def report(self) -> Report:
        """As far as it has come."""
        count = self._counts
        return Report(
            range=self._range,
            workflow=self._tried,
            definitions_version=self._candidate.tenant.version,
            timezone=self._zone,
            events=self.events,
            unreadable=self.unreadable,
            repeated=count["repeated"],
            matches=count["matches"],
            matches_per_day=self._matches_per_day(),
            admitted=count["admitted"],
            approvals=count["approvals"],
            held=dict(sorted(self._held.items())),
            difference=self._difference() if self._tried.live_revision is not None else None,
            samples=tuple(self._samples),
            samples_left_out=self._samples_left_out,
            notes=_notes(self._candidate, self._live),
        )

    def _is_repeated(self, event: Event) -> bool:
        """Appended twice is happened once, as for the fold of runs."""
        key = match_id(event.id, event.replay_id)
        if key in self._known:
            return True
        self._known.add(key)
        self._known_in_order.append(key)
        if len(self._known_in_order) > REPEATS_KNOWN:
            self._known.discard(self._known_in_order.popleft())
        return False

    def _compare(self, judged: Judgement, recorded_at: datetime) -> None:
        if judged.live is None:
            return
        matches = judged.matched is not None
        if matches and judged.live:
            self._counts["both"] += 1
            return
        self._counts["newly" if matches else "no_longer"] += 1
        side = self._newly if matches else self._no_longer
        if len(side) < DIFFERENCES_SHOWN:
            side.append(_seen(judged.event, recorded_at))

    def _match(self, event: Event, matched: EventMatched, recorded_at: datetime) -> None:
        (match,) = matched.matches
        self._now = max(self._now, recorded_at)
        self._counts["matches"] += 1
        self._days[local_day(recorded_at, self._zone)] += 1
        shared = [self._shared.setdefault(limit.tag, Activity()) for limit in match.shared]
        held = refusal(match, matched.event, self._activity, shared, self._usage, self._now)
        if held is not None:
            self._held[held.kind] += 1
        else:
            note_admitted(match, self._activity, shared, self._usage, self._now)
            self._counts["admitted"] += 1
            if match.approval is not None:
                self._counts["approvals"] += 1
        if len(self._samples) < self._samples_max:
            self._show(event, matched, held, recorded_at)

    def _show(self, event: Event, matched: EventMatched, held: Problem | None, recorded_at: datetime) -> None:
        (match,) = matched.matches
        steps = rehearse(
            self._candidate,
            match,
            source_event(event, event_data(event)),
            at=self._now,
            outputs={},
            previewer=self._previewer,
            only_first=True,
        )
        sample = Sample(
            event=_seen(event, recorded_at),
            held=held,
            needs_approval=match.approval is not None,
            steps=tuple(steps),
        )
        size = len(dump_json(sample))
        if size > self._samples_bytes_left:
            self._samples_left_out += 1
            return
        self._samples_bytes_left -= size
        self._samples.append(sample)

    def _matches_per_day(self) -> tuple[Day, ...]:
        """Every day of the range, those without a match too."""
        days = {**dict.fromkeys(_days_between(self._range, self._zone), 0), **self._days}
        return tuple(Day(day=day, matches=days[day]) for day in sorted(days))

    def _difference(self) -> Difference:
        count = self._counts
        return Difference(
            both=count["both"],
            newly_matching=Side(count=count["newly"], events=tuple(self._newly)),
            no_longer_matching=Side(count=count["no_longer"], events=tuple(self._no_longer)),
        )


def _seen(event: Event, recorded_at: datetime) -> SeenEvent:
    return SeenEvent(id=event.id, type=event.type, source=event.source, subject=event.subject, recorded_at=recorded_at)


def _days_between(looked_at: Range, zone: str) -> list[str]:
    day = date.fromisoformat(local_day(looked_at.since, zone))
    last = date.fromisoformat(local_day(looked_at.until, zone))
    days = []
    while day <= last:
        days.append(day.isoformat())
        day += timedelta(days=1)
    return days


def _notes(candidate: Candidate, live: Candidate | None) -> tuple[str, ...]:
    """What the report does not tell, in sentences."""
    limits, shared = candidate.start.limits, candidate.start.shared
    notes = ["requests are shown for the endpoints as they are now"]
    bounds: list[Limits | SharedLimit] = [limits, *(each.limit for each in shared)]
    if candidate.tenant.quotas.runs_per_month is not None or any(
        each.cooldown_seconds is not None or each.max_runs_per_day is not None for each in bounds
    ):
        notes.append("limits begin empty with the range: what was admitted before it is not counted")
    if candidate.start.counts or (live is not None and live.start.counts):
        notes.append("counts begin empty with the range: events before it are not counted")
    if shared or candidate.tenant.quotas.runs_per_month is not None:
        notes.append("runs of other workflows are not counted towards what they share with this one: a tag, the plan")
    if any(each.max_concurrent is not None for each in bounds):
        notes.append("max_concurrent is not looked at: how long each run would have taken is not known")
    if candidate.start.manual:
        notes.append("runs that were asked for by hand are not looked at")
    return tuple(notes)
