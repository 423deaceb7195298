"""From deltas to rows: plain tuples in the order of `write_sql.py`'s columns. Pure, and on the hot path: about 6 µs a run.

Runs are the fold's own, still changing objects: rows of a delta must be made before more of its partition is folded.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from pydantic import TypeAdapter

from shared.bus.topics import DEFINITIONS, EVENTS, RUNS
from shared.domain.absence import Absence
from shared.domain.definitions import Endpoint, Source
from shared.domain.ids import match_id
from shared.domain.json_text import dump_json
from shared.domain.runs.approvals import qualified_role
from shared.domain.runs.delta import RunsDelta
from shared.domain.runs.fold import CommandKey
from shared.domain.runs.state import Run, Step
from shared.domain.verdicts import Verdict
from shared.domain.windows import Count, Cursor, Window
from shared.readmodel.deltas import DefinitionsDelta, EventsDelta, RevisionRow, key_text, plain_text
from shared.readmodel.write_sql import OLD_WINDOWS, TABLES

Row = tuple[object, ...]

ROWS_AT_ONCE = 16
"""So many are made, or put into arrays, before events on their way get their turn: less than a millisecond."""

RUN_STATE: TypeAdapter[Run] = TypeAdapter(Run)
"""A whole run, from the `state` column back into the fold."""


WINDOW_STATES: Mapping[str, TypeAdapter[Window]] = {
    each.__name__.lower(): TypeAdapter(each) for each in (Count, Absence, Cursor)
}
"""A window, from the `state` column back, by the `kind` column."""


class RunRow(NamedTuple):
    """A run as it is listed. The fields are the columns of `runs`, in their order; `positions` is an array's text."""

    tenant_id: str
    run_id: str
    workflow_id: str
    workflow_name: str
    revision: int
    priority: int
    status: str
    reason_kind: str | None
    reason: str | None
    event_id: str | None
    event_type: str | None
    event_subject: str | None
    replay_id: str | None
    match_id: str | None
    requested_by: str | None
    requested_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    partition: int
    positions: str
    correlation_id: str | None
    causation_id: str | None
    traceparent: str | None
    open: bool
    summary: str
    state: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgettable:
    """What a fold may let go of once these rows are written: `RunsFold.forget(*…)`."""

    run_ids: list[str]
    match_ids: list[str]
    commands: list[CommandKey]


@dataclass(slots=True, kw_only=True)
class Rows:
    """One write: rows by table, and the checkpoints that move with them (topic, partition, start, next, now)."""

    moves: list[tuple[str, int, int, int, datetime | None]] = field(default_factory=list)
    tables: dict[str, list[Row]] = field(default_factory=dict)
    forgettable: dict[int, Forgettable] = field(default_factory=dict)
    """By partition of the runs."""

    def add(self, table: str, rows: Iterable[Row]) -> None:
        found = list(rows)
        if found:
            self.tables.setdefault(table, []).extend(found)

    def newest_only(self) -> "Rows":
        """Of rows with one key only the last: one statement may touch a row once."""
        tables = {}
        for name, rows in self.tables.items():
            keys = len(TABLES[name].keys) if name in TABLES else None
            tables[name] = list({row[:keys]: row for row in rows}.values())
        return Rows(moves=self.moves, tables=tables, forgettable=self.forgettable)

    @property
    def count(self) -> int:
        return sum(map(len, self.tables.values()))


def build_rows(
    runs: Sequence[RunsDelta], events: Sequence[EventsDelta] = (), definitions: Sequence[DefinitionsDelta] = ()
) -> Rows:
    """Everything that one transaction writes."""
    rows = Rows()
    add_rows(rows, runs, events, definitions)
    return rows


def add_rows(
    rows: Rows,
    runs: Iterable[RunsDelta] = (),
    events: Iterable[EventsDelta] = (),
    definitions: Iterable[DefinitionsDelta] = (),
) -> None:
    """More of what one transaction writes."""
    for delta in runs:
        rows.moves.append((RUNS, delta.partition, delta.start, delta.end, delta.now))
        _add_runs(rows, delta)
    for events_delta in events:
        rows.moves.append((EVENTS, events_delta.partition, events_delta.start, events_delta.end, events_delta.now))
        rows.add("events", events_delta.rows)
    for each in definitions:
        rows.moves.append((DEFINITIONS, each.partition, each.start, each.end, each.now))
        _add_definitions(rows, each)


def forgettable_of(delta: RunsDelta) -> Forgettable:
    """The same for whoever does not write the rows: what its fold may let go of once the checkpoint has passed `delta`."""
    events = [run.event for run in delta.runs.values() if run.event is not None]
    return Forgettable(
        run_ids=[run.id for run in delta.runs.values() if run.closed],
        match_ids=list({match_id(event.id, event.replay_id) for event in events}),
        commands=list(delta.verdicts),
    )


def _add_runs(rows: Rows, delta: RunsDelta) -> None:
    partition = delta.partition
    run_rows = [run_row(run, partition) for run in delta.runs.values()]
    rows.add("runs", run_rows)
    rows.forgettable[partition] = Forgettable(
        run_ids=[row.run_id for row in run_rows if not row.open],
        match_ids=list({row.match_id for row in run_rows if row.match_id is not None}),
        commands=list(delta.verdicts),
    )
    rows.add("approvals", [approval_row(run, partition) for run in delta.runs.values() if run.approval is not None])
    rows.add("activity", _activity_rows(delta))
    rows.add(
        "monthly_runs",
        [(key_text(tenant_id), month, partition, runs) for (tenant_id, month), runs in delta.months.items()],
    )
    if delta.cooldown_ends:
        rows.add("cooldowns", _cooldown_rows(delta))
        rows.add("old_cooldowns", [(*map(key_text, scope), end) for scope, end in delta.cooldown_ends.items()])
    if delta.windows:
        _add_windows(rows, delta)
    rows.add("commands", [_command_row(RUNS, *key, verdict) for key, verdict in delta.verdicts.items()])


def run_row(run: Run, partition: int) -> RunRow:
    """The row of a run. Only a run that the log may still change keeps its state."""
    event, match, reason = run.event, run.match, run.reason
    is_open = not run.closed
    state = _json(run) if is_open else None
    return RunRow(
        key_text(run.tenant_id),
        key_text(run.id),
        key_text(match.workflow_id),
        plain_text(match.workflow_name),
        match.revision,
        match.priority,
        run.status,
        plain_text(reason.kind) if reason is not None else None,
        plain_text(reason.detail) if reason is not None else None,
        key_text(event.id) if event is not None else None,
        plain_text(event.type) if event is not None else None,
        _optional(event.subject) if event is not None else None,
        key_text(event.replay_id) if event is not None and event.replay_id is not None else None,
        match_id(event.id, event.replay_id) if event is not None else None,
        _optional(run.requested_by),
        run.requested_at,
        run.started_at,
        run.ended_at,
        partition,
        f"{{{','.join(map(str, run.positions))}}}",
        _optional(run.correlation_id),
        _optional(run.causation_id),
        _optional(run.traceparent),
        is_open,
        _json(summary(run)),
        state,
    )


def summary(run: Run) -> dict[str, object]:
    """What is shown of a run beyond its columns. Requests and outputs stay in the log: `positions` leads to them."""
    return {"inputs": run.inputs, "steps": [_step(run, step) for step in run.steps.values()]}


def approval_row(run: Run, partition: int) -> Row:
    """The row of a run's approval, in the order of `write_sql.APPROVALS`."""
    approval, rule = run.approval, run.match.approval
    if approval is None or rule is None:
        raise AssertionError(f"run {run.id} waits for no approval")
    return (
        key_text(run.tenant_id),
        key_text(approval.id),
        key_text(run.id),
        key_text(run.match.workflow_id),
        plain_text(run.match.workflow_name),
        approval.status,
        approval.requested_at,
        approval.expires_at,
        _json([qualified_role(role) for role in rule.roles]),
        rule.quorum,
        rule.self_approval,
        _optional(rule.author),
        plain_text(rule.subject_hash),
        _json(approval.decisions),
        approval.decided_at,
        _optional(approval.decided_by),
        partition,
    )


def _activity_rows(delta: RunsDelta) -> Iterator[Row]:
    """Of workflows, then of tags; a tag's quarters as pairs, since they are no names."""
    for (tenant_id, workflow_id), (day, runs) in delta.days.items():
        yield (key_text(tenant_id), key_text(workflow_id), delta.partition, day, runs, None, 0)
    for (tenant_id, scope), (quarters, cooldown_seconds) in delta.tags.items():
        pairs = _json(list(quarters.items()))
        yield (key_text(tenant_id), key_text(scope), delta.partition, "", 0, pairs, cooldown_seconds)


def _cooldown_rows(delta: RunsDelta) -> Iterator[Row]:
    for (tenant_id, scope, key), at in delta.cooldowns.items():
        written = key.encode("utf-8", "surrogatepass")
        digest = hashlib.sha256(written).digest()[:16]
        yield (key_text(tenant_id), key_text(scope), digest, delta.partition, written, at)


def _add_windows(rows: Rows, delta: RunsDelta) -> None:
    for key, window in delta.windows.items():
        written = key.key.encode("utf-8", "surrogatepass")
        named = (
            key_text(key.tenant_id),
            key_text(key.workflow_id),
            key_text(key.trigger),
            hashlib.sha256(written).digest()[:16],
        )
        if window is None:
            rows.add(OLD_WINDOWS, [named])
        else:
            kind = type(window).__name__.lower()
            rows.add("windows", [(*named, delta.partition, written, kind, _json(window))])


def _command_row(topic: str, tenant_id: str, command_id: str, verdict: Verdict) -> Row:
    return (
        key_text(tenant_id),
        topic,
        key_text(command_id),
        plain_text(verdict.payload_hash),
        verdict.status,
        _json(verdict.body),
        verdict.decided_at,
    )


def _add_definitions(rows: Rows, delta: DefinitionsDelta) -> None:
    rows.add(
        "tenants",
        [(key_text(each[0]), plain_text(each[1]), plain_text(each[2]), *each[3:]) for each in delta.tenants.values()],
    )
    rows.add("sources", map(_source_row, delta.sources.values()))
    rows.add("endpoints", map(_endpoint_row, delta.endpoints.values()))
    rows.add(
        "workflows",
        [
            (key_text(each[0]), key_text(each[1]), key_text(each.name), each.enabled, each.revision, each.archived)
            for each in delta.workflows.values()
        ],
    )
    rows.add(
        "workflow_revisions",
        [_revision_row(tenant_id, workflow_id, each) for (tenant_id, workflow_id, _), each in delta.revisions.items()],
    )
    rows.add("commands", [_command_row(DEFINITIONS, *key, verdict) for key, verdict in delta.verdicts.items()])


def _source_row(source: Source) -> Row:
    return (
        key_text(source.tenant_id),
        key_text(source.id),
        key_text(source.name),
        plain_text(source.vendor),
        _json(dict(source.settings)),
        _json(source.secrets),
        source.created_at,
    )


def _endpoint_row(endpoint: Endpoint) -> Row:
    return (
        key_text(endpoint.tenant_id),
        key_text(endpoint.id),
        key_text(endpoint.name),
        plain_text(endpoint.url),
        _json(endpoint.secrets),
        endpoint.created_at,
        endpoint.revision,
        _optional(endpoint.disabled_reason),
    )


def _revision_row(tenant_id: str, workflow_id: str, row: RevisionRow) -> Row:
    revision = row.revision
    return (
        key_text(tenant_id),
        key_text(workflow_id),
        revision.number,
        _json(dict(revision.document)),
        _json(revision.steps),
        revision.high_risk,
        plain_text(revision.author),
        revision.saved_at,
        plain_text(row.changes),
    )


def _step(run: Run, step: Step) -> Mapping[str, object]:
    shown: dict[str, object] = {"id": step.id, "status": step.status, "number": step.number}
    for plan in run.match.steps:
        if plan.id == step.id:
            shown["uses"], shown["needs"] = plan.uses, plan.needs
            break
    if step.due_at is not None:
        shown["due_at"] = step.due_at
    if step.problem is not None:
        shown["problem"] = step.problem
    if step.reason is not None:
        shown["reason"] = step.reason
    if step.attempts:
        shown["attempts"] = step.attempts
    return shown


def _optional(text: str | None) -> str | None:
    return plain_text(text) if text is not None else None


def _json(value: object) -> str:
    return dump_json(value).decode()
