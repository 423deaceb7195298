"""What one event leads to: the workflows that match, by priority, with all that the fold will need to decide on them.

Pure. The budget is per event: after so many conditions, or so much time, the rest is left unevaluated and said so.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import orjson
from pydantic_core import from_json

from shared.domain.definitions import Tenant
from shared.domain.envelope import Event
from shared.domain.errors import Flaw, InvalidInput
from shared.domain.ids import match_id, matched_run_id
from shared.domain.records import EventMatched, SourceEvent, Unevaluated
from shared.domain.workflow import Match
from shared.matching import EventFields, event_of
from shared.workflows.compiled import CompiledStart
from shared.workflows.context import Context, attributes_view, start_context
from shared.workflows.rules import TenantRules
from shared.workflows.starting import StartRequest, build_match

CpuSeconds = Callable[[], float]
"""CPU time by some clock. Reading it costs as much as a condition, so one condition alone is never timed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What one event may cost."""

    conditions: int
    seconds: float
    matches: int
    """Workflows that one event may start."""


def decide(
    tenant: Tenant, rules: TenantRules, event: Event, budget: Budget, cpu_seconds: CpuSeconds
) -> EventMatched | None:
    """None: it leads to nothing. Raises `InvalidInput` where the event's data is no JSON."""
    candidates = rules.candidates(fields_of(event))
    return decide_among(candidates, tenant, rules, event, budget, cpu_seconds) if candidates else None


def fields_of(event: Event) -> EventFields:
    """The event as patterns see it. Raises `InvalidInput` where its data is no JSON."""
    return event_of(attributes_view(event, event.tenant_id), event.data)


def decide_among(
    candidates: Sequence[CompiledStart],
    tenant: Tenant,
    rules: TenantRules,
    event: Event,
    budget: Budget,
    cpu_seconds: CpuSeconds,
) -> EventMatched | None:
    """`decide`, for whoever has asked the patterns already: `candidates` are those of `rules` for this event."""
    return _Decision(tenant, rules, event).decide(candidates, budget, cpu_seconds)


class _Decision:
    """Parses the event's data only once somebody needs its value."""

    def __init__(self, tenant: Tenant, rules: TenantRules, event: Event) -> None:
        self._tenant = tenant
        self._rules = rules
        self._event = event
        self._source_event = source_event(event, orjson.Fragment(event.data) if event.data is not None else None)
        self._view = attributes_view(event, tenant.id)
        self._match_id = match_id(event.id, event.replay_id)

    def decide(
        self, candidates: Sequence[CompiledStart], budget: Budget, cpu_seconds: CpuSeconds
    ) -> EventMatched | None:
        matches: list[Match] = []
        unevaluated: list[Unevaluated] = []
        conditions = 0
        deadline = 0.0
        for start in candidates:
            if len(matches) >= budget.matches:
                unevaluated.append(Unevaluated(workflow_id=start.workflow.id, reason="matches_max"))
                continue
            if start.condition is not None:
                if conditions == 1:
                    deadline = cpu_seconds() + budget.seconds
                elif conditions and (conditions >= budget.conditions or cpu_seconds() >= deadline):
                    unevaluated.append(Unevaluated(workflow_id=start.workflow.id, reason="budget"))
                    continue
                conditions += 1
                if not start.condition.evaluate(self._context(start)).value:
                    continue
            matches.append(self._match(start))
        if not matches and not unevaluated:
            return None
        return EventMatched(
            event=self._source_event,
            definitions_version=self._tenant.version,
            matches=tuple(matches),
            unevaluated=tuple(unevaluated),
        )

    def _match(self, start: CompiledStart) -> Match:
        request = StartRequest(
            run_id=matched_run_id(self._match_id, start.workflow.id),
            event=source_event(self._event, self._data()) if start.approval is not None else self._source_event,
            inputs={},
            author=start.revision.author,
        )
        needs_context = start.approval is not None or start.renders_keys
        context: Context = self._context(start) if needs_context else {}
        return build_match(self._tenant, start, request, context, lambda: self._rules.steps_of(start))

    def _context(self, start: CompiledStart) -> Context:
        if "data" not in self._view:
            self._view["data"] = self._data()
        return start_context(
            tenant_id=self._tenant.id,
            workflow_id=start.workflow.id,
            workflow_name=start.workflow.name,
            revision=start.revision.number,
            event=self._view,
            inputs={},
        )

    def _data(self) -> object:
        if "data" in self._view:
            return self._view["data"]
        return event_data(self._event)


def event_data(event: Event) -> object:
    """An event's data as conditions and templates see it. Raises `InvalidInput` where it is no JSON for them.

    The same parser as reads records back: an approval's hash must not depend on who parsed a number.
    """
    if event.data is None:
        return None
    try:
        return from_json(event.data)
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
