"""A tenant's workflows made ready for matching, kept up to date workflow by workflow as definitions change.

An event costs what the workflows that it may start cost, not what the tenant's other workflows would.
Next: `decide.py`, what an event leads to.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from shared.domain.definitions import Workflow
from shared.domain.errors import InvalidInput
from shared.matching import WORK_MAX, EventFields, Pattern, PatternIndex, TooMuchWork
from shared.workflows.catalogue import Catalogue
from shared.workflows.compiled import (
    CompiledAbsence,
    CompiledCount,
    CompiledSchedule,
    CompiledStart,
    CompiledStep,
    compile_start,
    compile_steps,
)

Side = Literal["of", "count", "start", "after"]
"""Why a workflow watches for an event: it ends a wait, counts, starts a run at once, or begins a wait."""

_ORDER: Mapping[Side, int] = {"of": 0, "count": 1, "start": 2, "after": 3}
"""An event that both ends a wait and begins one ends the old one first."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Watch:
    """One reason why a workflow looks at an event. `window`: the trigger it belongs to, where that remembers events."""

    start: CompiledStart
    side: Side = "start"
    count: CompiledCount | None = None
    absence: CompiledAbsence | None = None
    schedule: CompiledSchedule | None = None
    order: tuple[int, str, int]
    """By priority, then by workflow: the same for whoever asks."""
    is_left_out: bool = False
    """Whether it looks at the event cannot be told: what asking patterns of one event may cost was used up before."""


class TenantRules:
    """The newest revision of every enabled workflow that an event can concern."""

    def __init__(self, catalogue: Catalogue, *, work_max: int = WORK_MAX) -> None:
        """`work_max`: what asking patterns of one event's arrays may cost."""
        self._catalogue = catalogue
        self._starts: dict[str, CompiledStart] = {}
        self._watches: dict[str, tuple[Watch, ...]] = {}
        self._index: PatternIndex[Watch] = PatternIndex(work_max=work_max)
        self._steps: dict[tuple[str, int], Mapping[str, CompiledStep]] = {}
        self._members: frozenset[str] | None = None
        self.broken: dict[str, str] = {}
        """Workflows whose revision no longer compiles, and why."""

    def put(self, workflow: Workflow) -> None:
        """Take over a workflow as it stands now."""
        self._members = None
        self._starts.pop(workflow.id, None)
        for watch in self._watches.pop(workflow.id, ()):
            self._index.remove(watch)
        self.broken.pop(workflow.id, None)
        if not workflow.enabled:
            return
        try:
            start = compile_start(workflow, workflow.newest, self._catalogue)
        except InvalidInput as error:
            self.broken[workflow.id] = str(error)
            return
        self._starts[workflow.id] = start
        watches = []
        for watch, patterns in _watches(start):
            self._index.add(watch, *patterns)
            watches.append(watch)
        if watches:
            self._watches[workflow.id] = tuple(watches)

    @property
    def members(self) -> frozenset[str]:
        """The members of an event that anybody looks at: whoever asks `watching` may leave out the others."""
        if self._members is None:
            self._members = self._index.members
        return self._members

    @property
    def starts(self) -> Mapping[str, CompiledStart]:
        """Every workflow that may start, by its id."""
        return self._starts

    def start_of(self, workflow_id: str) -> CompiledStart | None:
        """The workflow as it may start now; None where it is disabled, broken or unknown."""
        return self._starts.get(workflow_id)

    def watching(self, fields: EventFields) -> list[Watch]:
        """Whoever looks at this event, by priority, then by id: the same order for whoever asks. Where the event's arrays are
        too much for all, those that come first are asked, and others that may look at it are left out."""
        try:
            found = self._index.candidates(fields)
        except TooMuchWork:
            return self._watching_in_order(fields)
        if len(found) > 1:
            found.sort(key=_order)
        return found

    def _watching_in_order(self, fields: EventFields) -> list[Watch]:
        every = sorted((watch for watches in self._watches.values() for watch in watches), key=_order)
        return [
            watch if holds else replace(watch, is_left_out=True)
            for watch, holds in self._index.in_order(fields, every)
            if holds is not False
        ]

    def steps_of(self, start: CompiledStart) -> Mapping[str, CompiledStep]:
        """The revision's steps: asked for only where an approval has to show them."""
        key = (start.workflow.id, start.revision.number)
        found = self._steps.get(key)
        if found is None:
            found = self._steps[key] = compile_steps(start.revision)
        return found


def _order(watch: Watch) -> tuple[int, str, int]:
    return watch.order


def _watches(start: CompiledStart) -> Iterator[tuple[Watch, tuple[Pattern, ...]]]:
    def order(side: Side) -> tuple[int, str, int]:
        return (start.priority, start.workflow.id, _ORDER[side])

    if start.patterns:
        yield Watch(start=start, order=order("start")), start.patterns
    for count in start.counts:
        yield Watch(start=start, side="count", count=count, order=order("count")), (count.pattern,)
    for schedule in start.planned:
        yield Watch(start=start, schedule=schedule, order=order("start")), (schedule.firing,)
    for absence in start.absences:
        yield Watch(start=start, side="of", absence=absence, order=order("of")), (absence.of,)
        yield Watch(start=start, side="after", absence=absence, order=order("after")), (absence.after,)
