"""What a backtest found, as it is told: plain values.

Next: `report.py`, which makes them from judgements.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from services.backtests.core.rehearsal import StepRehearsal
from shared.domain.records import Problem

Simulated = Literal["yes", "estimated", "no"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Warmed:
    """What was read before the range, so that counts and waits that began there are known: from offset `from_offset`, events
    that were appended from `since` on. The report is that of a workflow which was enabled then."""

    since: datetime
    from_offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """What was looked at: offsets [from_offset, to_offset) of one partition of `upshot.events`, fixed at the start; of the clock
    the instants [since, until). `warmed` None: neither revision remembers anything between events."""

    since: datetime
    until: datetime
    partition: int
    from_offset: int
    to_offset: int
    warmed: Warmed | None = None

    @property
    def first_offset(self) -> int:
        """Where reading begins."""
        return self.warmed.from_offset if self.warmed is not None else self.from_offset


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """`id` None: a draft of a new workflow. `live_revision`: what it is compared with; None: nothing, and `not_compared` says
    why."""

    id: str | None
    name: str
    revision: int
    is_draft: bool
    live_revision: int | None
    live_enabled: bool
    not_compared: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """Matches on one calendar day of the workflow's zone (`2026-03-01`)."""

    day: str
    matches: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenEvent:
    """An event of the log, by what it is known by. `recorded_at`: when it was appended. A schedule's planned instant is the event
    that it would have been, recorded then."""

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
    """The candidate beside the live revision, by the event that a match is about; by the planned instant where it is a
    schedule's. `undecided`: events that one of them matched, while the other still waited at the end of the range."""

    both: int
    newly_matching: Side
    no_longer_matching: Side
    undecided: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One match: when its run would have been asked for (`at`), what would have held it (None: nothing), whether a person would
    have been asked, and the first steps."""

    at: datetime
    event: SeenEvent
    held: Problem | None
    needs_approval: bool
    steps: tuple[StepRehearsal, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedCondition:
    """An event on which the workflow's condition could not be evaluated, and why not."""

    event: SeenEvent
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionErrors:
    """Events on which the condition could not be evaluated, which counts as false: how many, and the first of them."""

    count: int
    events: tuple[FailedCondition, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitLook:
    """One limit that stands against the workflow's runs, whether `held` counts it, and on what ground.

    `limit`: its name in the document (`max_runs_per_day`; `shared.<tag>.…`), `schedule.overlap` or `plan.runs_per_month`.
    """

    limit: str
    simulated: Simulated
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """`events`: this tenant's in the range, repetitions and unreadable ones among them. `firings`: planned instants in it.

    `held`: matches that limits would have skipped, by limit; `queued`: admitted ones that would have waited for room. `limits`:
    which limits that takes in. `approvals`: admitted ones that a person would have been asked about. `waits_open`: events of
    which it is not certain by the end whether something follows. `left_out`: events that would have opened one window more than
    a tenant may have, or whose arrays take more to be looked at than one event may cost.
    """

    range: Range
    workflow: Tried
    definitions_version: int
    timezone: str
    events: int
    firings: int
    unreadable: int
    repeated: int
    matches: int
    matches_per_day: tuple[Day, ...]
    condition_errors: ConditionErrors
    waits_open: int
    left_out: int
    admitted: int
    queued: int
    approvals: int
    held: Mapping[str, int]
    limits: tuple[LimitLook, ...]
    difference: Difference | None
    samples: tuple[Sample, ...]
    samples_left_out: int
    notes: tuple[str, ...]
