"""What a backtest found: a fold of judgements in log order. The same range and definitions give the same report. Pure.

Next: `found.py`, what it tells; `limiting.py` and `comparing.py`, how it comes to two parts of it.
"""

from collections import Counter, deque
from collections.abc import Collection
from datetime import date, datetime, timedelta

from services.backtests.core.candidate import Candidate
from services.backtests.core.comparing import Comparison
from services.backtests.core.course import Asked
from services.backtests.core.found import (
    ConditionErrors,
    Day,
    FailedCondition,
    Range,
    Report,
    Sample,
    SeenEvent,
    Tried,
)
from services.backtests.core.judging import Judgement
from services.backtests.core.limiting import Admission, Limiting
from services.backtests.core.rehearsal import Previewer, StepRehearsal, ends_at, rehearse
from shared.domain.envelope import Event
from shared.domain.ids import match_id
from shared.domain.json_text import dump_json
from shared.domain.records import Problem
from shared.domain.runs.days import local_day
from shared.workflows.context import event_view
from shared.workflows.decide import event_data, source_event
from shared.workflows.event_secrets import EventSecrets
from shared.workflows.hiding import Hiding

ERRORS_SHOWN = 20
"""Events named on which the condition could not be evaluated; all are counted."""

REPEATS_KNOWN = 250_000
"""Matches back to which a repetition of an event is known as such: about 30 MB."""


class BacktestFold:
    """Takes a judgement after the other; `report` may be asked at any time."""

    def __init__(
        self,
        candidate: Candidate,
        live: Candidate | None,
        tried: Tried,
        looked_at: Range,
        previewer: Previewer,
        hiding: Hiding,
        *,
        samples_max: int,
        samples_bytes_max: int,
    ) -> None:
        """`hiding`: what no reason may quote; steps are shown as they would be sent."""
        self._candidate = candidate
        self._live = live
        self._tried = tried
        self._range = looked_at
        self._previewer = previewer
        self._hiding = hiding
        self._samples_max = samples_max
        self._samples_bytes_left = samples_bytes_max
        self._zone = candidate.start.limits.zone
        self._now = looked_at.since
        self._limiting = Limiting(candidate)
        both = (candidate, live) if live is not None else (candidate,)
        self._comparison = Comparison(later=any(each.start.absences for each in both))
        self._known: set[str] = set()
        self._known_in_order: deque[str] = deque()
        self.events = 0
        """Counted by the caller: most events are not worth a call."""
        self.unreadable = 0
        """As above."""
        self._counts: Counter[str] = Counter()
        self._days: Counter[str] = Counter()
        self._errors: list[FailedCondition] = []
        self._samples: list[Sample] = []

    def take(self, judged: Judgement) -> None:
        """What happened before the range is only remembered."""
        in_range = judged.at >= self._range.since
        if self._is_repeated(judged):
            self._counts["repeated"] += in_range
            return
        self._compare(judged, in_range)
        if not in_range:
            return
        self._counts["firings"] += judged.is_planned
        self._counts["left_out"] += judged.left_out
        if judged.error is not None:
            self._counts["errors"] += 1
            if len(self._errors) < ERRORS_SHOWN:
                self._errors.append(
                    FailedCondition(event=_seen(judged), error=self._shown_error(judged.event, judged.error))
                )
        if judged.asked is not None:
            self._match(judged, judged.asked)

    def report(self, waits_open: int = 0, undecided: tuple[Collection[str], Collection[str]] = ((), ())) -> Report:
        """As far as it has come. `undecided`: as `Judge.undecided` has it."""
        count = self._counts
        compared = self._tried.live_revision is not None
        return Report(
            range=self._range,
            workflow=self._tried,
            definitions_version=self._candidate.tenant.version,
            timezone=self._zone,
            events=self.events,
            firings=count["firings"],
            unreadable=self.unreadable,
            repeated=count["repeated"],
            matches=count["matches"],
            matches_per_day=self._matches_per_day(),
            condition_errors=ConditionErrors(count=count["errors"], events=tuple(self._errors)),
            waits_open=waits_open,
            left_out=count["left_out"],
            admitted=count["admitted"],
            queued=self._limiting.queued,
            approvals=count["approvals"],
            held=dict(sorted(self._limiting.held.items())),
            limits=self._limiting.looks(),
            difference=self._comparison.difference(*undecided) if compared else None,
            samples=tuple(self._samples),
            samples_left_out=count["samples_left_out"],
            notes=_notes(self._candidate, self._live, self._range),
        )

    def _shown_error(self, event: Event, error: str) -> str:
        condition = self._candidate.start.condition
        return self._secrets(event).error(condition, error) if condition is not None else error

    def _shown_problem(self, asked: Asked, problem: Problem) -> Problem:
        return self._secrets(asked.event).problem(problem, self._candidate.start)

    def _secrets(self, event: Event) -> EventSecrets:
        about = source_event(event, event_data(event))
        return EventSecrets(self._hiding, event_view(about, self._candidate.tenant.id))

    def _is_repeated(self, judged: Judgement) -> bool:
        """Appended twice is happened once, and waited after twice is told once, as for the fold of runs."""
        if judged.kind == "absence":
            key = f"{judged.live}:{judged.run_id}"
        elif judged.kind == "event":
            key = match_id(judged.event.id, judged.event.replay_id)
            if judged.asked is None and not judged.live:
                key = f"without a match: {key}"  # the fold remembers what led to something
        else:
            return False
        if key in self._known:
            return True
        self._known.add(key)
        self._known_in_order.append(key)
        if len(self._known_in_order) > REPEATS_KNOWN:
            self._known.discard(self._known_in_order.popleft())
        return False

    def _compare(self, judged: Judgement, in_range: bool) -> None:
        if judged.live is None or not (judged.live or judged.asked is not None):
            return
        key = match_id(judged.event.id, judged.event.replay_id)
        candidate = judged.asked is not None
        self._comparison.note(key, _seen(judged), candidate=candidate, live=judged.live, in_range=in_range)

    def _match(self, judged: Judgement, asked: Asked) -> None:
        self._now = max(self._now, judged.at)
        self._counts["matches"] += 1
        self._days[local_day(judged.at, self._zone)] += 1
        admission = self._limiting.admit(asked.match, asked.about, self._now, lambda: self._lasting(asked))
        if admission.held is None:
            self._counts["admitted"] += 1
            self._counts["approvals"] += asked.match.approval is not None
        if len(self._samples) < self._samples_max:
            self._show(judged, asked, admission)

    def _lasting(self, asked: Asked) -> timedelta:
        return ends_at(self._rehearsed(asked, only_first=False), self._now) - self._now

    def _show(self, judged: Judgement, asked: Asked, admission: Admission) -> None:
        sample = Sample(
            at=judged.at,
            event=_seen(judged),
            held=self._shown_problem(asked, admission.held) if admission.held is not None else None,
            needs_approval=asked.match.approval is not None,
            steps=tuple(self._rehearsed(asked, only_first=True)),
        )
        size = len(dump_json(sample))
        if size > self._samples_bytes_left:
            self._counts["samples_left_out"] += 1
            return
        self._samples_bytes_left -= size
        self._samples.append(sample)

    def _rehearsed(self, asked: Asked, *, only_first: bool) -> list[StepRehearsal]:
        return rehearse(
            self._candidate,
            asked.match,
            source_event(asked.event, event_data(asked.event)),
            at=self._now,
            outputs={},
            previewer=self._previewer,
            only_first=only_first,
        )

    def _matches_per_day(self) -> tuple[Day, ...]:
        """Every day of the range, those without a match too."""
        days = {**dict.fromkeys(_days_between(self._range, self._zone), 0), **self._days}
        return tuple(Day(day=day, matches=days[day]) for day in sorted(days))


def _seen(judged: Judgement) -> SeenEvent:
    event = judged.event
    return SeenEvent(
        id=event.id, type=event.type, source=event.source, subject=event.subject, recorded_at=judged.recorded_at
    )


def _days_between(looked_at: Range, zone: str) -> list[str]:
    day = date.fromisoformat(local_day(looked_at.since, zone))
    last = date.fromisoformat(local_day(looked_at.until, zone))
    days = []
    while day <= last:
        days.append(day.isoformat())
        day += timedelta(days=1)
    return days


def _notes(candidate: Candidate, live: Candidate | None, looked_at: Range) -> tuple[str, ...]:
    """What the report does not tell, in sentences."""
    both = (candidate, live) if live is not None else (candidate,)
    notes = ["requests are shown for the endpoints as they are now"]
    if looked_at.warmed is not None:
        since = _said(looked_at.warmed.since)
        notes.append(f"counts and waits are those of a workflow that was enabled at {since}, read from there on")
    if any(each.start.schedules for each in both):
        notes.append("planned instants are computed: none was missed, none came late")
    if candidate.start.manual:
        notes.append("runs that were asked for by hand are not looked at")
    return tuple(notes)


def _said(instant: datetime) -> str:
    return instant.isoformat().replace("+00:00", "Z")
