"""From records to rows, and deltas put together: however a stretch of the log is cut, what is written is the same."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.projector.core import Backlog, event_row, include_change, include_events, merge_events, merge_runs
from shared.bus import codec
from shared.bus.partitioner import partition_of
from shared.bus.port import Record
from shared.bus.topics import EVENTS
from shared.domain.definitions import Definitions
from shared.domain.envelope import Event
from shared.domain.records import Command, EndpointCreated, TenantCreated, WorkflowDisabled, WorkflowSaved
from shared.domain.runs.fold import Known, RunsFold
from shared.readmodel.deltas import DefinitionsDelta, EventsDelta
from shared.readmodel.rows import build_rows
from shared.testing.folds import START, RunsScenario, apply_all, limits, match, step

PARTITIONS = 8
TENANT = "acme"
HOME = partition_of(TENANT.encode(), PARTITIONS)


def record(event: Event, offset: int = 0, partition: int = HOME, at: datetime = START) -> Record:
    new = codec.encode(EVENTS, event)
    return Record(
        topic=EVENTS,
        partition=partition,
        offset=offset,
        recorded_at=at,
        key=new.key,
        headers=new.headers,
        value=new.value,
    )


def happened(event_id: str = "e1", **given: object) -> Event:
    shape: dict[str, object] = {"source": "shop", "type": "order.created", "tenant_id": TENANT, "data": b'{"n":1}'}
    return Event(id=event_id, **{**shape, **given})  # type: ignore[arg-type]  # a builder: names are checked by the dataclass


def test_an_event_becomes_a_row_without_its_data() -> None:
    at = datetime(2026, 1, 2, tzinfo=UTC)
    row = event_row(
        record(happened(subject="order 7", time=at, correlation_id="c", causation_id="d"), offset=9), PARTITIONS
    )
    assert row is not None
    assert row._asdict() == {
        "tenant_id": TENANT,
        "event_id": "e1",
        "type": "order.created",
        "source": "shop",
        "subject": "order 7",
        "time": at,
        "recorded_at": START,
        "partition": HOME,
        "offset": 9,
        "bytes": 7,
        "correlation_id": "c",
        "causation_id": "d",
    }


def test_the_unreadable_and_the_misrouted_are_passed_over() -> None:
    unreadable = Record(
        topic=EVENTS, partition=HOME, offset=0, recorded_at=START, key=b"", headers=(("ce_id", b"\xff"),), value=None
    )
    elsewhere = record(happened(), offset=1, partition=(HOME + 1) % PARTITIONS)
    assert event_row(unreadable, PARTITIONS) is None
    assert event_row(elsewhere, PARTITIONS) is None
    delta = EventsDelta(partition=HOME, start=0, end=0)
    include_events(delta, [unreadable, record(happened(), offset=4)], PARTITIONS)
    assert ([row.event_id for row in delta.rows], delta.end) == (["e1"], 5)


def test_a_hostile_event_still_fits_its_columns() -> None:
    row = event_row(record(happened("i" * 5000, type="t\0", subject="s\0" * 500, source="x" * 3000)), PARTITIONS)
    assert row is not None
    assert all("\0" not in value for value in row if isinstance(value, str))
    assert all(len(value) <= 200 for value in (row.event_id, row.type, row.source))


@given(st.lists(st.integers(1, 5), max_size=8))
def test_events_merged_are_events_read_at_once(cuts: list[int]) -> None:
    records = [record(happened(f"e{n}"), offset=n, at=START + timedelta(seconds=n % 3)) for n in range(sum(cuts))]
    whole = EventsDelta(partition=HOME, start=0, end=0)
    include_events(whole, records, PARTITIONS)
    merged = EventsDelta(partition=HOME, start=0, end=0)
    for cut in cuts:
        part = EventsDelta(partition=HOME, start=merged.end, end=merged.end)
        include_events(part, records[merged.end : merged.end + cut], PARTITIONS)
        merge_events(merged, part)
    assert merged == whole


@given(st.lists(st.integers(1, 6), min_size=1, max_size=8))
def test_runs_merged_are_runs_folded_at_once(cuts: list[int]) -> None:
    scenario = RunsScenario()
    cooled = match("w", limits=limits(cooldown_seconds=60, max_concurrent=2))
    for number in range(14):
        (run_id,) = scenario.wait(seconds=25).happens(
            match("w", limits=cooled.limits, cooldown_key=f"k{number % 5}"), event_id=f"e{number}"
        )
        if number % 2 and scenario.run(run_id).status == "running":
            scenario.completes(run_id)
    scenario.asks(match("w"), key="k")
    whole = apply_all(RunsFold(), scenario.log, Known())
    fold = RunsFold()
    merged = apply_all(fold, scenario.log[:1], Known())
    while merged.end < len(scenario.log):
        cut = cuts[merged.end % len(cuts)]
        merge_runs(merged, apply_all(fold, scenario.log[merged.end : merged.end + cut], Known()))
    one, other = build_rows([whole]), build_rows([merged])
    assert one.moves == other.moves
    assert {name: sorted(map(repr, rows)) for name, rows in one.tables.items()} == {
        name: sorted(map(repr, rows)) for name, rows in other.tables.items()
    }


def test_stretches_that_do_not_follow_each_other_are_never_merged() -> None:
    backlog = Backlog()
    backlog.add_events(EventsDelta(partition=1, start=0, end=3))
    with pytest.raises(AssertionError, match="do not follow"):
        backlog.add_events(EventsDelta(partition=1, start=4, end=5))
    backlog.add_events(EventsDelta(partition=2, start=4, end=5))
    taken = backlog.take(1)
    assert taken.partitions == {1}
    assert backlog.partitions == {2}
    assert not backlog.take(1)
    assert not backlog.urgent


def test_a_change_carries_the_tenants_version_and_the_newest_revision_only() -> None:
    definitions = Definitions()
    delta = DefinitionsDelta(partition=HOME, start=0, end=0)

    def command(name: str) -> Command:
        return Command(id=name, payload_hash="h", actor="ann")

    def saved(base: int | None) -> WorkflowSaved:
        return WorkflowSaved(
            workflow_id="w",
            base_revision=base,
            document={"name": f"W{base}"},
            steps=(step("a"),),
            high_risk=False,
            command=command(f"save on {base}"),
        )

    given = [
        TenantCreated(name="Acme", plan="free", command=command("t")),
        saved(None),
        saved(1),
        saved(1),
        WorkflowDisabled(workflow_id="w", command=command("off")),
        EndpointCreated(endpoint_id="e", name="n", url="https://example.com", secrets=(), command=command("e")),
        TenantCreated(name="Twice", plan="free", command=command("t")),
    ]
    for offset, fact in enumerate(given):
        change = definitions.apply(TENANT, fact, START)
        include_change(delta, change, definitions.tenant(TENANT), START, offset + 1)
    assert (delta.end, delta.now) == (7, START)
    assert delta.tenants[TENANT].version == 5
    assert (delta.workflows[TENANT, "w"].enabled, delta.workflows[TENANT, "w"].revision) == (False, 2)
    assert [key[2] for key in delta.revisions] == [1, 2]
    assert [row.changes for row in delta.revisions.values()] == ["new", "changed name"]
    assert {command_id: verdict.status for (_, command_id), verdict in delta.verdicts.items()} == {
        "t": 201,
        "save on None": 201,
        "save on 1": 200,
        "off": 200,
        "e": 201,
    }
    assert Backlog(definitions={HOME: delta}).urgent
