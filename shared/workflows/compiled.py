"""A saved revision made ready: patterns, conditions and templates compiled once, for as long as the revision is used.

The matcher needs `CompiledStart`, the executor `CompiledStep`; both are made from the document in `workflow.saved`, which
passed `check.py` when it was saved. A revision that no longer compiles (its action is gone, say) raises `InvalidInput`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from shared.domain.definitions import Revision, Workflow
from shared.domain.workflow import Limits, SharedLimit
from shared.expressions import Condition, Template, compile_condition, compile_template, sha256_hex
from shared.matching import Pattern, parse_pattern
from shared.schedules import Schedule
from shared.workflows.catalogue import Catalogue
from shared.workflows.check import KEY_ROOTS, STEP_ROOTS, WORKFLOW_ROOTS, trigger_start
from shared.workflows.document import (
    Approval,
    Cooldown,
    Retry,
    SharedLimits,
    WorkflowDocument,
    parse_document,
    written_triggers,
)
from shared.workflows.hooks import start_pattern
from shared.workflows.triggers import OnAbsence, OnCount, OnSchedule, firing_pattern

DIGEST_CHARS = 16
"""Of a trigger's digest: it tells the triggers of one workflow apart, no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledCount:
    """`trigger`: the digest of its settings, by which its windows are found again under any revision that keeps them."""

    trigger: str
    on: OnCount
    pattern: Pattern
    key: Template


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledAbsence:
    """`trigger` as above."""

    trigger: str
    on: OnAbsence
    after: Pattern
    of: Pattern
    after_key: Template
    of_key: Template


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledSchedule:
    """`trigger` as above. `firing`: the events that say that a planned instant has come."""

    trigger: str
    schedule: Schedule
    firing: Pattern


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledStart:
    """Why and under which rules a run of this revision begins."""

    workflow: Workflow
    revision: Revision
    patterns: tuple[Pattern, ...]
    """Any of them starts it at once."""
    counts: tuple[CompiledCount, ...]
    absences: tuple[CompiledAbsence, ...]
    schedules: tuple[CompiledSchedule, ...]
    manual: bool
    condition: Condition | None
    cooldown_key: Template | None
    limits: Limits
    shared: tuple["CompiledSharedLimit", ...]
    approval: Approval | None
    """None: none is needed."""
    priority: int
    stop_on_match: bool

    @property
    def planned(self) -> tuple[CompiledSchedule, ...]:
        """The schedules, each once, however often the document says it: alike they have one cursor, and one firing an instant."""
        return tuple({each.trigger: each for each in self.schedules}.values())

    @property
    def renders_keys(self) -> bool:
        """Whether asking for a run takes the event's data, for a cooldown's key."""
        if self.cooldown_key is not None:
            return True
        return bool(self.shared) and any(each.key is not None for each in self.shared)


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledSharedLimit:
    """What is held against the common count of a tag; `key` is still to be rendered."""

    limit: SharedLimit
    key: Template | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledStep:
    """What one step does, when, and how often it is tried."""

    id: str
    uses: str
    template: Template
    condition: Condition | None
    retry: Retry | None
    timeout_seconds: float | None


def compile_start(workflow: Workflow, revision: Revision, catalogue: Catalogue) -> CompiledStart:
    """For the matcher, the tester, the backtest and manual runs."""
    document = parse_document(revision.document)
    starts = [
        (_digest(trigger), trigger_start(trigger, catalogue, zone=document.timezone)) for trigger in document.triggers
    ]
    return CompiledStart(
        workflow=workflow,
        revision=revision,
        patterns=tuple(
            parse_pattern(pattern)
            for _, on in starts
            if (pattern := start_pattern(on, workflow.tenant_id, workflow.id)) is not None
        ),
        counts=tuple(_count(digest, on) for digest, on in starts if isinstance(on, OnCount)),
        schedules=tuple(_schedule(workflow.id, digest, on) for digest, on in starts if isinstance(on, OnSchedule)),
        absences=tuple(_absence(digest, on) for digest, on in starts if isinstance(on, OnAbsence)),
        manual=any("manual" in trigger for trigger in document.triggers),
        condition=compile_condition(document.if_, roots=WORKFLOW_ROOTS) if document.if_ is not None else None,
        cooldown_key=_key(document.limits.cooldown),
        limits=_limits(document),
        shared=tuple(_shared(each) for each in document.limits.shared),
        approval=document.approval if _needs_approval(document, revision) else None,
        priority=document.priority,
        stop_on_match=document.stop_on_match,
    )


def trigger_digests(revision: Revision) -> frozenset[str]:
    """Of every trigger that a revision has."""
    return frozenset(_digest(trigger) for _, trigger in written_triggers(revision.document))


def compile_steps(revision: Revision) -> Mapping[str, CompiledStep]:
    """For the executor and for what an approval shows, by step id, in the document's order."""
    document = parse_document(revision.document)
    return {
        step.id: CompiledStep(
            id=step.id,
            uses=step.uses,
            template=compile_template(step.with_, roots=STEP_ROOTS),
            condition=compile_condition(step.if_, roots=STEP_ROOTS) if step.if_ is not None else None,
            retry=step.retry,
            timeout_seconds=step.timeout_seconds,
        )
        for step in document.steps
    }


def _digest(trigger: Mapping[str, object]) -> str:
    return sha256_hex(trigger)[:DIGEST_CHARS]


def _count(trigger: str, on: OnCount) -> CompiledCount:
    return CompiledCount(
        trigger=trigger, on=on, pattern=parse_pattern(on.pattern), key=compile_template(on.key, roots=KEY_ROOTS)
    )


def _schedule(workflow_id: str, trigger: str, on: OnSchedule) -> CompiledSchedule:
    firing = parse_pattern(firing_pattern(workflow_id, trigger))
    return CompiledSchedule(trigger=trigger, schedule=on.schedule, firing=firing)


def _absence(trigger: str, on: OnAbsence) -> CompiledAbsence:
    return CompiledAbsence(
        trigger=trigger,
        on=on,
        after=parse_pattern(on.after),
        of=parse_pattern(on.of),
        after_key=compile_template(on.after_key, roots=KEY_ROOTS),
        of_key=compile_template(on.of_key, roots=KEY_ROOTS),
    )


def _needs_approval(document: WorkflowDocument, revision: Revision) -> bool:
    when = document.approval.when
    return when == "always" or (when == "auto" and revision.high_risk)


def _limits(document: WorkflowDocument) -> Limits:
    limits = document.limits
    return Limits(
        max_runs_per_day=limits.max_runs_per_day,
        cooldown_seconds=limits.cooldown.seconds if limits.cooldown is not None else None,
        max_concurrent=limits.max_concurrent,
        max_queued=limits.max_queued,
        max_depth=limits.max_depth,
        reentrant=limits.reentrant,
        zone=document.timezone,
    )


def _shared(limits: SharedLimits) -> CompiledSharedLimit:
    limit = SharedLimit(
        tag=limits.tag,
        max_runs_per_day=limits.max_runs_per_day,
        max_concurrent=limits.max_concurrent,
        cooldown_seconds=limits.cooldown.seconds if limits.cooldown is not None else None,
    )
    return CompiledSharedLimit(limit=limit, key=_key(limits.cooldown))


def _key(cooldown: Cooldown | None) -> Template | None:
    return compile_template(cooldown.key, roots=WORKFLOW_ROOTS) if cooldown is not None else None
