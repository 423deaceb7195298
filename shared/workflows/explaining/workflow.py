"""Whether one revision would start a run for one event, and why: the evaluation that `decide` makes, told clause by clause.

Guarantee: `Verdict.matches` is what `decide` says of the same revision and event with an unlimited budget for conditions; a
property test holds it. Of an event whose arrays are too much to be looked at it says so, and never yes. Next: `sentence.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from shared.domain.envelope import Event
from shared.expressions import Template
from shared.matching import EventFields
from shared.workflows.catalogue import Catalogue
from shared.workflows.compiled import CompiledStart
from shared.workflows.context import attributes_view
from shared.workflows.decide import event_data, fields_of
from shared.workflows.event_secrets import EventSecrets
from shared.workflows.explaining.conditions import explain_condition
from shared.workflows.explaining.triggers import explain_triggers
from shared.workflows.explaining.values import Verdict
from shared.workflows.explaining.windows import WindowsKnown
from shared.workflows.hiding import Hiding
from shared.workflows.watching import LeftOut, watch_context, window_key


@dataclass(frozen=True, slots=True)
class EventSeen:
    """An event as patterns see it and as conditions see it: each parsed once, for however many workflows. `secrets`: what
    of it nobody is to read."""

    event: Event
    recorded_at: datetime
    fields: EventFields
    view: Mapping[str, object]
    secrets: EventSecrets


def see_event(event: Event, recorded_at: datetime, hiding: Hiding) -> EventSeen:
    """As the matcher sees it. Raises `InvalidInput` where its data is no JSON."""
    view = {**attributes_view(event, event.tenant_id), "data": event_data(event)}
    return EventSeen(event, recorded_at, fields_of(event), view, EventSecrets(hiding, view))


def explain_start(
    start: CompiledStart, catalogue: Catalogue, event: EventSeen, windows: WindowsKnown | None = None
) -> Verdict:
    """Whether this revision is started by the event, as if it had been live. `windows`: what the log tells of those that
    the event was counted or waited for in; without it, it completes none."""
    context = watch_context(event.event.tenant_id, start, event.view)

    def key_of(template: Template, lateness_seconds: int) -> str | LeftOut:
        return window_key(template, context, event.event, event.recorded_at, lateness_seconds)

    triggers = explain_triggers(start, catalogue, event.fields, event.secrets, windows or {}, key_of)
    nearest = max(triggers, key=lambda each: (each.holds, each.held / each.total if each.total else 0.0))
    condition = None
    if start.condition is not None:
        condition = explain_condition(start.condition, context, event.secrets)
    matches = nearest.holds and (condition is None or condition.holds)
    return Verdict(matches=matches, triggers=triggers, nearest=nearest, condition=condition)
