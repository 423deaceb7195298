"""Each trigger of a document explained, one function for each way in which a trigger can start a run.

A trigger that compiles to an event pattern is explained clause by clause. One that no event ever starts (`manual`) says so.
Next: `conditions.py`.
"""

from collections.abc import Iterator, Mapping

from shared.matching import EventFields, Pattern, explain
from shared.workflows.catalogue import Catalogue
from shared.workflows.check import trigger_start
from shared.workflows.compiled import CompiledStart
from shared.workflows.document import pointer_to
from shared.workflows.explaining.clauses import Origin, clauses_of
from shared.workflows.explaining.values import Trigger
from shared.workflows.hiding import Hiding
from shared.workflows.triggers import OnEvent

_STARTED_BY = {"manual": "only a person or a service that asks for a run starts it"}


def explain_triggers(
    start: CompiledStart, catalogue: Catalogue, fields: EventFields, hiding: Hiding
) -> tuple[Trigger, ...]:
    """In the document's order."""
    document = start.revision.document
    patterns: Iterator[Pattern] = iter(start.patterns)
    written = document["trigger"]
    each_with_pointer = (
        [(pointer_to("trigger", index), each) for index, each in enumerate(written)]
        if isinstance(written, list | tuple)
        else [(pointer_to("trigger"), written)]
    )
    found = []
    for pointer, trigger in each_with_pointer:
        if not isinstance(trigger, Mapping):
            raise AssertionError(f"{pointer} of a saved workflow is no trigger")
        if not isinstance(trigger_start(trigger, catalogue, zone=start.limits.zone), OnEvent):
            found.append(_explain_without_events(pointer, trigger))
        else:
            found.append(_explain_pattern(pointer, trigger, next(patterns), document, catalogue, fields, hiding))
    return tuple(found)


def _explain_without_events(pointer: str, trigger: Mapping[str, object]) -> Trigger:
    kind = "+".join(trigger)
    note = _STARTED_BY.get(kind, "no event starts it")
    return Trigger(pointer=pointer, kind=kind, holds=False, clauses=(), held=0, total=0, note=note)


def _explain_pattern(
    pointer: str,
    trigger: Mapping[str, object],
    pattern: Pattern,
    document: Mapping[str, object],
    catalogue: Catalogue,
    fields: EventFields,
    hiding: Hiding,
) -> Trigger:
    explanation = explain(pattern, fields)
    clauses, left_out = clauses_of(explanation, _origins(pointer, trigger, catalogue), document, fields, hiding)
    nearest = explanation.nearest.clauses
    return Trigger(
        pointer=pointer,
        kind="+".join(trigger),
        holds=explanation.matches,
        clauses=clauses,
        held=sum(clause.holds for clause in nearest),
        total=len(nearest),
        note=f"{left_out} more clauses are not shown" if left_out else None,
    )


def _origins(pointer: str, trigger: Mapping[str, object], catalogue: Catalogue) -> dict[str, Origin]:
    origins = {}
    for key, value in trigger.items():
        said = catalogue.triggers[key].start(value, zone="UTC")
        pattern = said.pattern if isinstance(said, OnEvent) else {}
        for field in pattern:
            origins[field] = Origin(f"{pointer}{pointer_to(key).removeprefix('#')}", pattern == value)
    return origins
