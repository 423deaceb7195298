"""What an event did to the windows of a workflow's triggers, told from the records of the log. Pure.

A count and an absence are about more than one event: their pattern is explained like any other, and beside it stands a clause
for the window, as far as the records that are at hand tell of it. Next: `triggers.py`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from shared.domain.absence import Absence
from shared.domain.records import ScheduleFired, WindowCounted, WindowElapsed, WindowFact, WindowFollowed, WindowOpened
from shared.domain.windows import Count, Window, WindowKey, Windows
from shared.expressions import Template
from shared.workflows.compiled import CompiledAbsence, CompiledCount, CompiledStart
from shared.workflows.event_secrets import EventSecrets
from shared.workflows.explaining.words import value_in_words
from shared.workflows.hiding import HIDDEN

LONG_HENCE: Final = datetime.max.replace(tzinfo=UTC)


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
    tenant_id: str,
    event_id: str,
    records: Iterable[WindowFact],
    start: CompiledStart,
    secrets: EventSecrets,
    *,
    whole: bool,
) -> WindowsKnown:
    """What the records about the workflow's windows, in the log's order, say of this event, whose secrets they do not tell.

    `whole`: they begin early enough to tell what the windows held before it. Without that, no count is told.
    """
    counts = {each.trigger: each for each in start.counts} if whole else {}
    absences = {each.trigger: each for each in start.absences}
    windows = Windows()
    known: dict[str, WindowKnown] = {}
    begun: dict[WindowKey, WindowOpened] = {}  # what this event asked of each
    for offset, fact in enumerate(records):
        if isinstance(fact, ScheduleFired) or fact.workflow_id != start.workflow.id:
            continue
        if fact.trigger not in counts and fact.trigger not in absences:
            continue
        key = WindowKey(tenant_id, fact.workflow_id, fact.trigger, fact.key)
        waited_after = _opened_by(windows.get(key))
        # Whether it was time is in no fact: that an absence is in the log shows that it was.
        changed = windows.apply(tenant_id, fact, LONG_HENCE, offset)
        said: WindowKnown | None = None
        match fact:
            case WindowCounted() if fact.event_id == event_id:
                said = _counted(counts[fact.trigger], fact, windows.get(key), secrets, complete=changed)
            case WindowOpened() if fact.event.id == event_id:
                begun[key] = fact
                other = None if changed else _opened_by(windows.get(key))
                said = _opened(absences[fact.trigger], fact, other, secrets, began=changed, whole=whole)
            case WindowFollowed() if fact.event_id == event_id:
                said = _followed(absences[fact.trigger], fact, secrets, ended=changed, whole=whole)
            case WindowFollowed() if changed and waited_after == event_id:
                text = f"opened a wait that event {fact.event_id} ended in time"
                said = WindowKnown(started=False, actual=fact.event_id, said=text)
            case WindowElapsed() if changed and waited_after == event_id:
                text = "opened a wait, and nothing followed in time"
                if fact.match is None:
                    text = "opened a wait, but the workflow did not wait to its end"
                said = WindowKnown(started=fact.match is not None, actual="elapsed", said=text)
        waits_after = _opened_by(windows.get(key))
        if said is None and key in begun and waits_after != waited_after and event_id in (waits_after, waited_after):
            # Something that was recorded later, and happened earlier, gave this event the wait or took it.
            began = waits_after == event_id
            other = None if began else waits_after
            said = _opened(absences[fact.trigger], begun[key], other, secrets, began=began, whole=whole)
        if said is not None:
            known[fact.trigger] = said
    return known


def expected_of_count(count: CompiledCount) -> str:
    """In words."""
    return f"{count.on.times} events within {count.on.within_seconds} s"


def expected_of_absence(absence: CompiledAbsence) -> str:
    """In words."""
    return f"none to follow within {absence.on.within_seconds} s"


def _opened_by(window: Window | None) -> str | None:
    return window.opened_by if isinstance(window, Absence) else None


def _counted(
    count: CompiledCount, fact: WindowCounted, window: Window | None, secrets: EventSecrets, *, complete: bool
) -> WindowKnown:
    key = _of_key(fact.key, count.key, secrets)
    if complete:
        said = f"completed the count of {fact.times}{key}"
        return WindowKnown(started=True, actual=fact.times, said=said)
    waiting = len(window.waiting) if isinstance(window, Count) else 0
    said = f"counted as {waiting} of {fact.times} within {fact.within_seconds} s{key}"
    return WindowKnown(started=False, actual=waiting, said=said)


def _opened(
    absence: CompiledAbsence, fact: WindowOpened, other: str | None, secrets: EventSecrets, *, began: bool, whole: bool
) -> WindowKnown:
    """`other`: the event that a wait was open after already."""
    key = _of_key(fact.key, absence.after_key, secrets)
    until = (fact.at + timedelta(seconds=fact.within_seconds)).isoformat()
    if began:
        said = f"opened a wait{key} until {until}" + ("" if whole else ", unless one was open already")
        return WindowKnown(started=False, actual="waiting", said=said)
    if other is not None:
        said = f"opened no wait{key}: one was open already, after event {other}"
        return WindowKnown(started=False, actual=other, said=said)
    said = f"opened no wait{key}: what should follow it had come before it was read"
    return WindowKnown(started=False, actual="followed", said=said)


def _followed(
    absence: CompiledAbsence, fact: WindowFollowed, secrets: EventSecrets, *, ended: bool, whole: bool
) -> WindowKnown:
    key = _of_key(fact.key, absence.of_key, secrets)
    said = f"is what a wait{key} is for, and "
    said += "ended one" if ended else "none was open" if whole else "ends it where there is one"
    return WindowKnown(started=False, actual="followed", said=said)


def _of_key(key: str, template: Template, secrets: EventSecrets) -> str:
    if not key:
        return ""
    return f" for the key {HIDDEN if secrets.in_template(template) else value_in_words(key)}"
