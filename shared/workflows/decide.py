"""What one event leads to: the workflows that match, by priority, with all that the fold will need to decide on them.

Pure. The budget is per event: after so much looking into its arrays, so many conditions, or so much time, the rest is left
unevaluated and said so.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import orjson
from pydantic_core import from_json

from shared.domain.definitions import Tenant
from shared.domain.envelope import Event
from shared.domain.errors import Flaw, InvalidInput
from shared.domain.ids import match_id, matched_run_id
from shared.domain.records import EventMatched, SourceEvent, Unevaluated, WindowFact
from shared.domain.windows import Windows
from shared.domain.workflow import Match
from shared.expressions import TooMuchTogether
from shared.matching import EventFields, event_of
from shared.workflows import left_out
from shared.workflows.compiled import CompiledStart
from shared.workflows.context import Context, attributes_view
from shared.workflows.rules import TenantRules, Watch
from shared.workflows.starting import StartRequest, build_match
from shared.workflows.watching import Watching, WindowsFull, apply_watch, watch_context

CpuSeconds = Callable[[], float]
"""CPU time by some clock. Reading it costs as much as a condition, so one condition alone is never timed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What one event may cost."""

    conditions: int
    seconds: float
    matches: int
    """Workflows that one event may start."""
    windows: int
    """Windows that a tenant may have open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionError:
    """A condition that counts as false because it could not be evaluated, and why not."""

    workflow_id: str
    detail: str


@dataclass(slots=True, kw_only=True, unsafe_hash=True)  # a value, but freezing costs 0.1 µs a field
class Decided:
    """`windows`: what the event did to its tenant's windows; to be appended after `matched`, so that an event that
    completed a count and whose match is lost with its writer completes it again. `as_read`: `matched` as whoever reads its
    record will see it, with the event's data parsed."""

    matched: EventMatched | None
    as_read: EventMatched | None = None
    windows: Sequence[WindowFact] = ()
    errors: Sequence[ConditionError] = ()


_NOTHING = Decided(matched=None)
_AS_DEEP, _AS_DEEP_END = b"[[[[", b"]]]]"


def decide(
    tenant: Tenant,
    rules: TenantRules,
    event: Event,
    recorded_at: datetime,
    windows: Windows,
    budget: Budget,
    cpu_seconds: CpuSeconds,
) -> Decided:
    """What the event leads to; `windows` takes in what it did to them. `recorded_at`: its append time.

    Raises `InvalidInput` where the event's data is no JSON.
    """
    view = attributes_view(event, tenant.id)
    watches = rules.watching(event_of(view, event.data))
    if not watches:
        return _NOTHING
    return _Decision(tenant, rules, event, view, windows, recorded_at, budget).decide(watches, cpu_seconds)


def fields_of(event: Event) -> EventFields:
    """The event as patterns see it. Raises `InvalidInput` where its data is no JSON."""
    return event_of(attributes_view(event, event.tenant_id), event.data)


def decide_among(
    watches: Sequence[Watch],
    tenant: Tenant,
    rules: TenantRules,
    event: Event,
    recorded_at: datetime,
    windows: Windows,
    budget: Budget,
    cpu_seconds: CpuSeconds,
) -> Decided:
    """`decide`, for whoever has asked the patterns already: `watches` are those of `rules` for this event."""
    view = attributes_view(event, tenant.id)
    return _Decision(tenant, rules, event, view, windows, recorded_at, budget).decide(watches, cpu_seconds)


class _Deadline:
    """Whether there is time for one more condition, key or approval. The first is never timed, and the clock starts with the
    second: reading it costs as much as a condition."""

    def __init__(self, seconds: float, cpu_seconds: CpuSeconds) -> None:
        self._seconds = seconds
        self._cpu_seconds = cpu_seconds
        self._asked = 0
        self._at = 0.0

    def allows(self, *, times: int = 1) -> bool:
        """`times`: of the budget, that may be used up before."""
        self._asked += 1
        if self._asked == 1:
            return True
        if self._asked == 2:
            self._at = self._cpu_seconds() + self._seconds
            return True
        return self._cpu_seconds() < self._at + (times - 1) * self._seconds


WINDOWS_PATIENCE = 10
"""Budgets that the keys of counts and waits may use up: an event that is left out there is missed, not only not acted on."""


def _in_time(watch: Watch, clock: _Deadline, *, started: bool) -> bool:
    """Keys and approvals are rendered, which takes its time as a condition does; what is started already renders nothing."""
    if watch.side != "start":
        return clock.allows(times=WINDOWS_PATIENCE)
    renders = watch.start.renders_keys or watch.start.approval is not None
    return started or not renders or clock.allows()


class _Decision:
    """Parses the event's data, whether or not a condition needs it: what cannot be read must not get into a record, and
    what was read here need not be read again."""

    def __init__(
        self,
        tenant: Tenant,
        rules: TenantRules,
        event: Event,
        view: dict[str, object],
        windows: Windows,
        recorded_at: datetime,
        budget: Budget,
    ) -> None:
        self._tenant = tenant
        self._rules = rules
        self._event = event
        self._source_event = source_event(event, orjson.Fragment(event.data) if event.data is not None else None)
        self._view = view
        view["data"] = event_data(event)
        self._match_id = match_id(event.id, event.replay_id)
        self._budget = budget
        self._windows = windows
        self._recorded_at = recorded_at
        self._watching: Watching | None = None

    def decide(self, watches: Sequence[Watch], cpu_seconds: CpuSeconds) -> Decided:
        budget = self._budget
        matches: list[Match] = []
        unevaluated: list[Unevaluated] = []
        errors: list[ConditionError] = []
        conditions = 0
        clock = _Deadline(budget.seconds, cpu_seconds)
        former: CompiledStart | None = None
        holds = started = False
        for watch in watches:
            start = watch.start
            if watch.is_left_out:
                if start is not former or not started:
                    unevaluated.append(Unevaluated(workflow_id=start.workflow.id, reason=left_out.BUDGET))
                continue
            if watch.side == "of":
                # What ends a wait is no reason to start: the workflow's condition is about what began it.
                if clock.allows(times=WINDOWS_PATIENCE):
                    self._apply(watch, unevaluated)
                else:
                    unevaluated.append(Unevaluated(workflow_id=start.workflow.id, reason=left_out.BUDGET))
                continue
            if start is not former:
                former, started = start, False
                if len(matches) >= budget.matches:
                    holds = False
                    unevaluated.append(Unevaluated(workflow_id=start.workflow.id, reason=left_out.MATCHES_MAX))
                elif start.condition is None:
                    holds = True
                else:
                    if conditions >= budget.conditions or not clock.allows():
                        holds = False
                        unevaluated.append(Unevaluated(workflow_id=start.workflow.id, reason=left_out.BUDGET))
                        continue
                    conditions += 1
                    outcome = start.condition.evaluate(self._context(start))
                    holds = outcome.value
                    if outcome.error is not None:
                        errors.append(ConditionError(workflow_id=start.workflow.id, detail=outcome.error))
            if not holds:
                continue
            if not _in_time(watch, clock, started=started):
                unevaluated.append(Unevaluated(workflow_id=start.workflow.id, reason=left_out.BUDGET))
                continue
            if (watch.side == "start" or self._apply(watch, unevaluated)) and not started:
                started = True
                try:
                    matches.append(self._match(watch))
                except TooMuchTogether:
                    unevaluated.append(Unevaluated(workflow_id=start.workflow.id, reason=left_out.APPROVAL_SUBJECT_MAX))
        facts = self._watching.facts if self._watching is not None else ()
        if not matches and not unevaluated:
            return Decided(matched=None, windows=facts, errors=errors)
        matched = partial(
            EventMatched,
            definitions_version=self._tenant.version,
            matches=tuple(matches),
            unevaluated=tuple(dict.fromkeys(unevaluated)),
        )
        as_read = source_event(self._event, self._view["data"])  # its parser is the one that reads records
        return Decided(
            matched=matched(event=self._source_event), as_read=matched(event=as_read), windows=facts, errors=errors
        )

    def _apply(self, watch: Watch, unevaluated: list[Unevaluated]) -> bool:
        if self._watching is None:
            self._watching = Watching(
                self._windows, self._budget.windows, self._tenant.id, self._event, self._recorded_at
            )
        try:
            return apply_watch(self._watching, watch, lambda: self._context(watch.start), lambda: self._source_event)
        except WindowsFull:
            unevaluated.append(Unevaluated(workflow_id=watch.start.workflow.id, reason=left_out.WINDOWS_MAX))
            return False

    def _match(self, watch: Watch) -> Match:
        start = watch.start
        request = StartRequest(
            run_id=matched_run_id(self._match_id, start.workflow.id),
            event=source_event(self._event, self._view["data"]) if start.approval is not None else self._source_event,
            inputs={},
            author=start.revision.author,
        )
        needs_context = start.approval is not None or start.renders_keys
        context: Context = self._context(start) if needs_context else {}
        overlap = watch.schedule.schedule.overlap if watch.schedule is not None else "allow"
        return build_match(self._tenant, start, request, context, lambda: self._rules.steps_of(start), overlap=overlap)

    def _context(self, start: CompiledStart) -> Context:
        return watch_context(self._tenant.id, start, self._view)


def event_data(event: Event) -> object:
    """An event's data as conditions and templates see it. Raises `InvalidInput` where it is no JSON for them.

    The same parser as reads records back: an approval's hash must not depend on who parsed a number.
    """
    if event.data is None:
        return None
    try:
        # As deep down as it will lie in a record, so that what can be read here can be read there.
        return from_json(b"".join((_AS_DEEP, event.data, _AS_DEEP_END)))[0][0][0][0]
    except ValueError as error:
        # Half of a surrogate pair, say: patterns can look at such an event, nothing else can.
        raise InvalidInput("the event's data cannot be read", [Flaw(pointer="#", detail=str(error))]) from None


def source_event(event: Event, data: object) -> SourceEvent:
    """What a match holds of its event; `data` is parsed, or a fragment of JSON."""
    return SourceEvent(
        id=event.id,
        source=event.source,
        type=event.type,
        data=data,
        subject=event.subject,
        time=event.time,
        correlation_id=event.correlation_id,
        causation_id=event.causation_id,
        causal_chain=event.causal_chain,
        replay_id=event.replay_id,
    )
