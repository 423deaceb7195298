"""What the past comes to, beside what the live revision makes of it: two courses through the same events and instants.

Most events are refused early, by what the patterns demand of a part of them: of three attributes, before anything is parsed
(`may_match`), then of the data too, before there is an event (`may_match_with`). The rest goes through `fields_of`,
`TenantRules.watching` and `decide_among`, which is what `decide` does. Pure.
Next: `course.py` for one revision, `report.py` for what is made of judgements.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import zip_longest
from typing import Literal

from services.backtests.core.candidate import Candidate
from services.backtests.core.course import Asked, Course, Taken
from shared.domain.envelope import Event
from shared.matching import EventFields, Pattern, PatternIndex, TooMuchWork, event_of, narrowed
from shared.workflows.decide import fields_of

ATTRIBUTES = ("type", "source", "subject")
"""What an envelope says in plain text, and patterns mostly ask for."""

_VERDICTS_KEPT = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What one of the two asks for at the instant `at`, or both.

    `event` is what it is about, `recorded_at` when that was appended. `live` None: there is nothing to compare with. `absence`:
    nothing followed the event; the other may have told of the same event long before, or may do so later; `run_id` is then that
    of the run. `is_planned`: a planned instant of the candidate's, whatever it leads to. `error`: why its condition could not be
    evaluated; `left_out`: it would have opened one window more than a tenant may have, or looking into its arrays takes more than
    one event may cost.
    """

    at: datetime
    event: Event
    recorded_at: datetime
    asked: Asked | None
    live: bool | None
    kind: Literal["event", "firing", "absence"] = "event"
    run_id: str = ""
    is_planned: bool = False
    error: str | None = None
    left_out: bool = False


class Judge:
    """Takes the candidate, and the live revision where there is one, through the past."""

    def __init__(self, candidate: Candidate, live: Candidate | None, since: datetime, *, waits_bytes_max: int) -> None:
        """`since`: where the past begins that it is shown."""
        asked = [*_patterns(candidate), *(_patterns(live) if live is not None else ())]
        paths = {path for pattern in asked for path in pattern.paths}
        self.attributes = tuple(name for name in ATTRIBUTES if name in paths)
        """Those that the two looks are handed."""
        in_data = {path for path in paths if path == "data" or path.startswith("data.")}
        self._first_look = _look(asked, self.attributes)
        self._second_look = _look(asked, {*self.attributes, *in_data}) if in_data else None
        self._candidate = Course(candidate, since, waits_bytes_max=waits_bytes_max)
        self._live = Course(live, since, waits_bytes_max=waits_bytes_max) if live is not None else None
        self._courses = (self._candidate,) if self._live is None else (self._candidate, self._live)
        self._verdicts: dict[tuple[bytes | None, ...], bool] = {}
        starts = [each.start for each in (candidate, live) if each is not None]
        self.is_clocked = any(each.schedules or each.absences for each in starts)
        """Whether time alone brings anything (`come_to`)."""

    @property
    def waits_open(self) -> int:
        """The candidate's."""
        return self._candidate.waits_open

    def undecided(self) -> tuple[Collection[str], Collection[str]]:
        """The match ids of the events that the candidate, and that the live revision, waits after; where there are both."""
        return (self._candidate.waits_after(), self._live.waits_after()) if self._live is not None else ((), ())

    def may_match(self, values: tuple[bytes | None, ...]) -> bool:
        """False: an event with these values of `attributes` (in their order, UTF-8; None: absent) matches neither."""
        if self._first_look is None:
            return True
        verdict = self._verdicts.get(values)
        if verdict is None:
            if len(self._verdicts) >= _VERDICTS_KEPT:
                self._verdicts.clear()
            verdict = self._verdicts[values] = _may_match(self._first_look, EventFields(self._seen(values)))
        return verdict

    def may_match_with(self, values: tuple[bytes | None, ...], data: bytes | None) -> bool:
        """The same, asked with the event's data. Raises InvalidInput where that is no JSON."""
        if self._second_look is None:
            return True
        return _may_match(self._second_look, event_of(self._seen(values), data))

    def judge(self, event: Event, recorded_at: datetime) -> Judgement | None:
        """None: nothing to tell. `recorded_at`: its append time, and all that comes before it is told (`come_to`).

        Raises InvalidInput where the event's data is no JSON.
        """
        fields = fields_of(event)
        taken = self._candidate.take(event, fields, recorded_at)
        beside = self._live.take(event, fields, recorded_at) if self._live is not None else None
        return _judgement(taken, beside, event, recorded_at, "event")

    def come_to(self, until: datetime) -> Iterator[Judgement | None]:
        """Whatever the clock brings up to and including `until`, in its order: planned instants, and waits that are over. None:
        something that leads to nothing."""
        while True:
            firing_at = min((each.next_firing for each in self._courses if each.next_firing is not None), default=None)
            due_at = min((each.next_due for each in self._courses if each.next_due is not None), default=None)
            if firing_at is not None and firing_at <= until and (due_at is None or firing_at <= due_at):
                yield from self._fire(firing_at)
            elif due_at is not None and due_at <= until:
                yield self._tell(due_at)
            else:
                return

    def _fire(self, at: datetime) -> Iterator[Judgement | None]:
        """Firings of one instant are beside each other, whatever their schedules are called."""
        nothing: tuple[Event | None, Taken] = (None, Taken(asked=None))
        own, beside = (list(_fired(each, at)) for each in (self._candidate, self._live))
        for (event, taken), (other, there) in zip_longest(own, beside, fillvalue=nothing):
            about = event or other
            if about is not None:
                live = there if self._live is not None else None
                yield _judgement(taken, live, about, at, "firing", is_planned=event is not None)

    def _tell(self, due_at: datetime) -> Judgement | None:
        """One wait that is over."""
        for course in self._courses:
            if course.next_due != due_at:
                continue
            asked = course.tell_due(due_at)
            if asked is None:
                return None
            own = course is self._candidate
            return Judgement(
                at=due_at,
                event=asked.event,
                recorded_at=asked.recorded_at,
                asked=asked if own else None,
                live=None if self._live is None else not own,
                kind="absence",
                run_id=asked.match.run_id,
            )
        return None

    def _seen(self, values: tuple[bytes | None, ...]) -> dict[str, str]:
        return {name: value.decode() for name, value in zip(self.attributes, values, strict=True) if value}


def _fired(course: Course | None, at: datetime) -> Iterator[tuple[Event, Taken]]:
    while course is not None and course.next_firing == at:
        yield course.fire()


def _judgement(
    taken: Taken,
    beside: Taken | None,
    event: Event,
    recorded_at: datetime,
    kind: Literal["event", "firing"],
    *,
    is_planned: bool = False,
) -> Judgement | None:
    live = beside.asked is not None if beside is not None else None
    if taken.asked is None and not live and taken.error is None and not taken.left_out and not is_planned:
        return None
    return Judgement(
        at=recorded_at,
        event=event,
        recorded_at=recorded_at,
        asked=taken.asked,
        live=live,
        kind=kind,
        is_planned=is_planned,
        error=taken.error,
        left_out=taken.left_out,
    )


def _look(patterns: Sequence[Pattern], paths: Collection[str]) -> PatternIndex[None] | None:
    """What all of them together demand of these paths; None: one of them demands nothing."""
    index: PatternIndex[None] = PatternIndex()
    narrow = [narrowed(pattern, paths) for pattern in patterns]
    known = [each for each in narrow if each is not None]
    index.add(None, *known)
    return index if len(known) == len(narrow) else None


def _may_match(look: PatternIndex[None], fields: EventFields) -> bool:
    """Where a look takes too much, whoever decides says what can be said."""
    try:
        return bool(look.candidates(fields))
    except TooMuchWork:
        return True


def _patterns(candidate: Candidate) -> list[Pattern]:
    """All that make the candidate look at an event of the log."""
    start = candidate.start
    absences = [pattern for each in start.absences for pattern in (each.after, each.of)]
    return [*start.patterns, *(count.pattern for count in start.counts), *absences]
