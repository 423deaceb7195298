"""What saving a workflow demands beyond its shape: every name known, every expression sound, no cycle among the steps.

Guarantee: a document that passes compiles (`compiled.py`) and names only what exists; each flaw says where, what and how
to mend it, and all flaws are told at once.
"""

import difflib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from shared.domain.errors import Flaw, InvalidInput
from shared.domain.workflow import StepPlan
from shared.expressions import check_template, compile_condition, is_template
from shared.matching import parse_pattern
from shared.schedules.parse import zone_named
from shared.workflows.catalogue import Catalogue
from shared.workflows.document import Cooldown, Step, WorkflowDocument, pointer_to
from shared.workflows.triggers import (
    EventPattern,
    OnAbsence,
    OnCount,
    OnEvent,
    OnHook,
    OnRequest,
    OnSchedule,
    Start,
    event_pattern,
    merge_patterns,
)

WORKFLOW_ROOTS = frozenset({"event", "inputs", "workflow", "tenant"})
KEY_ROOTS = frozenset({"event", "workflow", "tenant"})
STEP_ROOTS = frozenset({"event", "inputs", "workflow", "tenant", "run", "steps"})
CONDITIONS_CHARACTERS_MAX = 32_768
TEMPLATES_CHARACTERS_MAX = 131_072
"""Of a workflow's strings that are templates; text without any is free."""
ALTERNATIVES_MAX = 2_000
"""Of all patterns of a workflow together."""
KNOWN_SHOWN_MAX = 20
"""Names that a flaw lists where one is not known: tenants may have hundreds of endpoints."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedWorkflow:
    """What `workflow.saved` holds: the document as it was read, with every default in it, and what the catalogue says."""

    document: dict[str, object]
    steps: tuple[StepPlan, ...]
    high_risk: bool


def check_document(
    document: WorkflowDocument, catalogue: Catalogue, *, endpoints: Mapping[str, str] | None = None
) -> CheckedWorkflow:
    """Raises `InvalidInput` with all flaws. `endpoints`: names of the tenant's endpoints, by
    name and by id (None: unchecked)."""
    flaws: list[Flaw] = _check_sizes(document)
    if flaws:
        raise InvalidInput("this workflow is too large to be checked", flaws)
    flaws += _check_zone(document)
    alternatives = 0
    for place, trigger in document.placed_triggers:
        found = _check_trigger(trigger, place, catalogue, document)
        flaws += found
        alternatives += 0 if found else _alternatives(trigger, catalogue, document)
        if alternatives > ALTERNATIVES_MAX:
            detail = f"the patterns of its triggers have more than {ALTERNATIVES_MAX} alternatives; split the workflow"
            raise InvalidInput("this workflow cannot be saved", [*flaws, Flaw(pointer="#/trigger", detail=detail)])
    schemas = _event_schemas(document, catalogue)
    flaws += _check_own_condition(document.if_, schemas)
    flaws += _check_cooldown(document.limits.cooldown, ("limits",))
    flaws += _check_shared(document)
    flaws += _check_graph(document)
    upstream = upstream_steps(document)
    for index, step in enumerate(document.steps):
        flaws += _check_step(step, index, catalogue, upstream.get(step.id, frozenset()), schemas, endpoints)
    if flaws:
        raise InvalidInput("this workflow cannot be saved", flaws)
    return CheckedWorkflow(
        document=document.model_dump(mode="json", by_alias=True),
        steps=tuple(
            StepPlan(
                id=step.id,
                uses=step.uses,
                needs=document.needs_of(index),
                effect=catalogue.actions[step.uses].effect(step.with_),
                on_error=step.on_error,
                on_unknown=step.on_unknown,
                endpoints=tuple(catalogue.actions[step.uses].endpoint_references(step.with_)),
            )
            for index, step in enumerate(document.steps)
        ),
        high_risk=any(catalogue.actions[step.uses].high_risk(step.with_) for step in document.steps),
    )


def upstream_steps(document: WorkflowDocument) -> Mapping[str, frozenset[str]]:
    """Per step, every step that has ended before it starts. Steps on a cycle are left out."""
    needs = {step.id: document.needs_of(index) for index, step in enumerate(document.steps)}
    found: dict[str, frozenset[str]] = {}
    remaining = dict(needs)
    while True:
        ready = [name for name, wanted in remaining.items() if all(each in found for each in wanted)]
        if not ready:
            return found
        for name in ready:
            direct = remaining.pop(name)
            found[name] = frozenset(direct).union(*(found[each] for each in direct))


def _check_sizes(document: WorkflowDocument) -> list[Flaw]:
    """Whoever saves makes the others wait while it is compiled, so before that: how much there is to compile in all."""
    flaws = []
    conditions = sum(len(each) for each in (document.if_, *(step.if_ for step in document.steps)) if each is not None)
    if conditions > CONDITIONS_CHARACTERS_MAX:
        detail = f"its conditions have {conditions} characters together; at most {CONDITIONS_CHARACTERS_MAX}: split the workflow"
        flaws.append(Flaw(pointer="#", detail=detail))
    templates = sum(_template_characters(step.with_) for step in document.steps)
    if templates > TEMPLATES_CHARACTERS_MAX:
        detail = f"its templates have {templates} characters together; at most {TEMPLATES_CHARACTERS_MAX}: split the workflow"
        flaws.append(Flaw(pointer="#/steps", detail=detail))
    return flaws


def _template_characters(config: object) -> int:
    found, open_values = 0, [config]
    while open_values:
        match open_values.pop():
            case str() as text if is_template(text):
                found += len(text)
            case Mapping() as members:
                open_values += members.values()
            case list() | tuple() as items:
                open_values += items
    return found


def _check_zone(document: WorkflowDocument) -> list[Flaw]:
    if zone_named(document.timezone) is None:
        detail = f"{document.timezone!r} is no IANA time zone; name one such as Europe/Paris or UTC"
        return [Flaw(pointer="#/timezone", detail=detail)]
    return []


def _check_cooldown(cooldown: Cooldown | None, base: tuple[str | int, ...]) -> list[Flaw]:
    if cooldown is None or not cooldown.key:
        return []
    key = cooldown.key
    return _guarded((*base, "cooldown", "key"), lambda: check_template(key, pointer="#", roots=WORKFLOW_ROOTS))


def _check_shared(document: WorkflowDocument) -> list[Flaw]:
    flaws = []
    seen: set[str] = set()
    for index, limit in enumerate(document.limits.shared):
        base = ("limits", "shared", index)
        if limit.tag not in document.tags:
            detail = f"this workflow does not carry the tag {limit.tag!r}; add it to its `tags`, or name one of them"
            flaws.append(Flaw(pointer=pointer_to(*base, "tag"), detail=detail))
        if limit.tag in seen:
            detail = f"{limit.tag!r} is named twice; put its bounds into one entry"
            flaws.append(Flaw(pointer=pointer_to(*base, "tag"), detail=detail))
        seen.add(limit.tag)
        flaws += _check_cooldown(limit.cooldown, base)
    return flaws


def _check_trigger(
    trigger: Mapping[str, object], base: tuple[str | int, ...], catalogue: Catalogue, document: WorkflowDocument
) -> list[Flaw]:
    flaws = []
    for key, value in trigger.items():
        kind = catalogue.triggers.get(key)
        if kind is None:
            flaws.append(_unknown("trigger", key, catalogue.triggers, (*base, key)))
            continue
        flaws += [_below((*base, key), flaw) for flaw in kind.flaws(value)]
    if flaws:
        return flaws
    try:
        start = trigger_start(trigger, catalogue, zone=document.timezone)
    except InvalidInput as error:
        return [_below(base, flaw) for flaw in error.flaws]
    return _check_start(start, base, document)


def _alternatives(trigger: Mapping[str, object], catalogue: Catalogue, document: WorkflowDocument) -> int:
    """Into how many the patterns of a trigger unfold that has passed its check; each stands in the index by itself."""
    match trigger_start(trigger, catalogue, zone=document.timezone):
        case OnEvent(pattern=pattern) | OnCount(pattern=pattern):
            patterns = [pattern]
        case OnAbsence(after=after, of=of):
            patterns = [after, of]
        case _:
            patterns = []
    return sum(len(parse_pattern(each).alternatives) if "$or" in repr(each) else 1 for each in patterns)


def trigger_start(trigger: Mapping[str, object], catalogue: Catalogue, *, zone: str) -> Start:
    """What one trigger waits for, all its kinds together. Raises `InvalidInput`."""
    starts = {key: catalogue.triggers[key].start(value, zone=zone) for key, value in trigger.items()}
    patterns: dict[str, EventPattern] = {}
    for key, start in starts.items():
        if isinstance(start, OnEvent):
            patterns[key] = start.pattern
        elif len(starts) == 1:
            return start
        else:
            detail = f"{key!r} stands alone: put it and the others into a list, any of which then starts a run"
            raise InvalidInput("triggers that exclude each other", [Flaw(pointer=f"#/{key}", detail=detail)])
    return OnEvent(pattern=merge_patterns(patterns))


def _event_schemas(document: WorkflowDocument, catalogue: Catalogue) -> list[Mapping[str, object]]:
    """Schemas of `event.data` where every trigger names catalogued types outright, as `event` or in a `pattern`; else none is
    known. A run that somebody asks for has no event: what no event has, it has even less."""
    schemas: list[Mapping[str, object]] = []
    for trigger in document.triggers:
        try:
            start = trigger_start(trigger, catalogue, zone=document.timezone)
        except (InvalidInput, KeyError):
            return []  # told of the trigger itself
        if isinstance(start, OnRequest):
            continue
        pattern = event_pattern(start)
        types = pattern.get("type") if pattern is not None else None
        if not isinstance(types, list | tuple):
            return []
        for each in types:
            schema = catalogue.event_schemas.get(each) if isinstance(each, str) else None
            if schema is None:
                return []
            schemas.append(schema)
    return schemas


def _check_start(start: Start, document_base: tuple[str | int, ...], document: WorkflowDocument) -> list[Flaw]:
    """What the kinds of trigger cannot know of each other or of the steps: that patterns parse, and what templates name."""
    match start:
        case OnEvent(pattern=pattern):
            return _guarded((*document_base, "pattern"), lambda: parse_pattern(pattern))
        case OnCount():
            return _check_key(start.key, (*document_base, "count", "key"))
        case OnAbsence():
            flaws = _check_key(start.after_key, (*document_base, "absence", "key"))
            if start.of_key != start.after_key:
                flaws += _check_key(start.of_key, (*document_base, "absence", "of", "key"))
            return flaws
        case OnHook(settings=settings):
            body = settings.answer.body if settings.answer is not None else None
            steps = frozenset(step.id for step in document.steps)
            return _guarded(
                (*document_base, "webhook", "answer", "body"),
                lambda: check_template(body, roots=STEP_ROOTS, pointer="#", known_steps=steps),
            )
        case OnSchedule() | OnRequest():
            return []


def _check_key(text: str, base: tuple[str | int, ...]) -> list[Flaw]:
    return _guarded(base, lambda: check_template(text, pointer="#", roots=KEY_ROOTS))


def _check_own_condition(text: str | None, schemas: Sequence[Mapping[str, object]]) -> list[Flaw]:
    """`inputs` compiles in what stands already, and says nothing: only events ask the workflow's own `if`, and have none."""
    flaws = _check_condition(text, ("if",), WORKFLOW_ROOTS, schemas, None)
    if text is None or flaws:
        return flaws
    if any(root == "inputs" for root, *_ in compile_condition(text, roots=WORKFLOW_ROOTS).paths):
        detail = (
            "inputs are empty here: a run that is asked for by hand does not ask this `if`; ask that of a step instead"
        )
        return [Flaw(pointer=pointer_to("if"), detail=detail)]
    return []


def _check_condition(
    text: str | None,
    base: tuple[str | int, ...],
    roots: frozenset[str],
    schemas: Sequence[Mapping[str, object]],
    known_steps: frozenset[str] | None,
) -> list[Flaw]:
    if text is None:
        return []
    return _guarded(
        base,
        lambda: compile_condition(text, pointer="#", roots=roots, data_schemas=schemas, known_steps=known_steps),
    )


def _check_graph(document: WorkflowDocument) -> list[Flaw]:
    flaws = []
    ids = [step.id for step in document.steps]
    for index, step in enumerate(document.steps):
        if step.id in ids[:index]:
            detail = f"{step.id!r} names two steps; give each its own id"
            flaws.append(Flaw(pointer=pointer_to("steps", index, "id"), detail=detail))
        for position, needed in enumerate(step.needs or ()):
            if needed not in ids:
                flaws.append(_unknown("step", needed, ids, ("steps", index, "needs", position)))
    if flaws:
        return flaws
    sound = upstream_steps(document)
    if len(sound) == len(ids):
        return []
    cycle = _cycle(document, next(name for name in ids if name not in sound), set(sound))
    start = ids.index(cycle[0])
    detail = f"these steps wait for each other: {' -> '.join(cycle)}; remove one of the needs"
    return [Flaw(pointer=pointer_to("steps", start, "needs"), detail=detail)]


def _cycle(document: WorkflowDocument, start: str, sound: set[str]) -> list[str]:
    needs = {step.id: document.needs_of(index) for index, step in enumerate(document.steps)}
    path = [start]
    while True:
        following = next(each for each in needs[path[-1]] if each not in sound)
        if following in path:
            return [*path[path.index(following) :], following]
        path.append(following)


def _check_step(
    step: Step,
    index: int,
    catalogue: Catalogue,
    upstream: frozenset[str],
    schemas: Sequence[Mapping[str, object]],
    endpoints: Mapping[str, str] | None,
) -> list[Flaw]:
    base = ("steps", index)
    flaws = _check_condition(step.if_, (*base, "if"), STEP_ROOTS, schemas, upstream)
    flaws += _guarded(
        (*base, "with"), lambda: check_template(step.with_, roots=STEP_ROOTS, pointer="#", known_steps=upstream)
    )
    action = catalogue.actions.get(step.uses)
    if action is None:
        return [*flaws, _unknown("action", step.uses, catalogue.actions, (*base, "uses"))]
    flaws += [_below((*base, "with"), flaw) for flaw in action.flaws(step.with_)]
    if endpoints is not None:
        for reference in action.endpoint_references(step.with_):
            if reference not in endpoints:
                flaws.append(
                    _unknown("endpoint", reference, frozenset(endpoints.values()), (*base, "with", "endpoint"))
                )
    return flaws


def _guarded(base: tuple[str | int, ...], compile_it: Callable[[], object]) -> list[Flaw]:
    try:
        compile_it()
    except InvalidInput as error:
        return [_below(base, flaw) for flaw in error.flaws] or [Flaw(pointer=pointer_to(*base), detail=error.title)]
    return []


def _below(base: tuple[str | int, ...], flaw: Flaw) -> Flaw:
    return Flaw(pointer=pointer_to(*base) + flaw.pointer.removeprefix("#"), detail=flaw.detail)


def _unknown(kind: str, name: str, known: Collection[str], location: tuple[str | int, ...]) -> Flaw:
    close = difflib.get_close_matches(name, known, n=1)
    shown = sorted(known)[:KNOWN_SHOWN_MAX]
    more = f" and {len(known) - len(shown)} more" if len(known) > len(shown) else ""
    hint = f"did you mean {close[0]!r}?" if close else f"known are: {', '.join(shown) or 'none yet'}{more}"
    return Flaw(pointer=pointer_to(*location), detail=f"there is no {kind} {name!r}; {hint}")
