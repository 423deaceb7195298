"""What limits would have made of the runs that are asked for, and which limits that takes in.

Cooldowns and runs per day and month are those of `shared/domain/runs/admission.py`, in log time, beginning with an empty memory.
How long a run takes is not known in a rehearsal. Where the workflow itself waits, that is a lower bound worth looking at: each
run is then taken to last as long as its waits and no longer, so at least as many would have been held. Pure.
"""

import heapq
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.backtests.core.candidate import Candidate
from services.backtests.core.found import LimitLook
from shared.domain.counting import counted
from shared.domain.records import Problem, SourceEvent
from shared.domain.runs.admission import note_admitted, refusal
from shared.domain.runs.state import Activity, Usage
from shared.domain.workflow import Limits, Match, SharedLimit

Lasts = Callable[[], timedelta]
"""How long the run's own waits take together."""

_EMPTY = "its memory begins empty with the range: what was admitted before it is not counted"
_OWN = "with this workflow's runs alone: those of others that name the tag are not counted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """`held` None: admitted; `queued`: it would have waited for room first."""

    held: Problem | None
    queued: bool = False


class Limiting:
    """The limits of one workflow, one asked run after the other."""

    def __init__(self, candidate: Candidate) -> None:
        self._candidate = candidate
        self._activity = Activity()
        self._shared: dict[str, Activity] = {}
        self._usage = Usage()
        self._room = _Room()
        self._longest = timedelta(0)
        self.held: Counter[str] = Counter()
        self.queued = 0

    def admit(self, match: Match, event: SourceEvent, now: datetime, lasts: Lasts) -> Admission:
        """Whether that run would have been admitted; `now`: the log's time, never going back."""
        shared = [self._shared.setdefault(limit.tag, Activity()) for limit in match.shared]
        held = refusal(match, event, self._activity, shared, self._usage, now)
        bound = _concurrency(match.limits, match.shared)
        queued = False
        if held is None and bound is not None and match.approval is None:
            lasting = lasts()
            self._longest = max(self._longest, lasting)
            taken = self._room.take(now, lasting, bound, match.limits.max_queued)
            queued = taken == "queued"
            if taken == "full":
                detail = f"{counted(bound, 'run is', 'runs are')} still going on and `max_queued` is {match.limits.max_queued}"
                held = Problem(kind="queue_full", detail=f"by the waits of its steps alone, {detail}")
        if held is not None:
            self.held[held.kind] += 1
            return Admission(held=held)
        note_admitted(match, self._activity, shared, self._usage, now)
        self.queued += queued
        return Admission(held=None, queued=queued)

    def looks(self) -> tuple[LimitLook, ...]:
        """Which of the limits that stand against its runs were looked at, and on what ground."""
        return tuple(self._looks())

    def _looks(self) -> Iterator[LimitLook]:
        start = self._candidate.start
        yield LimitLook(limit="max_depth", simulated="yes", why="the events say which runs led to them")
        if start.limits.cooldown_seconds is not None:
            yield LimitLook(limit="cooldown", simulated="yes", why=_EMPTY)
        if start.limits.max_runs_per_day is not None:
            yield LimitLook(limit="max_runs_per_day", simulated="yes", why=_EMPTY)
        if start.limits.max_concurrent is not None:
            yield self._concurrent("max_concurrent")
        if any(each.schedule.overlap != "allow" for each in start.schedules):
            yield self._concurrent("schedule.overlap")
        for each in start.shared:
            for name, bound in _bounds(each.limit).items():
                if bound is None:
                    continue
                limit = f"shared.{each.limit.tag}.{name}"
                if name == "max_concurrent":
                    look = self._concurrent(limit)
                    yield (
                        look
                        if look.simulated == "no"
                        else LimitLook(limit=limit, simulated=look.simulated, why=f"{look.why}; {_OWN}")
                    )
                else:
                    yield LimitLook(limit=limit, simulated="estimated", why=f"{_OWN}; {_EMPTY}")
        if self._candidate.tenant.quotas.runs_per_month is not None:
            why = f"with this workflow's runs alone, though the plan counts all of the tenant's; {_EMPTY}"
            yield LimitLook(limit="plan.runs_per_month", simulated="estimated", why=why)

    def _concurrent(self, limit: str) -> LimitLook:
        if self._candidate.start.approval is not None:
            why = "a run waits for a person first, and how long that takes is not known"
            return LimitLook(limit=limit, simulated="no", why=why)
        if not self._longest:
            why = "how long a run takes is not known before it has run, and none of those looked at waits by itself"
            return LimitLook(limit=limit, simulated="no", why=why)
        seconds = f"{self._longest.total_seconds():,.0f} s"
        why = f"each run is taken to last as long as its own waits, at most {seconds}, and its calls no time: at least as many"
        return LimitLook(limit=limit, simulated="estimated", why=f"{why} would have been held")


class _Room:
    """Runs that last, and a line of those that wait: first come, first served."""

    def __init__(self) -> None:
        self._ends: list[datetime] = []
        self._line: deque[timedelta] = deque()

    def take(self, now: datetime, lasting: timedelta, bound: int, queued_max: int) -> str:
        """`started`, `queued`, or `full`."""
        while self._ends and self._ends[0] <= now:
            ended = heapq.heappop(self._ends)
            if self._line and len(self._ends) < bound:
                heapq.heappush(self._ends, ended + self._line.popleft())
        if not self._line and len(self._ends) < bound:
            heapq.heappush(self._ends, now + lasting)
            return "started"
        if len(self._line) >= queued_max:
            return "full"
        self._line.append(lasting)
        return "queued"


def _concurrency(limits: Limits, shared: tuple[SharedLimit, ...]) -> int | None:
    """The narrowest: with one workflow's runs alone, every scope counts the same."""
    bounds = [limits.max_concurrent, *(each.max_concurrent for each in shared)]
    return min((each for each in bounds if each is not None), default=None)


def _bounds(limit: SharedLimit) -> Mapping[str, int | None]:
    return {
        "cooldown": limit.cooldown_seconds,
        "max_runs_per_day": limit.max_runs_per_day,
        "max_concurrent": limit.max_concurrent,
    }
