"""What an event did to the windows of a workflow's triggers, told from the records of the log. Pure.

A count and an absence are about more than one event: their pattern is explained like any other, and beside it stands a clause
for the window, as far as the records that are at hand tell of it. Next: `triggers.py`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from shared.domain.records import WindowCounted, WindowElapsed, WindowFact, WindowFollowed, WindowOpened
from shared.domain.windows import Count, WindowKey, Windows
from shared.workflows.compiled import CompiledAbsence, CompiledCount, CompiledStart
from shared.workflows.explaining.words import value_in_words
from shared.workflows.hiding import HIDDEN, Hiding


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowKnown:
    """What became of one trigger's window by this event. `started`: a run was asked for; `actual`: what is there of what
    the trigger expects; `said`: the same as a phrase that begins with a verb."""

    started: bool
    actual: object
    said: str


WindowsKnown = Mapping[str, WindowKnown]
"""By the trigger's digest (`CompiledCount.trigger`)."""


def windows_known(
    tenant_id: str, event_id: str, records: Iterable[WindowFact], start: CompiledStart, hiding: Hiding
) -> WindowsKnown:
    """What the records about the workflow's windows, in the log's order, say of this event."""
    counts = {each.trigger: each for each in start.counts}
    absences = {each.trigger: each for each in start.absences}
    windows = Windows()
    known: dict[str, WindowKnown] = {}
    opened: dict[str, str] = {}
    for offset, fact in enumerate(records):
        if fact.workflow_id != start.workflow.id:
            continue
        match fact:
            case WindowCounted() if fact.trigger in counts:
                complete = windows.apply(tenant_id, fact, fact.seen_at, offset)
                if fact.event_id == event_id:
                    window = windows.get(WindowKey(tenant_id, fact.workflow_id, fact.trigger, fact.key))
                    waiting = len(window.waiting) if isinstance(window, Count) else 0
                    known[fact.trigger] = _counted(counts[fact.trigger], fact, waiting, hiding, complete=complete)
            case WindowOpened() if fact.trigger in absences and fact.event.id == event_id:
                until = (fact.at + timedelta(seconds=fact.within_seconds)).isoformat()
                opened[fact.trigger] = fact.key
                said = f"opened a wait{_of_key(fact.key, absences[fact.trigger].on.after_key, hiding)} until {until}"
                known[fact.trigger] = WindowKnown(started=False, actual="waiting", said=said)
            case WindowFollowed() if fact.trigger in absences:
                if fact.event_id == event_id:
                    key = _of_key(fact.key, absences[fact.trigger].on.of_key, hiding)
                    said = f"is what a wait{key} is for, and ends it where there is one"
                    known.setdefault(fact.trigger, WindowKnown(started=False, actual="followed", said=said))
                elif opened.get(fact.trigger) == fact.key:
                    del opened[fact.trigger]
                    said = f"opened a wait that event {fact.event_id} ended in time"
                    known[fact.trigger] = WindowKnown(started=False, actual=fact.event_id, said=said)
            case WindowElapsed() if fact.event.id == event_id and opened.get(fact.trigger) == fact.key:
                del opened[fact.trigger]
                said = "opened a wait, and nothing followed in time"
                if fact.match is None:
                    said = f"{said}, but the workflow no longer waited for it"
                known[fact.trigger] = WindowKnown(started=fact.match is not None, actual="elapsed", said=said)
            case _:
                pass
    return known


def expected_of_count(count: CompiledCount) -> str:
    """In words."""
    return f"{count.on.times} events within {count.on.within_seconds} s"


def expected_of_absence(absence: CompiledAbsence) -> str:
    """In words."""
    return f"none to follow within {absence.on.within_seconds} s"


def _counted(count: CompiledCount, fact: WindowCounted, waiting: int, hiding: Hiding, *, complete: bool) -> WindowKnown:
    key = _of_key(fact.key, count.on.key, hiding)
    if complete:
        said = f"completed the count of {fact.times}{key}"
        return WindowKnown(started=True, actual=fact.times, said=said)
    said = f"counted as {waiting} of {fact.times} within {fact.within_seconds} s{key}"
    return WindowKnown(started=False, actual=waiting, said=said)


def _of_key(key: str, template: str, hiding: Hiding) -> str:
    if not key:
        return ""
    return f" for the key {HIDDEN if hiding.names_secret(template) else value_in_words(key)}"
