"""One workflow's explanation, the order in which explanations are told, and the sentence on the whole event. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shared.domain.definitions_history import WorkflowThen
from shared.workflows.document import written_triggers
from shared.workflows.explaining import Outcome, Verdict

_SHARES = 1_000_000
_NOT_LIVE = {
    "not_yet_created": "; it did not exist yet then",
    "disabled": "; it was disabled then",
    "archived": "; it was archived then",
}
_BELOW = ("count", "absence", "after", "of")
"""Where a trigger names its events further down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """`then`: as it was when the event was matched (None: not yet made); `now`: as it is; `name` and `revision`: of what
    is explained."""

    workflow_id: str
    name: str
    revision: int
    priority: int
    then: WorkflowThen | None
    now: WorkflowThen
    verdict: Verdict
    outcome: Outcome
    sentence: str


def rank(each: Explained) -> tuple[str, str]:
    """By the share of clauses that hold; then what led to a run, what was live, by priority and name.

    A text and the id, so that a page can end anywhere.
    """
    share = _SHARES - round(each.verdict.share * _SHARES)
    had_run = each.outcome.run_id is None
    live = each.then is None or not each.then.enabled
    return f"{share:07d}{had_run:d}{live:d}{each.priority:05d}{each.name}", each.workflow_id


def sum_up(items: Sequence[Explained], event_type: str, workflows: int) -> str:
    """The whole event in a sentence."""
    if not items:
        return "there is no workflow that it could have started"
    runs = [each for each in items if each.outcome.kind in ("admitted", "asked")]
    skipped = [each for each in items if each.outcome.kind == "skipped"]
    unevaluated = [each for each in items if each.outcome.kind == "unevaluated"]
    undecided = [each for each in items if each.outcome.kind == "undecided"]
    told = [
        f"{len(group)} {word}"
        for group, word in (
            (runs, "led to a run"),
            (skipped, "skipped"),
            (unevaluated, "not evaluated"),
            (undecided, "not decided yet"),
        )
        if group
    ]
    if told:
        return f"of {_counted(workflows)}: {', '.join(told)}"
    if not any(_type_holds(each) for each in items):
        return f"no workflow is for events of the type {event_type}"
    nearest = items[0]
    share = f"{nearest.verdict.held} of {nearest.verdict.total} clauses hold"
    state = _NOT_LIVE.get(nearest.outcome.kind, "")
    return f"none of {_counted(workflows)} was started; the nearest is {nearest.name} ({share}{state})"


def _counted(workflows: int) -> str:
    return f"{workflows} workflow{'' if workflows == 1 else 's'}"


def names_type(document: Mapping[str, object], event_type: str) -> bool:
    """Whether a document looks as if it were for events of a type: for choosing what to explain first, not for verdicts."""
    return any(_looks_for(trigger, event_type) for _, trigger in written_triggers(document))


def _looks_for(trigger: Mapping[str, object], event_type: str) -> bool:
    named = trigger.get("event")
    if named is not None:
        types = named if isinstance(named, list | tuple) else [named]
        return any(_covers(str(each), event_type) for each in types)
    pattern = trigger.get("pattern")
    if not isinstance(pattern, Mapping):
        return any(_looks_for(below, event_type) for key in _BELOW if isinstance(below := trigger.get(key), Mapping))
    entries = pattern.get("type")
    return not isinstance(entries, list | tuple) or any(
        each == event_type or isinstance(each, Mapping) for each in entries
    )


def _covers(named: str, event_type: str) -> bool:
    return named in ("*", event_type) or (named.endswith(".*") and event_type.startswith(named[:-1]))


def _type_holds(each: Explained) -> bool:
    """Whether some trigger takes events of this type, as far as its clauses say."""
    return any(
        trigger.total and all(clause.holds for clause in trigger.clauses if clause.path == "type")
        for trigger in each.verdict.triggers
    )
