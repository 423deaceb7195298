"""What an event does to its tenant's windows: it counts, begins a wait or ends one. And what a wait that is over asks for.

Pure, and the one place where it is decided: the stream, the tester and the backtest hand in windows of their own.
Next: `shared/domain/windows.py`, what is remembered.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import takewhile

from shared.domain.absence import Absence
from shared.domain.definitions import Tenant
from shared.domain.envelope import Event
from shared.domain.ids import elapsed_run_id
from shared.domain.records import SourceEvent, WindowCounted, WindowElapsed, WindowFact, WindowFollowed, WindowOpened
from shared.domain.windows import KEY_CHARS_MAX, Count, Window, WindowKey, Windows
from shared.expressions import Template, TemplateError, render_text
from shared.workflows.compiled import CompiledAbsence, CompiledCount, CompiledStart, trigger_digests
from shared.workflows.context import Context, event_view, start_context
from shared.workflows.rules import TenantRules, Watch
from shared.workflows.starting import StartRequest, build_match

NO_OFFSET = -1
"""A window that this process has just opened: where its record lies is known once it is appended."""


class WindowsFull(Exception):
    """The tenant has as many windows open as it may have: this event opens no further one."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An event that no window takes in, and why, as the end of a sentence about it."""

    why: str


def window_key(
    template: Template, context: Context, event: Event, recorded_at: datetime, lateness_seconds: int
) -> str | LeftOut:
    """The key of the window that an event belongs to: the text, or why it belongs to none."""
    if event.replay_id is not None:
        return LeftOut("it is a replay, and what it could be counted or waited with is over")
    late = recorded_at - event_time(event.time, recorded_at)
    if late > timedelta(seconds=lateness_seconds):
        seconds = f"{late.total_seconds():.3f}".rstrip("0").rstrip(".")
        return LeftOut(f"it was recorded {seconds} s after its own time, and `lateness_seconds` is {lateness_seconds}")
    try:
        text = render_text(template, context)
    except TemplateError as error:
        return LeftOut(f"its key cannot be rendered: {error.detail}")
    if len(text) > KEY_CHARS_MAX:
        return LeftOut(f"its key would have {len(text)} characters, and {KEY_CHARS_MAX} are allowed")
    return text


class Watching:
    """One event's dealings with the windows of its tenant."""

    def __init__(self, windows: Windows, windows_max: int, tenant_id: str, event: Event, recorded_at: datetime) -> None:
        """`recorded_at`: the bus's append time of the event, and so the partition's time."""
        self._windows = windows
        self._windows_max = windows_max
        self._tenant_id = tenant_id
        self._event = event
        self._now = recorded_at
        self._at = event_time(event.time, recorded_at)
        self.facts: list[WindowFact] = []

    def count(self, watch: CompiledCount, workflow_id: str, context: Context) -> bool:
        """Whether the event completes the count. Raises WindowsFull."""
        text = self._key(watch.key, context, watch.on.lateness_seconds)
        if text is None:
            return False
        key = WindowKey(self._tenant_id, workflow_id, watch.trigger, text)
        window = self._existing(key)
        if isinstance(window, Count) and window.knows(self._event.id, self._now):
            return False
        return self._apply(
            WindowCounted(
                workflow_id=workflow_id,
                trigger=watch.trigger,
                key=text,
                event_id=self._event.id,
                at=self._at,
                seen_at=self._now,
                times=watch.on.times,
                within_seconds=watch.on.within_seconds,
                lateness_seconds=watch.on.lateness_seconds,
            )
        )

    def follow(self, watch: CompiledAbsence, workflow_id: str, context: Context) -> None:
        """The event is what was waited for. Raises WindowsFull."""
        text = self._key(watch.of_key, context, watch.on.lateness_seconds)
        if text is None:
            return
        window = self._existing(WindowKey(self._tenant_id, workflow_id, watch.trigger, text))
        if isinstance(window, Absence) and window.knows_followed(self._event.id, self._now):
            return
        self._apply(
            WindowFollowed(
                workflow_id=workflow_id,
                trigger=watch.trigger,
                key=text,
                event_id=self._event.id,
                at=self._at,
                seen_at=self._now,
                within_seconds=watch.on.within_seconds,
                lateness_seconds=watch.on.lateness_seconds,
            )
        )

    def open(self, watch: CompiledAbsence, workflow_id: str, context: Context, event: SourceEvent) -> None:
        """From now on something should follow the event. Raises WindowsFull."""
        text = self._key(watch.after_key, context, watch.on.lateness_seconds)
        if text is None:
            return
        window = self._existing(WindowKey(self._tenant_id, workflow_id, watch.trigger, text))
        if isinstance(window, Absence) and window.knows_before(self._event.id, self._now):
            return
        self._apply(
            WindowOpened(
                workflow_id=workflow_id,
                trigger=watch.trigger,
                key=text,
                event=event,
                at=self._at,
                seen_at=self._now,
                within_seconds=watch.on.within_seconds,
                lateness_seconds=watch.on.lateness_seconds,
            )
        )

    def _key(self, template: Template, context: Context, lateness_seconds: int) -> str | None:
        """None: the event is left out, or read again."""
        if self._windows.has_passed(self._tenant_id, self._now):
            return None
        found = window_key(template, context, self._event, self._now, lateness_seconds)
        return None if isinstance(found, LeftOut) else found

    def _existing(self, key: WindowKey) -> Window | None:
        window = self._windows.get(key)
        if window is None and self._windows.are_full(self._tenant_id, self._windows_max, self._now):
            raise WindowsFull
        return window

    def _apply(self, fact: WindowFact) -> bool:
        self.facts.append(fact)
        return self._windows.apply(self._tenant_id, fact, self._now, NO_OFFSET)


def event_time(time: datetime | None, recorded_at: datetime) -> datetime:
    """When an event happened: by its own word, but never after it was recorded."""
    return recorded_at if time is None or time > recorded_at else time


def has_waited(start: CompiledStart, trigger: str, since: datetime) -> bool:
    """Whether the workflow has watched for what this trigger is about ever since then: whatever followed while it was disabled,
    or while its trigger was another, nobody has looked at."""
    workflow = start.workflow
    if workflow.enabled_at is not None and workflow.enabled_at > since:
        return False
    later = takewhile(lambda revision: revision.saved_at > since, reversed(workflow.revisions))
    return all(trigger in trigger_digests(revision) for revision in later)


def elapsed(tenant: Tenant, rules: TenantRules, key: WindowKey, event: SourceEvent) -> WindowElapsed:
    """What is appended once it is certain that nothing followed `event`, which opened the window.

    The workflow runs as it stands now; where it is disabled or no longer waits for this, the window only closes.
    Raises `TooMuchTogether` where the run is held for approval, and is more than an approval can show.
    """
    start = rules.start_of(key.workflow_id)
    waits = start is not None and any(each.trigger == key.trigger for each in start.absences)
    if start is None or not waits:
        return closed(key, event)
    request = StartRequest(
        run_id=elapsed_run_id(key.workflow_id, key.trigger, key.key, event.id),
        event=event,
        inputs={},
        author=start.revision.author,
    )
    context = watch_context(tenant.id, start, event_view(event, tenant.id))
    match = build_match(tenant, start, request, context, lambda: rules.steps_of(start))
    return replace(closed(key, event), match=match)


def closed(key: WindowKey, event: SourceEvent) -> WindowElapsed:
    """The wait that `event` began is over, and no run comes of it."""
    return WindowElapsed(workflow_id=key.workflow_id, trigger=key.trigger, key=key.key, event=event, match=None)


def watch_context(tenant_id: str, start: CompiledStart, view: Mapping[str, object]) -> Context:
    """What conditions, keys and approvals of a workflow see of an event."""
    return start_context(
        tenant_id=tenant_id,
        workflow_id=start.workflow.id,
        workflow_name=start.workflow.name,
        revision=start.revision.number,
        event=view,
        inputs={},
    )


def apply_watch(
    watching: Watching, watch: Watch, context: Callable[[], Context], source_event: Callable[[], SourceEvent]
) -> bool:
    """Let the event do what `watch` says; whether that starts a run at once. Raises WindowsFull."""
    workflow_id = watch.start.workflow.id
    if watch.count is not None:
        return watching.count(watch.count, workflow_id, context())
    if watch.absence is not None and watch.side == "of":
        watching.follow(watch.absence, workflow_id, context())
    elif watch.absence is not None:
        watching.open(watch.absence, workflow_id, context(), source_event())
    return False
