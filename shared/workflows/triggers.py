"""What a trigger, once read, waits for. Each kind of trigger (`services/matcher/triggers`) turns its settings into one of these.

Guarantee: whoever asks what starts a workflow (the stream, the tester, the explanation, the backtest) asks these values;
a new kind of trigger that can be said as one of them needs nothing else anywhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from shared.domain.errors import Flaw, InvalidInput
from shared.domain.hooks import HOOK_EVENT
from shared.domain.schemas.own import SCHEDULE_FIRED
from shared.schedules import Schedule
from shared.workflows.webhook import WebhookSettings

FIRING_SOURCE = "/upshot/matcher"
"""Publishers cannot use it: sources below /upshot/ are the platform's own."""
OWN_PREFIX = "upshot."
"""Types of events that the platform itself appends for one workflow."""

EventPattern = Mapping[str, object]
"""An EventBridge event pattern over the CloudEvents view of an event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OnEvent:
    """Every event that the pattern matches."""

    pattern: EventPattern


@dataclass(frozen=True, slots=True, kw_only=True)
class OnRequest:
    """A person or a service asks; no event ever starts it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OnCount:
    """The `times`-th event of one key within `within_seconds` of event time. Events that completed a count are used up."""

    pattern: EventPattern
    times: int
    within_seconds: int
    lateness_seconds: int
    """An event that was recorded longer than this after its own time is left out."""
    key: str
    """A template over the event; empty: one count for the whole workflow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OnAbsence:
    """An event of `after` that no event of `of` with the same key follows within `within_seconds` of event time."""

    after: EventPattern
    of: EventPattern
    within_seconds: int
    lateness_seconds: int
    """How long after its own time an event may be recorded and still count: so much later the absence is certain."""
    after_key: str
    of_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OnSchedule:
    """Planned instants; each is an event of its own (`firing_pattern`)."""

    schedule: Schedule


@dataclass(frozen=True, slots=True, kw_only=True)
class OnHook:
    """A delivery to a URL of the workflow's own. Which URL that is follows from the workflow: `hooks.py`."""

    settings: WebhookSettings


Start = OnEvent | OnRequest | OnCount | OnAbsence | OnSchedule | OnHook


def event_pattern(start: Start) -> EventPattern | None:
    """The pattern of the event that a run of this trigger is about: what `if` and the steps see. None: of no event."""
    match start:
        case OnEvent(pattern=pattern) | OnCount(pattern=pattern) | OnAbsence(after=pattern):
            return pattern
        case OnSchedule():
            return {"type": [SCHEDULE_FIRED.name]}
        case OnHook():
            return {"type": [HOOK_EVENT]}
        case OnRequest():
            return None


def firing_pattern(workflow_id: str, trigger: str) -> EventPattern:
    """The firings of one schedule: nobody but the matcher appends under that source."""
    return {
        "source": [FIRING_SOURCE],
        "type": [SCHEDULE_FIRED.name],
        "subject": [workflow_id],
        "data": {"trigger": [trigger]},
    }


def merge_patterns(patterns: Mapping[str, EventPattern]) -> EventPattern:
    """What several kinds of one trigger ask together, by kind. Raises `InvalidInput` where two name the same field."""
    merged: dict[str, object] = {}
    for kind, pattern in patterns.items():
        for field, clause in pattern.items():
            if field in merged:
                detail = f"{field!r} is named twice, by {kind!r} and by its neighbour; name it in one of them"
                raise InvalidInput("triggers that exclude each other", [Flaw(pointer=f"#/{kind}", detail=detail)])
            merged[field] = clause
    return merged
