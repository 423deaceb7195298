"""From records and changes to deltas: what there is to write of them. Pure.

Next: `shared/readmodel/rows.py` makes rows of deltas.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from shared.bus import codec
from shared.bus.codec import UndecodableRecord
from shared.bus.partitioner import partition_of
from shared.bus.port import Record
from shared.bus.topics import EVENTS, RUNS
from shared.domain.definitions import Change, Endpoint, Source, Tenant, Workflow
from shared.domain.envelope import routing_key
from shared.domain.runs.delta import RunsDelta
from shared.readmodel.deltas import (
    DefinitionsDelta,
    EventRow,
    EventsDelta,
    RevisionRow,
    TenantRow,
    WorkflowRow,
    key_text,
    plain_text,
)
from shared.workflows.changes import changes_in_a_line, same


def event_row(record: Record, partition_count: int) -> EventRow | None:
    """The row of a platform event, or None where there is none to list here.

    The unreadable becomes a dead letter. A record in a partition that is not its tenant's is appended again to the right
    one, with the same id: listing both would let the order between partitions decide which one stands.
    """
    try:
        event = codec.decode(record)
        recorded_at = codec.recorded_at(record)
    except UndecodableRecord:
        return None
    if partition_of(routing_key(event.tenant_id, event.subject), partition_count) != record.partition:
        return None
    return EventRow(
        key_text(event.tenant_id),
        key_text(event.id),
        key_text(event.type),
        key_text(event.source),
        _optional(event.subject),
        event.time,
        recorded_at,
        record.partition,
        record.offset,
        len(event.data) if event.data is not None else 0,
        _optional(event.correlation_id),
        _optional(event.causation_id),
    )


def include_events(delta: EventsDelta, records: Sequence[Record], partition_count: int) -> None:
    """Add records that follow `delta`, in order."""
    for record in records:
        row = event_row(record, partition_count)
        if row is not None:
            delta.rows.append(row)
            delta.now = max(delta.now or row.recorded_at, row.recorded_at)
        delta.end = record.offset + 1


def include_change(
    delta: DefinitionsDelta, change: Change, tenant: Tenant | None, recorded_at: datetime, end: int
) -> None:
    """Add what one more fact changed. `tenant` as it stands right after it; `end` is the fact's offset + 1."""
    delta.end, delta.now = end, max(delta.now or recorded_at, recorded_at)
    delta.verdicts[change.tenant_id, change.verdict.command_id] = change.verdict
    if tenant is not None and change.entity is not None:
        # Its version counts every change, whatever it was that changed.
        delta.tenants[tenant.id] = TenantRow(
            tenant.id,
            tenant.name,
            tenant.plan,
            tenant.created_at,
            tenant.version,
            tenant.quotas.workflows,
            tenant.quotas.runs_per_month,
        )
    match change.entity:
        case Source() as source:
            delta.sources[source.tenant_id, source.id] = source
        case Endpoint() as endpoint:
            delta.endpoints[endpoint.tenant_id, endpoint.id] = endpoint
        case Workflow() as workflow:
            key = (workflow.tenant_id, workflow.id)
            number = workflow.newest.number
            delta.workflows[key] = WorkflowRow(*key, workflow.name, workflow.enabled, number, workflow.archived)
            if (*key, number) not in delta.revisions:
                delta.revisions[(*key, number)] = _revision_row(workflow)
        case Tenant() | None:
            pass


def _revision_row(workflow: Workflow) -> RevisionRow:
    *former, newest = workflow.revisions
    if not former:
        return RevisionRow(newest, "new")
    changes = changes_in_a_line(former[-1].document, newest.document)
    equal = next((each.number for each in reversed(former[:-1]) if same(each.document, newest.document)), None)
    return RevisionRow(newest, f"as revision {equal}: {changes}" if equal is not None else changes)


def merge_runs(first: RunsDelta, second: RunsDelta) -> None:
    """Add to `first` the delta that follows it: of each thing the newest state counts."""
    _check_adjacent(first, second)
    first.merge(second)


def merge_events(first: EventsDelta, second: EventsDelta) -> None:
    """As `merge_runs`."""
    _check_adjacent(first, second)
    first.end = second.end
    first.now = max(filter(None, (first.now, second.now)), default=None)
    first.rows.extend(second.rows)


def merge_definitions(first: DefinitionsDelta, second: DefinitionsDelta) -> None:
    """As `merge_runs`."""
    _check_adjacent(first, second)
    first.end = second.end
    first.now = max(filter(None, (first.now, second.now)), default=None)
    first.tenants.update(second.tenants)
    first.sources.update(second.sources)
    first.endpoints.update(second.endpoints)
    first.workflows.update(second.workflows)
    first.revisions.update(second.revisions)
    first.verdicts.update(second.verdicts)


@dataclass(slots=True)
class Backlog:
    """What is folded and not yet written, one delta a partition and topic."""

    runs: dict[int, RunsDelta] = field(default_factory=dict)
    events: dict[int, EventsDelta] = field(default_factory=dict)
    definitions: dict[int, DefinitionsDelta] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.runs or self.events or self.definitions)

    @property
    def rows(self) -> int:
        """About how many rows this will be; exact enough for a bound."""
        runs = sum(len(each.runs) + len(each.verdicts) for each in self.runs.values())
        events = sum(len(each.rows) for each in self.events.values())
        return runs + events + sum(len(each.verdicts) for each in self.definitions.values())

    @property
    def urgent(self) -> bool:
        """Whether somebody waits for a verdict in it."""
        return any(each.verdicts for each in self.runs.values()) or bool(self.definitions)

    @property
    def partitions(self) -> set[int]:
        return {*self.runs, *self.events, *self.definitions}

    def of(self, topic: str) -> dict[int, RunsDelta] | dict[int, EventsDelta] | dict[int, DefinitionsDelta]:
        """By partition."""
        if topic == RUNS:
            return self.runs
        return self.events if topic == EVENTS else self.definitions

    def add_runs(self, delta: RunsDelta) -> None:
        before = self.runs.get(delta.partition)
        if before is None:
            self.runs[delta.partition] = delta
        else:
            merge_runs(before, delta)

    def add_events(self, delta: EventsDelta) -> None:
        before = self.events.get(delta.partition)
        if before is None:
            self.events[delta.partition] = delta
        else:
            merge_events(before, delta)

    def add_definitions(self, delta: DefinitionsDelta) -> None:
        before = self.definitions.get(delta.partition)
        if before is None:
            self.definitions[delta.partition] = delta
        else:
            merge_definitions(before, delta)

    def add(self, later: "Backlog") -> None:
        """What was folded after this."""
        for runs in later.runs.values():
            self.add_runs(runs)
        for events in later.events.values():
            self.add_events(events)
        for definitions in later.definitions.values():
            self.add_definitions(definitions)

    def take(self, partition: int) -> "Backlog":
        """All of a partition; it waits no longer."""
        taken = Backlog()
        if (runs := self.runs.pop(partition, None)) is not None:
            taken.runs[partition] = runs
        if (events := self.events.pop(partition, None)) is not None:
            taken.events[partition] = events
        if (definitions := self.definitions.pop(partition, None)) is not None:
            taken.definitions[partition] = definitions
        return taken


def _check_adjacent(
    first: RunsDelta | EventsDelta | DefinitionsDelta, second: RunsDelta | EventsDelta | DefinitionsDelta
) -> None:
    if first.partition != second.partition or first.end != second.start:
        detail = f"{first.partition}:[{first.start}, {first.end}) and {second.partition}:[{second.start}, {second.end})"
        raise AssertionError(f"these stretches of the log do not follow each other: {detail}")


def _optional(text: str | None) -> str | None:
    return plain_text(text) if text is not None else None
