"""What the PostgreSQL adapter promises beyond the port: rights, segments, limits, and no query where memory serves."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import asyncpg
import pytest
import pytest_asyncio

from shared.bus.adapters.postgres import PostgresBus, install
from shared.bus.adapters.postgres.link import Connection
from shared.bus.partitioner import partition_of
from shared.bus.port import AppendInDoubt, NewRecord, RecordTooLarge
from shared.domain.envelope import Event
from shared.domain.errors import PermanentError, TransientError
from shared.runtime.clock import SystemClock
from shared.testing.bus import PARTITION_COUNT, TOPICS, Server, Variant, postgres
from shared.testing.bus.postgres import SEGMENT_RECORDS, PostgresLog, settings_of

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.postgres]

TOPIC = TOPICS[0]
KEY = b"tenant"
PARTITION = partition_of(KEY, PARTITION_COUNT)


def new(number: int = 0, size: int = 0, key: bytes = KEY) -> NewRecord:
    return NewRecord(topic=TOPIC, key=key, headers=(), value=b"%d" % number + b"x" * size)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=postgres.variants(), ids=lambda found: found.name)
async def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    variant: Variant = request.param
    if variant.missing:
        pytest.skip(variant.missing)
    async with variant.start(tmp_path_factory.mktemp(variant.name)) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def log(server: Server) -> AsyncIterator[PostgresLog]:
    async with server.log() as fresh:
        assert isinstance(fresh, PostgresLog)
        yield fresh


@pytest_asyncio.fixture(loop_scope="module")
async def owner(log: PostgresLog) -> AsyncIterator[Connection]:
    connection = await log.connect()
    yield connection
    await connection.close()


@dataclass
class Gate:
    """A connect that can be told to fail."""

    log: PostgresLog
    away: bool = False

    async def connect(self) -> Connection:
        if self.away:
            raise ConnectionRefusedError("nobody there")
        return await self.log.connect()


async def test_a_service_reads_and_appends_and_can_change_nothing(log: PostgresLog, owner: Connection) -> None:
    await owner.execute("drop role if exists service")
    await owner.execute("create role service")
    await install(
        owner, topics=TOPICS, partition_count=PARTITION_COUNT, segment_records=SEGMENT_RECORDS, service_role="service"
    )

    async def connect() -> Connection:
        connection = await log.connect()
        await connection.execute("set session authorization service")
        return connection

    bus = await PostgresBus.open(connect, settings_of(), SystemClock())
    await bus.append([new(n) for n in range(2 * SEGMENT_RECORDS)])  # makes segments too
    reader = bus.reader(TOPIC)
    reader.assign({PARTITION: 0})
    assert len((await reader.poll(timeout_seconds=20))[PARTITION]) > 1
    member = await bus.join("g", TOPIC, member_id="a")
    assignment = await member.next_assignment(timeout_seconds=20)
    assert assignment is not None
    await member.commit({PARTITION: 1}, generation=assignment.generation)
    assert await member.committed() == {PARTITION: 1}
    await bus.close()
    service = await connect()
    for statement in (
        f'update log."{TOPIC}" set value = null',
        f'delete from log."{TOPIC}"',
        f'truncate log."{TOPIC}"',
        f'drop table log."{TOPIC}.0"',
        "delete from log.heads",
        "update log.topics set partition_count = 1",
        "create table log.mine ()",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await service.execute(statement)
    await service.close()
    await owner.execute("drop owned by service; drop role service")


async def test_installing_twice_at_once_is_installing_once(log: PostgresLog, owner: Connection) -> None:
    await owner.execute("drop schema log cascade")
    connections = [await log.connect() for _ in range(3)]
    await asyncio.gather(
        *(install(c, topics=TOPICS, partition_count=4, segment_records=100, service_role=None) for c in connections)
    )
    assert await owner.fetchval("select count(*) from log.heads") == 4 * len(TOPICS)
    with pytest.raises(ValueError, match="never changes"):
        await install(owner, topics=TOPICS, partition_count=5, segment_records=100)
    with pytest.raises(ValueError, match="cannot name a topic"):
        await install(owner, topics=['x"; drop schema log'], partition_count=4, segment_records=100)
    for connection in connections:
        await connection.close()


async def test_a_log_that_is_not_there_or_another_is_told_apart_from_one_that_is_away(
    log: PostgresLog, owner: Connection
) -> None:
    gate = Gate(log, away=True)
    with pytest.raises(TransientError, match="away"):
        await PostgresBus.open(gate.connect, settings_of(), SystemClock())
    with pytest.raises(PermanentError, match="never changes"):
        await PostgresBus.open(log.connect, settings_of(partition_count=3), SystemClock())
    await owner.execute("drop schema log cascade")
    with pytest.raises(PermanentError, match="refuses"):
        await PostgresBus.open(log.connect, settings_of(), SystemClock())


async def test_what_an_append_brought_along_is_answered_from_memory(log: PostgresLog) -> None:
    ours, theirs = await log.client(poll_interval_seconds=60), await log.client()
    other = replace(new(), topic=TOPICS[1])
    event = Event(id="1", source="/s", type="t", tenant_id=KEY.decode(), data=b"{}")
    reader = ours.reader(TOPIC)
    reader.assign({PARTITION: 0})
    await theirs.append([other])
    await ours.append([replace(new(), origin=event)])
    batch = await reader.poll(timeout_seconds=20)
    await theirs.append([other])
    assert (await ours.watermarks(TOPICS[1], as_of=batch))[PARTITION].high == 1
    assert (await ours.watermarks(TOPICS[1], [PARTITION]))[PARTITION].high == 2


async def test_segments_stand_ahead_of_need_whoever_writes(log: PostgresLog, owner: Connection) -> None:
    clients = [await log.client(), await log.client()]
    for _ in range(3):
        await asyncio.gather(*(client.append([new(n) for n in range(130)]) for client in clients))
    assert (await clients[0].watermarks(TOPIC))[PARTITION].high == 780
    segments = "select count(*) from pg_inherits where inhparent = $1::regclass"
    assert await owner.fetchval(segments, f'log."{TOPIC}"') == 3
    await clients[0].append([new(n) for n in range(7 * SEGMENT_RECORDS)])  # beyond all that stand
    reader = (await log.client()).reader(TOPIC)
    reader.assign({PARTITION: 0})
    offsets: list[int] = []
    while len(offsets) < 780 + 7 * SEGMENT_RECORDS:
        found = await reader.poll(timeout_seconds=20)
        offsets += [record.offset for record in found[PARTITION]]
    assert offsets == list(range(len(offsets)))


async def test_readers_beside_the_writer_share_records_and_ask_nobody(log: PostgresLog) -> None:
    gate = Gate(log)
    bus = await PostgresBus.open(gate.connect, settings_of(poll_interval_seconds=60), SystemClock())
    await bus.append([NewRecord(topic=TOPICS[1], key=KEY, headers=(), value=None)])  # now it can write
    readers = [bus.reader(TOPIC) for _ in range(3)]
    for reader in readers:
        reader.assign(dict.fromkeys(range(PARTITION_COUNT), 0))
        assert await reader.poll(timeout_seconds=0.01) == {}
    gate.away = True  # reading connections were never made, and cannot be any more
    await bus.append([new(n) for n in range(5)])
    first, *rest = [(await reader.poll(timeout_seconds=20))[PARTITION] for reader in readers]
    assert [record.value for record in first] == [b"%d" % n for n in range(5)]
    assert all(ours is theirs for other in rest for ours, theirs in zip(first, other, strict=True))
    await bus.close()


async def test_a_position_beyond_the_end_or_a_record_that_is_gone_is_loud(log: PostgresLog, owner: Connection) -> None:
    bus = await log.client()
    await bus.append([new(n) for n in range(5)])
    ahead = bus.reader(TOPIC)
    ahead.assign({PARTITION: 6})
    with pytest.raises(PermanentError, match="another log"):
        await ahead.poll(timeout_seconds=20)
    await owner.execute(f'delete from log."{TOPIC}" where "offset" = 2')
    behind = bus.reader(TOPIC)
    behind.assign({PARTITION: 0})
    assert len((await behind.poll(timeout_seconds=20))[PARTITION]) == 2
    with pytest.raises(PermanentError, match="gone"):
        await behind.poll(timeout_seconds=20)


async def test_one_query_brings_no_more_bytes_than_it_may_and_starves_nobody(log: PostgresLog) -> None:
    writer, bus = await log.client(), await log.client(fetch_bytes_max=20_000, tail_bytes_max=0)
    keys = [b"key%d" % n for n in range(30)]
    await writer.append([new(n, 5_000, key) for key in keys for n in range(4)])
    reader = bus.reader(TOPIC)
    reader.assign(dict.fromkeys(range(PARTITION_COUNT), 0))
    seen: dict[int, int] = {}
    polls = 0
    while sum(seen.values()) < 4 * len(keys):
        found = await reader.poll(timeout_seconds=20)
        polls += 1
        assert sum(len(record.value or b"") for records in found.values() for record in records) <= 30_000
        for partition, records in found.items():
            seen[partition] = seen.get(partition, 0) + len(records)
        if polls == 4:
            assert len(seen) > 2
    assert polls >= 4 * len(keys) * 5_000 // 30_000


@contextlib.asynccontextmanager
async def head_held(owner: Connection) -> AsyncIterator[None]:
    """No append gets past its head while this lasts."""
    async with owner.transaction():
        await owner.execute("select 1 from log.heads for update")
        yield


async def test_no_statement_lasts(log: PostgresLog, owner: Connection) -> None:
    bus = await log.client(statement_timeout_seconds=0.3)
    async with head_held(owner):
        with pytest.raises(TransientError) as raised:
            await bus.append([new()])
        assert not isinstance(raised.value, AppendInDoubt)
    assert [position.offset for position in await bus.append([new()])] == [0]


async def test_callers_wait_their_turn_beyond_the_queues_bound(log: PostgresLog, owner: Connection) -> None:
    bus = await log.client(queue_records_max=10, commit_records_max=7)
    async with head_held(owner):
        calls = [asyncio.create_task(bus.append([new(n), new(n)])) for n in range(50)]
        while bus.queued_records < 10:
            await asyncio.sleep(0)
        calls[40].cancel()
        for _ in range(20):
            await asyncio.sleep(0)
        assert bus.queued_records == 10
    answers = await asyncio.gather(*calls, return_exceptions=True)
    offsets = sorted(
        position.offset for answer in answers if not isinstance(answer, BaseException) for position in answer
    )
    assert offsets == list(range(98))


async def test_while_the_server_is_away_appends_fail_fast_and_polls_at_their_deadline(log: PostgresLog) -> None:
    gate = Gate(log)
    bus = await PostgresBus.open(gate.connect, settings_of(), SystemClock())
    await bus.append([new()])
    reader = bus.reader(TOPIC)
    reader.assign({PARTITION: 0})
    gate.away = True
    await log.kill_server()
    with pytest.raises(TransientError):
        await bus.append([new()])
    answers = await asyncio.gather(*(bus.append([new()]) for _ in range(20)), return_exceptions=True)
    assert all(isinstance(answer, TransientError) for answer in answers)
    assert all(answer.retry_after_seconds for answer in answers if isinstance(answer, TransientError))
    with pytest.raises(TransientError):
        await reader.poll(timeout_seconds=0.3)
    gate.away = False
    assert (await reader.poll(timeout_seconds=20))[PARTITION][0].offset == 0
    await bus.close()


async def test_an_append_of_very_many_records_is_to_be_cut_up_by_its_caller(log: PostgresLog) -> None:
    bus = await log.client(append_records_max=10)
    with pytest.raises(RecordTooLarge):
        await bus.append([new(n) for n in range(11)])


async def test_nobody_is_notified_where_nobody_else_listens(log: PostgresLog) -> None:
    alone = await log.client(poll_interval_seconds=0.02)
    async with asyncio.timeout(20):
        while alone.others_listen:
            await asyncio.sleep(0.01)
    second = await log.client()
    async with asyncio.timeout(20):
        while not alone.others_listen:
            await asyncio.sleep(0.01)
    await second.close()
    async with asyncio.timeout(20):
        while alone.others_listen:
            await asyncio.sleep(0.01)


async def test_the_server_spends_no_time_on_compressing_records(log: PostgresLog, owner: Connection) -> None:
    """By default PostgreSQL compresses every row beyond two kilobytes: a quarter of its time, with events of that size."""
    bus = await log.client()
    await bus.append([new(1, size=3_000), new(2, size=30_000)])
    rows = await owner.fetch(
        f'select pg_column_compression(value) as how, pg_column_size(value) as bytes, tableoid from log."{TOPIC}"'
        ' order by "offset"'
    )
    assert [(row["how"], row["bytes"]) for row in rows] == [(None, 3_005), (None, 30_001)]
    out_of_line = await owner.fetchval(
        "select reltoastrelid::regclass from pg_class where oid = $1", rows[0]["tableoid"]
    )
    assert await owner.fetchval(f"select count(distinct chunk_id) from {out_of_line}") == 1, "only what fills no page"
