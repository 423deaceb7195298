"""Why an event led to what it led to, and why to nothing else: for one workflow, or for all of a tenant, nearest first.

Computed when asked: definitions as of then are folded from the log again, and each revision is put to the event by the
evaluation that the matcher uses. Nothing is stored. **As of then** is the definitions version that the match recorded;
where nothing matched, the last definition recorded at the event's own instant or before it. There is no order between
topics but that of `recordedtime`, and the matcher may have known definitions that came moments after the event: only
a recorded match knows exactly.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal, Protocol

from services.api.core.explained import Explained, names_type, rank
from services.api.core.outcomes import outcome_of
from services.api.service.log_reader import LogReader
from services.api.service.matches import NO_RECORDS, Matches, Occurrence, WindowRecords
from services.api.service.ports import TenantGround
from services.api.service.tenants import current_tenant
from shared.domain.definitions import Revision, Tenant, Workflow
from shared.domain.definitions_history import DefinitionsThen, WorkflowThen
from shared.domain.errors import InvalidInput
from shared.readmodel.tenant_queries import TenantQueries
from shared.runtime.clock import cpu_seconds
from shared.runtime.histories import Histories
from shared.runtime.http import HttpProblem
from shared.workflows.catalogue import Catalogue
from shared.workflows.compiled import CompiledStart, compile_start
from shared.workflows.explaining import (
    EventSeen,
    Today,
    Verdict,
    WindowKnown,
    WindowsKnown,
    explain_start,
    see_event,
    sentence,
    windows_known,
)
from shared.workflows.hiding import Hiding

AsOf = Literal["then", "now"]

COMPILED_MAX = 2_048
"""Revisions that stay compiled between questions, some 20 KB each."""
WORKFLOWS_IN_ONE_GO = 8
"""Explained before others get their turn: some milliseconds, but for events with large arrays."""
SECONDS_IN_ONE_GO = 0.02


class ExplainDependencies(TenantGround, Protocol):
    """What explaining stands on."""

    @property
    def queries(self) -> TenantQueries: ...
    @property
    def catalogue(self) -> Catalogue: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """`workflow`: its id, or its name then or now (None: all); `revision`: as if that one had been live."""

    event_id: str
    workflow: str | None = None
    revision: int | None = None
    replay_id: str | None = None
    as_of: AsOf = "then"


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """`items` nearest first. `version`: of the definitions that were asked (None: there were none yet), begun at
    `version_at`; `version_from`: how it is known. `unreadable`: why the event could be put to nothing. `left_out`: workflows
    beyond the bounds on one question."""

    occurrence: Occurrence
    question: Question
    version: int | None
    version_at: datetime | None
    version_from: Literal["match", "time", "now"]
    items: tuple[Explained, ...]
    workflows: int
    left_out: int
    unreadable: str | None = None


class Explainer:
    """One a process."""

    def __init__(self, it: ExplainDependencies) -> None:
        self._it = it
        settings = it.settings
        self._hiding = Hiding(settings.hidden_names)
        self._histories = Histories(it.bus, timeout_seconds=settings.log_read_timeout_seconds)
        self._matches = Matches(
            it.bus,
            it.queries,
            LogReader(it.bus, settings.log_read_timeout_seconds),
            search_records_max=settings.explain_search_records_max,
        )
        self._compiled: OrderedDict[tuple[str, int, str], CompiledStart | str] = OrderedDict()

    async def explain(self, tenant_id: str, question: Question) -> Explanation:
        """Raises HttpProblem 404 for an event, a replay, a workflow or a revision that there is not."""
        if question.revision is not None and question.workflow is None:
            raise HttpProblem(400, "invalid-query", "`revision` is of one workflow: name it in `workflow` as well")
        occurrence = await self._matches.occurrence(tenant_id, question.event_id, question.replay_id)
        history = await self._histories.of(tenant_id)
        tenant = await current_tenant(self._it, tenant_id)
        match = occurrence.happened.match
        version = match.definitions_version if match is not None else history.version_at(occurrence.recorded_at)
        then = history.as_of(version)
        chosen = _chosen(tenant, then, occurrence, question, self._it.settings.explain_workflows_max)
        items: list[Explained] = []
        unreadable: str | None = None
        try:
            seen = see_event(occurrence.event, occurrence.recorded_at, self._hiding)
        except InvalidInput as error:
            unreadable = str(error)
        else:
            records = await self._window_records(tenant_id, chosen, then, occurrence, question)
            items = await self._explain_all(chosen, then, seen, occurrence, question, records)
        now = question.as_of == "now"
        return Explanation(
            occurrence=occurrence,
            question=question,
            version=tenant.version if now else then.version if then is not None else None,
            version_at=None if now or then is None else then.at,
            version_from="now" if now else "match" if match is not None else "time",
            items=tuple(sorted(items, key=rank)),
            workflows=len(tenant.workflows) if question.workflow is None else 1,
            left_out=len(tenant.workflows) - len(items) if question.workflow is None else 0,
            unreadable=unreadable,
        )

    async def _window_records(
        self,
        tenant_id: str,
        chosen: Sequence[Workflow],
        then: DefinitionsThen | None,
        occurrence: Occurrence,
        question: Question,
    ) -> WindowRecords:
        """Records of the windows that one workflow keeps; of many at once none are read, but for the runs they led to."""
        if question.workflow is None:
            return NO_RECORDS
        (workflow,) = chosen
        was = then.workflows.get(workflow.id) if then is not None and question.as_of == "then" else None
        start = self._start(workflow, _revision(workflow, was, question.revision))
        if isinstance(start, str) or not (start.counts or start.absences):
            return NO_RECORDS
        back = max(
            *(each.on.within_seconds + each.on.lateness_seconds for each in start.counts),
            *(each.on.within_seconds + each.on.lateness_seconds for each in start.absences),
            0,
        )
        at = occurrence.recorded_at
        return await self._matches.window_records(tenant_id, workflow.id, at - timedelta(seconds=back), at)

    def _windows(
        self, start: CompiledStart, seen: EventSeen, occurrence: Occurrence, records: WindowRecords
    ) -> WindowsKnown:
        tenant_id, event_id = occurrence.item.tenant_id, occurrence.event.id
        known = dict(windows_known(tenant_id, event_id, records.facts, start, seen.secrets, whole=records.whole))
        if start.workflow.id in occurrence.happened.runs:
            # A run is there: whichever window asked for it did, even where its records are too far to be read.
            digests = [*(each.trigger for each in start.counts), *(each.trigger for each in start.absences)]
            for digest in digests:
                known.setdefault(digest, WindowKnown(started=True, actual="complete", said="completed it"))
        return known

    async def _explain_all(
        self,
        chosen: Sequence[Workflow],
        then: DefinitionsThen | None,
        seen: EventSeen,
        occurrence: Occurrence,
        question: Question,
        records: WindowRecords,
    ) -> list[Explained]:
        """One at least; no further one is begun once the CPU time is used up: conditions can be made to be slow."""
        items: list[Explained] = []
        left = self._it.settings.explain_seconds_max
        in_one_go = 0.0
        for number, workflow in enumerate(chosen, start=1):
            began = cpu_seconds()
            items.append(self._explained(workflow, then, seen, occurrence, question, records))
            took = cpu_seconds() - began
            left, in_one_go = left - took, in_one_go + took
            if left <= 0:
                break
            if number % WORKFLOWS_IN_ONE_GO == 0 or in_one_go >= SECONDS_IN_ONE_GO:
                in_one_go = 0.0
                await asyncio.sleep(0)
        return items

    def _explained(
        self,
        workflow: Workflow,
        then: DefinitionsThen | None,
        seen: EventSeen,
        occurrence: Occurrence,
        question: Question,
        records: WindowRecords,
    ) -> Explained:
        was = then.workflows.get(workflow.id) if then is not None else None
        as_of_then = question.as_of == "then" or question.revision is not None
        revision = _revision(workflow, was if as_of_then else None, question.revision)
        name = was.name if was is not None and as_of_then else workflow.name
        start = self._start(replace(workflow, name=name), revision)
        verdict = (
            Verdict(matches=False, broken=start)
            if isinstance(start, str)
            else explain_start(start, self._it.catalogue, seen, self._windows(start, seen, occurrence, records))
        )
        outcome = outcome_of(
            workflow.id,
            revision.number,
            was,
            verdict,
            occurrence.happened,
            seen.secrets,
            self._ran(workflow, occurrence),
            as_of_then=as_of_then,
        )
        return Explained(
            workflow_id=workflow.id,
            name=name,
            revision=revision.number,
            priority=1000 if isinstance(start, str) else start.priority,
            then=was,
            now=WorkflowThen(
                id=workflow.id,
                name=workflow.name,
                enabled=workflow.enabled,
                archived=workflow.archived,
                revision=workflow.newest.number,
            ),
            verdict=verdict,
            outcome=outcome,
            sentence=sentence(name, revision.number, verdict, outcome, today=None if as_of_then else _state(workflow)),
        )

    def _ran(self, workflow: Workflow, occurrence: Occurrence) -> CompiledStart | None:
        """The revision that its run is of, which need not be the one that is explained; None: that cannot be known."""
        run = occurrence.happened.runs.get(workflow.id)
        revision = workflow.revision(run.revision) if run is not None else None
        start = self._start(workflow, revision) if revision is not None else None
        return None if isinstance(start, str) else start

    def _start(self, workflow: Workflow, revision: Revision) -> CompiledStart | str:
        """Compiled, or why it cannot be."""
        key = (workflow.id, revision.number, workflow.name)
        found = self._compiled.get(key)
        if found is None:
            try:
                found = compile_start(workflow, revision, self._it.catalogue)
            except InvalidInput as error:
                found = str(error)
            self._compiled[key] = found
            if len(self._compiled) > COMPILED_MAX:
                self._compiled.popitem(last=False)
        else:
            self._compiled.move_to_end(key)
        return found


def _chosen(
    tenant: Tenant, then: DefinitionsThen | None, occurrence: Occurrence, question: Question, most: int
) -> Sequence[Workflow]:
    """The workflows to explain: the one that is asked for, else all, at most `most`: first those that the match names, then
    those that were live, then those that name the event's type, by name."""
    if question.workflow is not None:
        return [_named(tenant, then, question.workflow, question.as_of)]
    match = occurrence.happened.match
    in_match = (
        {each.workflow_id for each in match.matches} | {each.workflow_id for each in match.unevaluated}
        if match
        else set()
    )
    were: Mapping[str, WorkflowThen] = then.workflows if then is not None else {}

    def likeliness(workflow: Workflow) -> tuple[bool, bool, bool, str, str]:
        was = were.get(workflow.id)
        revision = _revision(workflow, was, None)
        return (
            workflow.id not in in_match,
            was is None or not was.enabled,
            not names_type(revision.document, occurrence.event.type),
            workflow.name,
            workflow.id,
        )

    return sorted(tenant.workflows.values(), key=likeliness)[:most]


def _named(tenant: Tenant, then: DefinitionsThen | None, reference: str, as_of: AsOf) -> Workflow:
    if reference in tenant.workflows:
        return tenant.workflows[reference]
    were = then.workflows.values() if then is not None else ()
    # Of two that bore the name at that time, the one that was in use.
    once = sorted((each.archived, each.id) for each in were if each.name == reference)
    found_then = tenant.workflows[once[0][1]] if once else None
    found_now = tenant.workflow_named(reference)
    found = (found_then or found_now) if as_of == "then" else (found_now or found_then)
    if found is None:
        found = next((each for each in tenant.workflows.values() if each.name == reference), None)
    if found is None:
        detail = f"there is no workflow {reference!r}, by id or by the name that it has now or had when the event came"
        raise HttpProblem(404, "unknown-workflow", detail)
    return found


def _revision(workflow: Workflow, was: WorkflowThen | None, number: int | None) -> Revision:
    wanted = number if number is not None else was.revision if was is not None else workflow.newest.number
    found = workflow.revision(wanted)
    if found is None:
        newest = workflow.newest.number
        detail = f"workflow {workflow.name!r} has no revision {wanted}; the newest is {newest}"
        raise HttpProblem(404, "unknown-revision", detail)
    return found


def _state(workflow: Workflow) -> Today:
    return "live" if workflow.enabled else "archived" if workflow.archived else "disabled"
