"""What is held of a run that nobody will carry on soon: all that decides about it, and what it is about as text.

A wait of a month, or an approval over a weekend, keeps a run in memory; parsed, one event of 250 KB is as much as 8 MB there.
Changes how a run is held, never what it says: whoever writes a run need not know, whoever carries it out calls `unpack`.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import cast

from shared.domain.packed import Packed, packed, whole
from shared.domain.records import SourceEvent
from shared.domain.runs.state import Run

RESTS_AFTER = timedelta(seconds=60)
"""A shorter wait is not worth it."""

_Object = dict[str, object]


def is_idle(run: Run) -> bool:
    """Whether nothing of it is being carried out, so that it may be packed."""
    return not any(step.status == "started" and step.due_at is None for step in run.steps.values())


def rests(run: Run, now: datetime) -> bool:
    """Whether it waits for a person, or for long."""
    if run.status == "pending_approval":
        return True
    if run.status != "running":
        return False
    soon = now + RESTS_AFTER
    waits = False
    for step in run.steps.values():
        if step.status in ("started", "retrying"):
            if step.due_at is None or step.due_at <= soon:
                return False
            waits = True
        elif step.status == "unknown":
            waits = True
    return waits


def pack(runs: Iterable[Run]) -> None:
    """Idle runs. What several of them share stays shared."""
    events: dict[int, tuple[SourceEvent, SourceEvent]] = {}  # by id, which stays the former's own while it is here
    for run in runs:
        event = run.event
        if event is not None and not isinstance(event.data, Packed):
            if id(event) not in events:
                events[id(event)] = (event, replace(event, data=packed(event.data)))
            _, run.event = events[id(event)]
        run.inputs = cast(_Object, packed(run.inputs))
        for step in run.steps.values():
            step.request = cast(_Object | None, packed(step.request))
            step.output = packed(step.output)


def unpack(run: Run) -> None:
    """Before it is carried out: from here on its values are plain ones again."""
    if run.event is not None and isinstance(run.event.data, Packed):
        run.event = replace(run.event, data=whole(run.event.data))
    inputs: object = run.inputs
    if isinstance(inputs, Packed):
        run.inputs = cast(_Object, whole(inputs))
    for step in run.steps.values():
        request: object = step.request
        if isinstance(request, Packed):
            step.request = cast(_Object, whole(request))
        if isinstance(step.output, Packed):
            step.output = whole(step.output)
