"""Who waits for room, and who is next: each workflow's line, and the tags whose concurrency several workflows share.

A run starts when its workflow and every tag that it names have room by the run's own bounds. A workflow's runs start in
the order of its line; among workflows the next is whoever waits longest, by the log, of those that could start.

The first of each line is parked at one scope that has no room for it, so whoever ends looks only at lines that its own
scopes held up: the cost does not grow with the number of waiting runs. Where a line is parked is nobody's verdict: a
restored fold may park it elsewhere and starts the same runs in the same order.
Next: `fold.py`, which starts them.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Mapping

from shared.domain.counting import counted
from shared.domain.records import Problem
from shared.domain.runs.state import Activity, ActivityKey, Run, tag_scope

_Place = tuple[int, int, str, str]
"""Of a waiting run in the log: (position, priority, workflow id, run id)."""

_Parking = tuple[ActivityKey, int]
"""(scope, the bound on it): where nothing can start before fewer run there than the bound."""


class WaitingRuns:
    """One partition's lines. `runs` and `activities` are the fold's own."""

    def __init__(self, runs: Mapping[str, Run], activities: dict[ActivityKey, Activity]) -> None:
        self._runs = runs
        self._activities = activities
        self._parked: dict[ActivityKey, dict[int, list[_Place]]] = {}
        self._parked_at: dict[ActivityKey, _Parking] = {}
        self._ready: list[_Place] = []
        """Firsts of lines that nothing is known to hold up; empty but while `release` is looking."""

    def may_start(self, run: Run) -> bool:
        """Whether a run that is just asked for starts at once: a bounded one never before those in its line."""
        if run.match.is_concurrency_bounded:
            return not self._line(run).queued and self.held_by(run) is None
        return True

    def held_by(self, run: Run) -> _Parking | None:
        """The first scope without room for this run, and the run's bound on it."""
        bound = run.match.limits.max_concurrent
        if bound is not None and len(self._line(run).running) >= bound:
            return (run.tenant_id, run.match.workflow_id), bound
        for shared in run.match.shared:
            if shared.max_concurrent is not None:
                key = (run.tenant_id, tag_scope(shared.tag))
                if len(self._activity(key).running) >= shared.max_concurrent:
                    return key, shared.max_concurrent
        return None

    def queue_full(self, run: Run) -> Problem | None:
        """Why a run that is just asked for cannot even wait; None: it can, or need not."""
        line, queued_max = self._line(run), run.match.limits.max_queued
        pending = len(line.pending) if run.match.bounds_pending else 0
        waiting = len(line.queued) + pending
        if waiting < queued_max or self._need_not_wait(run, line):
            return None
        waits = counted(waiting, "waits", "wait") + (f", {pending} of them for approval," if pending else "")
        detail = (
            f"{self.told(run)}, {waits} and `max_queued` is {queued_max}; the next is admitted once one of them ends"
        )
        return Problem(kind="queue_full", detail=detail)

    def _need_not_wait(self, run: Run, line: Activity) -> bool:
        if run.match.approval is None:
            return self.may_start(run) and not (run.match.bounds_pending and line.pending)
        return not run.match.bounds_pending or not (line.running or line.queued or line.pending)

    def told(self, run: Run) -> str:
        """In words, why a run that may not start may not."""
        held_by = self.held_by(run)
        if held_by is None:
            return f"runs of {run.match.workflow_name} wait already"
        (_, scope), bound = held_by
        running = len(self._activity(held_by[0]).running)
        where = "" if scope == run.match.workflow_id else f"tag {scope.removeprefix(tag_scope(''))!r}: "
        return f"{where}{counted(running, 'run is', 'runs are')} running and `max_concurrent` is {bound}"

    def occupy(self, run: Run) -> None:
        """It runs."""
        for key in scopes_of(run):
            self._activity(key).running.add(run.id)

    def pend(self, run: Run) -> None:
        """It waits for a person, in no line."""
        self._line(run).pending.add(run.id)

    def granted(self, run: Run) -> None:
        """It waits for no person any more."""
        self._line(run).pending.discard(run.id)

    def wait(self, run: Run) -> None:
        """It joins the end of its line."""
        line = self._line(run).queued
        line[run.id] = None
        if len(line) == 1:
            self._park(run)

    def take_over(self, waiting: Iterable[Run]) -> None:
        """After a restore, once all that run are known: the lines anew."""
        for run in sorted(waiting, key=_place):
            self.wait(run)

    def release(self, run: Run) -> Iterator[Run]:
        """It runs or waits no more. Whoever may start because of that, one after the other: each is to be started, by
        `occupy`, before the next is asked for."""
        freed = scopes_of(run)
        for key in freed:
            self._activity(key).running.discard(run.id)
        self._line(run).pending.discard(run.id)
        line = self._line(run).queued
        if run.id in line:
            at_its_head = next(iter(line)) == run.id
            del line[run.id]
            if at_its_head:
                self._unpark(freed[0], _place(run))
                self._next_in_line(freed[0])
        while self._parked_at or self._ready:
            place = self._earliest(freed)
            if place is None:
                return
            following = self._runs[place[3]]
            key = (following.tenant_id, following.match.workflow_id)
            self._unpark(key, place)
            if self.held_by(following) is not None:
                self._park(following)
                continue
            del self._activity(key).queued[following.id]
            self._next_in_line(key)
            yield following

    def _earliest(self, freed: Iterable[ActivityKey]) -> _Place | None:
        """The longest waiting among the firsts of lines of which nothing is known to hold them up."""
        found = self._ready[0] if self._ready else None
        for key in freed:
            running = len(self._activity(key).running)
            for bound, places in self._parked.get(key, {}).items():
                if running < bound and (found is None or places[0] < found):
                    found = places[0]
        return found

    def _next_in_line(self, key: ActivityKey) -> None:
        line = self._activity(key).queued
        if line:
            insort(self._ready, _place(self._runs[next(iter(line))]))

    def _park(self, run: Run) -> None:
        held_by, place = self.held_by(run), _place(run)
        if held_by is None:
            insort(self._ready, place)
            return
        scope, bound = held_by
        insort(self._parked.setdefault(scope, {}).setdefault(bound, []), place)
        self._parked_at[run.tenant_id, run.match.workflow_id] = held_by

    def _unpark(self, line: ActivityKey, place: _Place) -> None:
        """The first of that line, which is at `place`, stands nowhere for now."""
        parked = self._parked_at.pop(line, None)
        if parked is None:
            self._ready.remove(place)
            return
        scope, bound = parked
        places = self._parked[scope][bound]
        del places[bisect_left(places, place)]
        if not places:
            del self._parked[scope][bound]
            if not self._parked[scope]:
                del self._parked[scope]

    def _line(self, run: Run) -> Activity:
        return self._activity((run.tenant_id, run.match.workflow_id))

    def _activity(self, key: ActivityKey) -> Activity:
        activity = self._activities.get(key)
        if activity is None:
            activity = self._activities[key] = Activity()
        return activity


def scopes_of(run: Run) -> list[ActivityKey]:
    """Where a run counts: its workflow first, then every tag that it names."""
    found = [(run.tenant_id, run.match.workflow_id)]
    for shared in run.match.shared:
        found.append((run.tenant_id, tag_scope(shared.tag)))
    return found


def _place(run: Run) -> _Place:
    position = run.queued_position if run.queued_position is not None else run.positions[0]
    return position, run.match.priority, run.match.workflow_id, run.id
