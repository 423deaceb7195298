"""The fold against a model that knows nothing but the whole past: every limit at once, every verdict and its reason.

The model keeps all that was ever admitted and asks all of it each time; the fold keeps counts, lines and parking places.
And where a fold is restored in between, from what was written of it, it says the same as the one that never stopped.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.domain.runs.fold import Questions
from shared.domain.runs.state import Run
from shared.domain.workflow import Match, SharedLimit
from shared.testing.examples import examples
from shared.testing.folds import START, ProjectedRuns, RunsScenario, apply_all, dump_run
from shared.testing.limited_runs import Asked, Ended, Granted, limited_history

RECORDS = 160


@dataclass(slots=True)
class Modelled:
    """A run as the model knows it."""

    match: Match
    at: datetime
    status: str
    reason: str | None = None
    place: int = 0
    """In line, while it is queued."""


@dataclass(slots=True)
class Model:
    """Every limit by its definition, over the whole past."""

    now: datetime = START
    runs: dict[str, Modelled] = field(default_factory=dict)
    places: int = 0

    def happens(self, asked: Asked) -> None:
        stopped = False
        for run_id, wanted in asked.runs:
            if stopped:
                self.runs[run_id] = Modelled(wanted, self.now, "skipped", "stopped")
                continue
            self.asks(run_id, wanted, asked.chain)
            stopped = wanted.stop_on_match and self.runs[run_id].status != "skipped"

    def asks(self, run_id: str, wanted: Match, chain: tuple[str, ...]) -> None:
        reason = self._refusal(wanted, chain)
        status = "skipped" if reason else "pending_approval" if wanted.approval is not None else self._begins(wanted)
        self.places += 1
        self.runs[run_id] = Modelled(wanted, self.now, status, reason, self.places)

    def granted(self, run_id: str) -> None:
        """It joins the end of its line then, whenever it was asked for."""
        self.places += 1
        run = self.runs[run_id]
        run.status, run.place = self._begins(run.match), self.places

    def _begins(self, wanted: Match) -> str:
        return "running" if self._may_start(wanted) else "queued"

    def ends(self, run_id: str, status: str) -> None:
        self.runs[run_id].status = status
        while (following := self._next_startable()) is not None:
            self.runs[following].status = "running"

    def _refusal(self, wanted: Match, chain: tuple[str, ...]) -> str | None:
        own = wanted.limits
        mine = self._admitted(lambda it: it.workflow_id == wanted.workflow_id)
        if wanted.workflow_id in chain and not own.reentrant:
            return "loop"
        if len(chain) >= own.max_depth:
            return "depth"
        if own.cooldown_seconds is not None:
            cooled = [each for each in mine if each.match.limits.cooldown_seconds is not None]
            keys = [each.at for each in cooled if each.match.cooldown_key == wanted.cooldown_key]
            if keys and self.now - max(keys) < timedelta(seconds=own.cooldown_seconds):
                return "cooldown"
        if own.max_runs_per_day is not None and self._own_today(mine, own.zone) >= own.max_runs_per_day:
            return "runs_per_day"
        everything = self._admitted(lambda it: True)
        this_month = [each for each in everything if (each.at.year, each.at.month) == (self.now.year, self.now.month)]
        if wanted.quota is not None and len(this_month) >= wanted.quota.runs:
            return "plan_runs_per_month"
        for limit in wanted.shared:
            found = self._shared_refusal(limit, own.zone)
            if found is not None:
                return found
        return "queue_full" if self._is_full(wanted) else None

    def _is_full(self, wanted: Match) -> bool:
        going_on = [each for each in self.runs.values() if each.match.workflow_id == wanted.workflow_id]
        pending = [each for each in going_on if each.status == "pending_approval"] if wanted.bounds_pending else []
        if len(self._line(wanted)) + len(pending) < wanted.limits.max_queued:
            return False
        if wanted.approval is None:
            return bool(pending) or not self._may_start(wanted)
        if not wanted.bounds_pending:
            return False
        return any(each.status in ("running", "queued", "pending_approval") for each in going_on)

    def _shared_refusal(self, limit: SharedLimit, zone: str) -> str | None:
        of_tag = self._admitted(lambda it: any(each.tag == limit.tag for each in it.shared))
        if limit.cooldown_seconds is not None:
            remembered = self._remembered(limit.tag, of_tag)
            last = remembered.get(limit.cooldown_key)
            if last is not None and self.now - last < timedelta(seconds=limit.cooldown_seconds):
                return "shared_cooldown"
        if limit.max_runs_per_day is not None and self._today(of_tag, zone) >= limit.max_runs_per_day:
            return "shared_runs_per_day"
        return None

    def _remembered(self, tag: str, of_tag: list[Modelled]) -> dict[str | None, datetime]:
        """Keys are remembered for as long as the longest cooldown so far asks for."""
        keys: dict[str | None, datetime] = {}
        longest = 0
        for each in of_tag:
            (limit,) = (it for it in each.match.shared if it.tag == tag)
            if limit.cooldown_seconds is None:
                continue
            longest = max(longest, limit.cooldown_seconds)
            keys[limit.cooldown_key] = each.at
            over = each.at - timedelta(seconds=longest)
            keys = {key: at for key, at in keys.items() if at > over}
        return keys

    def _today(self, admitted: list[Modelled], zone: str) -> int:
        """Of a tag: since the midnight of whoever asks."""
        tz = ZoneInfo(zone)
        today = self.now.astimezone(tz).date()
        return sum(1 for each in admitted if each.at.astimezone(tz).date() == today)

    def _own_today(self, admitted: list[Modelled], zone: str) -> int:
        """Of a workflow: each run counts on the day of the zone that it named; where that day changes, counting begins anew."""
        day, counted = None, 0
        for each in admitted:
            its_day = each.at.astimezone(ZoneInfo(each.match.limits.zone)).date()
            day, counted = its_day, counted + 1 if its_day == day else 1
        return counted if day == self.now.astimezone(ZoneInfo(zone)).date() else 0

    def _admitted(self, wanted: Callable[[Match], bool]) -> list[Modelled]:
        return [each for each in self.runs.values() if each.status != "skipped" and wanted(each.match)]

    def _line(self, wanted: Match) -> list[Modelled]:
        waiting = [each for each in self.runs.values() if each.status == "queued"]
        return [each for each in waiting if each.match.workflow_id == wanted.workflow_id]

    def _may_start(self, wanted: Match) -> bool:
        """A bounded run never before those that wait for its workflow."""
        return not self._bounded(wanted) or not (self._line(wanted) or self._held_up(wanted))

    def _bounded(self, wanted: Match) -> bool:
        return any(
            bound is not None for bound in (wanted.limits.max_concurrent, *(it.max_concurrent for it in wanted.shared))
        )

    def _held_up(self, wanted: Match) -> bool:
        running = [each.match for each in self.runs.values() if each.status == "running"]
        own = wanted.limits.max_concurrent
        if own is not None and sum(it.workflow_id == wanted.workflow_id for it in running) >= own:
            return True
        return any(
            limit.max_concurrent is not None
            and sum(any(each.tag == limit.tag for each in it.shared) for it in running) >= limit.max_concurrent
            for limit in wanted.shared
        )

    def _next_startable(self) -> str | None:
        """Whoever waits longest of those that are first of their workflow and have room everywhere."""
        seen: set[str] = set()
        for run_id, each in sorted(self.runs.items(), key=lambda item: item[1].place):
            if each.status != "queued" or each.match.workflow_id in seen:
                continue
            seen.add(each.match.workflow_id)
            if not self._held_up(each.match):
                return run_id
        return None


def write(random: Random) -> RunsScenario:
    """A log that chance wrote; after each record the fold says what the model says."""
    log, model = RunsScenario(), Model()
    for each in limited_history(log, random, RECORDS):
        model.now = log.now
        match each:
            case Ended():
                model.ends(each.run_id, each.status)
            case Granted():
                model.granted(each.run_id)
            case Asked():
                model.happens(each)
        assert verdicts(log.fold.runs) == {run_id: (it.status, it.reason) for run_id, it in model.runs.items()}
    return log


def verdicts(runs: dict[str, Run]) -> dict[str, tuple[str, str | None]]:
    """Of every run; its reason where it was refused."""
    return {
        run.id: (run.status, run.reason.kind if run.status == "skipped" and run.reason is not None else None)
        for run in runs.values()
    }


MANY = settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])


@MANY
@given(st.integers(0, 2**32))
def test_the_fold_says_what_the_whole_past_says(seed: int) -> None:
    write(Random(seed))


@MANY
@given(st.integers(0, 2**32))
def test_a_restored_fold_refuses_in_the_same_words(seed: int) -> None:
    """Written and restored at every cut: every verdict, with its sentence, is the one of the fold that never stopped."""
    random = Random(seed)
    log = write(random)
    projected, done = ProjectedRuns(), 0
    fold = projected.restored()
    while done < len(log.log):
        batch = log.log[done : done + random.randrange(1, 20)]
        done += len(batch)
        questions = Questions()
        fold.ask(questions, ((entry.event.tenant_id, entry.fact) for entry in batch))
        projected.write(apply_all(fold, batch, projected.lookup(questions)))
        fold = projected.restored()
    assert projected.rows == {run.id: dump_run(run) for run in log.fold.runs.values()}
