"""What services rely on: all or nothing, only from where the checkpoint stands, and back again exactly as it was."""

import asyncio
import contextlib
import threading
from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

import pytest

from shared.bus.topics import DEFINITIONS, EVENTS, RUNS
from shared.domain.ids import match_id
from shared.domain.runs.delta import RunsDelta
from shared.domain.runs.fold import Known, Questions, RunsFold
from shared.readmodel import store
from shared.readmodel.connect import ConnectParameters, connect
from shared.readmodel.deltas import EventRow, EventsDelta
from shared.readmodel.errors import NotOwner, ReadModelAway, ReadModelWentAhead, ReadModelWentBack, RebuildNeeded
from shared.readmodel.snapshots import snapshots_of
from shared.readmodel.store import ReadModel
from shared.readmodel.write_sql import TABLES
from shared.testing.folds import START, TENANT, RunsScenario, apply_all, approval, limits, match, step

PARTITION = 0


def written_from(scenario: RunsScenario, start: int = 0) -> RunsDelta:
    """What folding the scenario's log from `start` on changed, as one delta."""
    fold = RunsFold()
    if start:
        apply_all(fold, scenario.log[:start], Known())
    return apply_all(fold, scenario.log[start:], Known())


async def restored(readmodel: ReadModel, partition: int = PARTITION) -> RunsFold:
    snapshot = (await readmodel.snapshot([partition]))[partition]
    fold = RunsFold()
    fold.restore(snapshot.runs, snapshot.activities, snapshot.usage, snapshot.now or fold.now, snapshot.windows)
    return fold


def event(event_id: str, offset: int, **given: object) -> EventRow:
    shape: dict[str, object] = {
        "tenant_id": TENANT,
        "event_id": event_id,
        "type": "order.refunded",
        "source": "shop",
        "subject": None,
        "time": None,
        "recorded_at": START,
        "partition": PARTITION,
        "offset": offset,
        "bytes": 2,
        "correlation_id": None,
        "causation_id": None,
    }
    return EventRow(**{**shape, **given})  # type: ignore[arg-type]  # a builder: names are checked by the NamedTuple


async def test_an_empty_read_model_begins_at_offset_0(readmodel: ReadModel) -> None:
    found = await readmodel.snapshot([3, 5])
    assert {partition: (each.next, each.now, each.runs) for partition, each in found.items()} == {
        3: (0, None, ()),
        5: (0, None, ()),
    }
    assert set((await readmodel.checkpoints(RUNS)).keys()) == {3, 5}
    assert await readmodel.next_offsets(EVENTS) == {}


async def test_however_much_is_restored_others_have_their_turn_meanwhile(
    readmodel: ReadModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, others_had_theirs = threading.Event(), threading.Event()

    def much(*rows: object) -> object:
        begun.set()
        assert others_had_theirs.wait(10)
        return snapshots_of(*rows)  # type: ignore[arg-type]  # as they come

    monkeypatch.setattr(store, "snapshots_of", much)
    restoring = asyncio.create_task(readmodel.snapshot([3]))
    async with asyncio.timeout(20):
        while not begun.is_set():
            await asyncio.sleep(0.01)
        others_had_theirs.set()
        assert (await restoring)[3].next == 0


async def test_a_restored_fold_is_the_fold_that_was_written(readmodel: ReadModel) -> None:
    scenario = RunsScenario()
    bounded = match("bounded", limits=limits(max_concurrent=1, cooldown_seconds=60), cooldown_key="a\0 key \N{SNOWMAN}")
    approved = match("approved", approval=approval(quorum=2), limits=limits(max_concurrent=1, max_runs_per_day=5))
    first, waiting = scenario.happens(bounded, approved)
    scenario.starts(first)
    scenario.wait(seconds=61).happens(bounded)
    scenario.grants(waiting)
    scenario.happens(match("dag", steps=[step("a"), step("b", needs=("a",))]), event_id="numbers")
    await readmodel.snapshot([PARTITION])
    await readmodel.write([written_from(scenario)])

    fold = await restored(readmodel)

    assert fold.now == scenario.fold.now
    assert fold.runs == {each.id: each for each in scenario.fold.runs.values() if not each.closed}
    assert fold.activities == scenario.fold.activities


async def test_what_jsonb_could_not_hold_comes_back_whole(readmodel: ReadModel) -> None:
    scenario = RunsScenario()
    (run_id,) = scenario.happens(match("w", workflow_name="na\0me"))
    entry = scenario.log[0]
    assert entry.fact.TYPE == "event.matched"
    data = {"nul": "a\0b", "big": 10**40, "float": 0.1, "deep": [[[{"é": None}]]]}
    scenario.log[0] = replace(
        entry, fact=replace(entry.fact, event=replace(entry.fact.event, data=data, subject="s\0"))
    )
    await readmodel.snapshot([PARTITION])
    delta = written_from(scenario)
    await readmodel.write([delta])
    assert (await restored(readmodel)).runs == {run_id: delta.runs[run_id]}


async def test_a_write_from_another_checkpoint_changes_nothing(readmodel: ReadModel) -> None:
    scenario = RunsScenario()
    scenario.happens(match("w"))
    await readmodel.snapshot([0, 1])
    await readmodel.write([written_from(scenario)])
    other = RunsDelta(partition=1, start=0, end=7, now=START)
    with pytest.raises(NotOwner) as raised:
        await readmodel.write(
            [written_from(scenario), other], [EventsDelta(partition=0, start=0, end=1, rows=[event("e", 0)])]
        )
    assert raised.value.places == ((RUNS, 0), (EVENTS, 0))
    assert await readmodel.next_offsets(RUNS) == {0: 1, 1: 0}


async def test_of_two_writers_of_one_stretch_one_wins(readmodel: ReadModel) -> None:
    scenario = RunsScenario()
    for _ in range(3):
        scenario.happens(match("w"))
    await readmodel.snapshot([PARTITION])
    outcomes = await asyncio.gather(
        *(readmodel.write([written_from(scenario)]) for _ in range(4)), return_exceptions=True
    )
    assert [type(each) for each in outcomes if each is not None] == [NotOwner] * 3
    assert (await readmodel.next_offsets(RUNS))[PARTITION] == 3


async def test_a_tenants_records_in_two_partitions_stop_nothing(readmodel: ReadModel) -> None:
    """Only a foreign writer's partitioner brings this about; it must not wedge the projector."""
    scenario = RunsScenario()
    scenario.happens(match("w", limits=limits(cooldown_seconds=60), cooldown_key="k"), event_id="twice")
    await readmodel.snapshot([0, 1])
    elsewhere = written_from(scenario)
    elsewhere.partition = 1
    await readmodel.write([written_from(scenario), elsewhere])
    assert await readmodel.next_offsets(RUNS) == {0: 1, 1: 1}


async def test_the_first_of_two_events_with_one_id_stands(readmodel: ReadModel) -> None:
    await readmodel.ensure_checkpoints(EVENTS, [PARTITION])
    rows = [event("e", 0, type="first"), event("e", 1, type="second")]
    await readmodel.write(events=[EventsDelta(partition=PARTITION, start=0, end=2, now=START, rows=rows)])
    await readmodel.write(
        events=[EventsDelta(partition=PARTITION, start=2, end=3, now=START, rows=[event("e", 2, type="third")])]
    )
    async with readmodel.pool.acquire() as connection:
        found = await connection.fetch('SELECT event_id, type, "offset" FROM rm_1.events')
    assert [tuple(each) for each in found] == [("e", "first", 0)]


async def test_lookups_know_what_memory_has_let_go(readmodel: ReadModel) -> None:
    scenario = RunsScenario()
    scenario.happens(match("w"), event_id="known")
    asked = scenario.asks(match("by-hand"), key="k", command_id="c" * 300)
    await readmodel.snapshot([PARTITION])
    await readmodel.write([written_from(scenario)])

    known = await readmodel.lookup(
        Questions(
            run_ids={asked, "never"},
            match_ids={match_id("known", None), match_id("unknown", None)},
            commands={(TENANT, "c" * 300), ("globex", "c" * 300), (TENANT, "never")},
        ),
        folded_to={PARTITION: len(scenario.log)},
        tenant_ids={TENANT},
    )

    assert known == Known(
        run_ids=frozenset({asked}),
        match_ids=frozenset({match_id("known", None)}),
        verdicts={(TENANT, "c" * 300): scenario.verdict("c" * 300)},
    )


async def test_all_matches_that_led_to_runs_are_read_page_by_page(readmodel: ReadModel) -> None:
    scenario = RunsScenario()
    for number in range(5):
        scenario.happens(match("w"), match("another"), event_id=f"e{number}")
    scenario.asks(match("by-hand"), key="k", command_id="c")
    await readmodel.snapshot([PARTITION])
    await readmodel.write([written_from(scenario)])

    found, page = [], bytes(16)
    while ids := (await readmodel.match_ids_after(page[-16:], 4)).packed:
        page = ids
        assert len(ids) in (32, 64)  # two runs a match
        found += [str(UUID(bytes=ids[at : at + 16])) for at in range(0, len(ids), 16)]

    assert (await readmodel.match_ids_after(page[-16:], 4)).reached == {PARTITION: len(scenario.log)}
    assert found == sorted(found)
    assert set(found) == {match_id(f"e{number}", None) for number in range(5)}


async def test_nothing_asked_is_nothing_known(readmodel: ReadModel) -> None:
    assert await readmodel.lookup(Questions(), folded_to={0: 0}, tenant_ids=()) == Known()


async def test_a_read_model_that_lost_writes_answers_nothing(readmodel: ReadModel) -> None:
    """A crash of PostgreSQL may take back what was committed without waiting for the disk."""
    scenario = RunsScenario()
    scenario.happens(match("w"))
    await readmodel.snapshot([PARTITION])
    await readmodel.write([written_from(scenario)])
    async with readmodel.pool.acquire() as connection:
        await connection.execute("DELETE FROM rm_1.runs")
        await connection.execute("UPDATE rm_1.checkpoints SET next = 0")
    asked = Questions(match_ids={match_id("event-0", None)})
    with pytest.raises(ReadModelWentBack):
        await readmodel.lookup(asked, folded_to={PARTITION: len(scenario.log)}, tenant_ids={TENANT})
    await readmodel.snapshot([PARTITION])
    assert await readmodel.lookup(asked, folded_to={PARTITION: 0}, tenant_ids={TENANT}) == Known()


async def test_a_read_model_that_is_further_than_the_fold_that_asks_answers_nothing(readmodel: ReadModel) -> None:
    """To the partition's next owner, which has yet to fold it, what the former one wrote meanwhile has not been there before."""
    scenario = RunsScenario()
    scenario.happens(match("w"))
    await readmodel.snapshot([PARTITION])
    await readmodel.write([written_from(scenario)])
    asked = Questions(match_ids={match_id("event-0", None)})
    with pytest.raises(ReadModelWentAhead):
        await readmodel.lookup(asked, folded_to={PARTITION: 0}, tenant_ids={TENANT})
    elsewhere = await readmodel.lookup(asked, folded_to={PARTITION: 0}, tenant_ids={TENANT}, may_be_ahead=True)
    assert elsewhere == Known()


async def test_a_process_that_lets_go_of_what_another_one_wrote_is_never_answered_from_an_older_read_model(
    readmodel: ReadModel, database: object
) -> None:
    # given: an executor, say, has let go of what it saw to be written
    scenario = RunsScenario()
    scenario.happens(match("w"))
    elsewhere = await ReadModel.open(_service(database))
    try:
        await elsewhere.snapshot([PARTITION])
        await readmodel.write([written_from(scenario)])
        assert (await elsewhere.written_by_others())[PARTITION] == len(scenario.log)

        # when: PostgreSQL crashes and loses its newest commits, and how far it is is asked before anything is looked up
        async with readmodel.pool.acquire() as connection:
            await connection.execute("DELETE FROM rm_1.runs")
            await connection.execute("UPDATE rm_1.checkpoints SET next = 0")
        assert (await elsewhere.written_by_others())[PARTITION] == 0

        # then
        asked = Questions(match_ids={match_id("event-0", None)})
        with pytest.raises(ReadModelWentBack):
            await elsewhere.lookup(asked, folded_to={PARTITION: len(scenario.log)}, tenant_ids={TENANT})
        await elsewhere.snapshot([PARTITION])
        assert await elsewhere.lookup(asked, folded_to={PARTITION: 0}, tenant_ids={TENANT}) == Known()
    finally:
        await elsewhere.close()


async def test_the_tables_that_are_written_are_the_ones_that_are_there(readmodel: ReadModel) -> None:
    async with readmodel.pool.acquire() as connection:
        columns = await connection.fetch(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'rm_1' "
            "AND table_name <> 'checkpoints' ORDER BY table_name, ordinal_position"
        )
    found: dict[str, list[str]] = {}
    for row in columns:
        found.setdefault(row["table_name"], []).append(row["column_name"])
    assert found == {name: [column.strip('"') for column, _, _ in table.columns] for name, table in TABLES.items()}


async def test_cooldowns_are_forgotten_when_the_fold_forgets_them(readmodel: ReadModel) -> None:
    scenario = RunsScenario()
    await readmodel.snapshot([PARTITION])
    for seconds, key, cooldown in ((0, "a", 60), (1, "b", 60), (61, "c", 60), (1, "a", 60), (1, "d", 3600)):
        start = len(scenario.log)
        scenario.wait(seconds=seconds).happens(match("w", limits=limits(cooldown_seconds=cooldown), cooldown_key=key))
        await readmodel.write([written_from(scenario, start)])
        assert (await restored(readmodel)).activities == {
            key: replace(each, running=set(scenario.fold.activities[key].running))
            for key, each in scenario.fold.activities.items()
        }


async def test_pending_approvals_fall_due_in_order(readmodel: ReadModel) -> None:
    scenario = RunsScenario()
    soon = match("soon", approval=approval(expires_in_seconds=10))
    late = match("late", approval=approval(expires_in_seconds=1000))
    denied = match("denied", approval=approval(expires_in_seconds=5))
    soon_id, _, denied_id = scenario.happens(soon, late, denied)
    scenario.denies(denied_id)
    await readmodel.snapshot([PARTITION])
    await readmodel.write([written_from(scenario)])
    expiry = scenario.run(soon_id).approval
    assert expiry is not None
    due = await readmodel.pending_approvals_due(expiry.expires_at, [PARTITION], 10)
    assert [(each.run_id, each.expires_at) for each in due] == [(soon_id, expiry.expires_at)]
    assert await readmodel.pending_approvals_due(expiry.expires_at, [PARTITION + 1], 10) == []


async def test_another_fold_version_asks_for_a_rebuild(database: object, readmodel: ReadModel) -> None:
    admin = _admin(database)
    connection = await connect(admin)
    await connection.execute("UPDATE readmodel.current SET fold_version = 999")
    await connection.close()
    with pytest.raises(RebuildNeeded, match="upshot rebuild"):
        await readmodel.snapshot([PARTITION])
    with pytest.raises(RebuildNeeded):
        await readmodel.write([RunsDelta(partition=0, start=0, end=1, now=START)])


async def test_a_database_that_is_away_is_transient(database: object, readmodel: ReadModel) -> None:
    await readmodel.snapshot([PARTITION])
    admin = await connect(_admin(database))
    await admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'upshot_service'")
    await admin.close()
    outcomes: Sequence[BaseException | object] = await asyncio.gather(
        readmodel.snapshot([PARTITION]), readmodel.next_offsets(DEFINITIONS), return_exceptions=True
    )
    assert all(not isinstance(each, Exception) or isinstance(each, ReadModelAway) for each in outcomes)
    await readmodel.snapshot([PARTITION])


async def test_connections_that_broke_while_nobody_used_them_are_replaced(
    database: object, readmodel: ReadModel
) -> None:
    async def write_and_ask() -> Known:
        stand = await readmodel.next_offsets(EVENTS)
        start = stand.get(PARTITION, 0)
        row = event(f"event-{start}", start)
        await readmodel.write(events=[EventsDelta(partition=PARTITION, start=start, end=start + 1, rows=[row])])
        questions = Questions(match_ids={match_id("e", None)})
        return await readmodel.lookup(questions, folded_to={PARTITION: 0}, tenant_ids=[TENANT])

    await readmodel.ensure_checkpoints(EVENTS, [PARTITION])
    await readmodel.snapshot([PARTITION])
    before = await write_and_ask()
    admin = await connect(_admin(database))
    await admin.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
        "WHERE usename = 'upshot_service' AND datname = current_database()"
    )
    await admin.close()
    # What is under way when a connection breaks is told so, each of the three once; then others are there.
    for _ in range(3):
        with contextlib.suppress(ReadModelAway):
            await write_and_ask()
    assert await write_and_ask() == before
    assert (await readmodel.next_offsets(EVENTS))[PARTITION] >= 2


def _admin(database: object) -> ConnectParameters:
    return database.admin  # type: ignore[attr-defined,no-any-return]  # the fixture's class lives in conftest.py


def _service(database: object) -> ConnectParameters:
    return database.service  # type: ignore[attr-defined,no-any-return]  # as above
