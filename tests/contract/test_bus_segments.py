"""Closed segments of the PostgreSQL log: exported, detached and attached again, while it is read and written, and killed."""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import orjson
import pytest
import pytest_asyncio

from shared.bus.adapters.postgres import PostgresBus, PostgresRange
from shared.bus.adapters.postgres.archiving import (
    REST_RECORDS_MAX,
    alone,
    attach_segment,
    detach_segment,
    export_segment,
)
from shared.bus.adapters.postgres.link import Connection
from shared.bus.adapters.postgres.segments import find_segment, list_segments
from shared.bus.partitioner import partition_of
from shared.bus.port import NewRecord, PartitionUnreadable, Reader, Record
from shared.domain.errors import PermanentError, TransientError
from shared.runtime.clock import SystemClock
from shared.testing.bus import PARTITION_COUNT, TOPICS, Server, Variant, postgres
from shared.testing.bus.postgres import SEGMENT_RECORDS, PostgresLog, settings_of

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.postgres]

TOPIC = TOPICS[0]
BUSY, IDLE = b"busy", b"idle"
PARTITION, IDLE_PARTITION = partition_of(BUSY, PARTITION_COUNT), partition_of(IDLE, PARTITION_COUNT)
FIRST, SECOND, THIRD = (f"{TOPIC}.{number}" for number in range(3))
COUNT = 2 * SEGMENT_RECORDS + 10


@pytest_asyncio.fixture(
    scope="module", loop_scope="module", params=postgres.variants()[:1], ids=lambda found: found.name
)
async def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    variant: Variant = request.param
    if variant.missing:
        pytest.skip(variant.missing)
    async with variant.start(tmp_path_factory.mktemp(variant.name)) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def log(server: Server) -> AsyncIterator[PostgresLog]:
    """One partition has closed two segments, another holds three records, all others none."""
    async with server.log() as fresh:
        assert isinstance(fresh, PostgresLog)
        bus = await fresh.client()
        await bus.append([new(number) for number in range(COUNT)])
        await bus.append([new(number, IDLE) for number in range(3)])
        yield fresh


@pytest_asyncio.fixture(loop_scope="module")
async def owner(log: PostgresLog) -> AsyncIterator[Connection]:
    connection = await log.connect()
    yield connection
    await connection.close()


def new(number: int, key: bytes = BUSY) -> NewRecord:
    value = None if number % 7 == 3 else b"%d" % number * (number % 50)
    return NewRecord(topic=TOPIC, key=key, headers=(("ce_id", b"%d" % number), ("x", b"\xff")), value=value)


async def test_a_detached_segment_is_read_as_before_by_every_reader(
    log: PostgresLog, owner: Connection, tmp_path: Path
) -> None:
    running = await log.client()  # began while it was in its table
    before = await read_all(running)
    assert await states(owner) == ["closed", "closed", "open"]
    for name in (FIRST, SECOND):
        await export(owner, name, tmp_path)
        await detach(owner, name)
    assert await states(owner) == ["detached", "detached", "open"]
    assert await owner.fetchval(f'select count(*) from log."{TOPIC}" where partition = $1', PARTITION) == 10

    assert await read_all(running) == before
    assert await read_all(await log.client()) == before
    log_range = PostgresRange(log.connect, settings_of(), SystemClock(), topic=TOPIC, partition=PARTITION)
    ranged: list[Record] = []
    while len(ranged) < COUNT:
        ranged += (await log_range.read(len(ranged), COUNT, records_max=333)).records
    await log_range.close()
    assert ranged == before[PARTITION]
    for offset in (1, SEGMENT_RECORDS - 1, SEGMENT_RECORDS, COUNT - 11):
        reader = running.reader(TOPIC)
        reader.assign({PARTITION: offset})
        assert (await reader.poll(timeout_seconds=20))[PARTITION][0] == before[PARTITION][offset]
        await reader.close()
    assert {each.low for each in (await running.watermarks(TOPIC)).values()} == {0}

    # and: who had not closed it goes on to write there, and closes it later
    await running.append([new(number, IDLE) for number in range(3, SEGMENT_RECORDS + 5)])
    assert await states(owner) == ["closed", "detached", "open"]
    await export(owner, FIRST, tmp_path)
    await detach(owner, FIRST)
    grown = await read_all(running)
    assert grown[PARTITION] == before[PARTITION]
    assert len(grown[IDLE_PARTITION]) == SEGMENT_RECORDS + 5

    # when: it is brought back, and the files are gone
    for name in (FIRST, SECOND):
        async with alone(owner):
            await attach_segment(owner, await find_segment(owner, name), None, print)
    assert await states(owner) == ["exported", "exported", "open"]
    for path in tmp_path.rglob("*.upshot-segment"):
        path.unlink()
    assert await read_all(running) == grown
    assert await read_all(await log.client()) == grown


async def test_a_manifest_says_what_the_files_hold(owner: Connection, tmp_path: Path) -> None:
    manifest = orjson.loads((await export(owner, FIRST, tmp_path)).read_bytes())
    (file,) = manifest.pop("files")
    assert manifest == {
        "format": 1,
        "topic": TOPIC,
        "segment": 0,
        "first_offset": 0,
        "end_offset": SEGMENT_RECORDS,
        "partitions": PARTITION_COUNT,
    }
    path = tmp_path / FIRST / file["file"]
    assert (file["partition"], file["records"], file["bytes"]) == (PARTITION, SEGMENT_RECORDS, path.stat().st_size)
    assert path.stat().st_mode & 0o077 == 0


async def test_what_is_open_needed_unfinished_or_damaged_is_not_detached(
    log: PostgresLog, owner: Connection, tmp_path: Path
) -> None:
    with pytest.raises(PermanentError, match=f"{THIRD} is open"):
        await export(owner, THIRD, tmp_path)
    with pytest.raises(PermanentError, match=f"there are: {FIRST}, {SECOND}, {THIRD}"):
        await find_segment(owner, f"{TOPIC}.7")
    with pytest.raises(PermanentError, match="not exported"):
        await detach(owner, FIRST)
    await export(owner, FIRST, tmp_path)
    with pytest.raises(PermanentError, match=f"still needed: .* offset 499 of partition {PARTITION}"):
        await detach(owner, FIRST, {PARTITION: SEGMENT_RECORDS - 1})

    bus = await log.client()
    member = await bus.join("g", TOPIC, member_id="a")
    assignment = await member.next_assignment(timeout_seconds=20)
    assert assignment is not None
    await member.commit({PARTITION: 7}, generation=assignment.generation)
    with pytest.raises(PermanentError, match=f"offset 7 of partition {PARTITION}"):
        await detach(owner, FIRST)
    await member.commit({PARTITION: SEGMENT_RECORDS}, generation=assignment.generation)

    (path,) = tmp_path.rglob("*.upshot-segment")
    whole = path.read_bytes()
    path.write_bytes(whole[:-30] + b"x" + whole[-29:])
    with pytest.raises(PermanentError, match=r"p\d+\.upshot-segment .*nothing was changed"):
        await detach(owner, FIRST)
    assert (await states(owner))[0] == "exported"
    await export(owner, FIRST, tmp_path)  # writes the damaged file anew
    assert path.read_bytes() == whole
    await detach(owner, FIRST)
    async with alone(owner):
        other = await log.connect()
        with pytest.raises(TransientError, match="only one can"):
            async with alone(other):
                pass
        await other.close()
    assert REST_RECORDS_MAX >= 3


async def test_a_file_that_is_gone_keeps_back_its_partition_only_and_is_named(
    log: PostgresLog, owner: Connection, tmp_path: Path
) -> None:
    path = (await export(owner, FIRST, tmp_path)).parent
    await detach(owner, FIRST)
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    path.rename(moved / FIRST)
    bus = await log.client()
    reader = bus.reader(TOPIC)
    reader.assign({PARTITION: 0, IDLE_PARTITION: 0})
    assert list(await reader.poll(timeout_seconds=20)) == [IDLE_PARTITION]
    with pytest.raises(PartitionUnreadable, match=str(path)) as missing:
        await reader.poll(timeout_seconds=0.01)
    assert missing.value.partitions == {PARTITION}
    await bus.append([new(9, IDLE)])
    assert list(await reader.poll(timeout_seconds=20)) == [IDLE_PARTITION], "the other one goes on"

    there = PostgresBus.open(log.connect, settings_of().model_copy(update={"archive_dir": moved}), SystemClock())
    found = await there
    assert len((await read_all(found))[PARTITION]) == COUNT
    await found.close()

    (moved / FIRST).rename(path)
    assert (await reader.poll(timeout_seconds=20))[PARTITION][0].offset == 0, "it goes on where it was"


async def test_readers_and_writers_beside_it_miss_nothing(log: PostgresLog, owner: Connection, tmp_path: Path) -> None:
    bus = await log.client(tail_bytes_max=0)
    before = await read_all(bus)
    stop = asyncio.Event()
    written = 0

    async def read_on() -> int:
        rounds = 0
        while not stop.is_set():
            assert (await read_all(bus, upto={PARTITION: COUNT}))[PARTITION] == before[PARTITION]
            rounds += 1
        return rounds

    async def write_on() -> None:
        nonlocal written
        while not stop.is_set():
            await bus.append([new(written, IDLE)])
            written += 1

    readers = [asyncio.create_task(read_on()) for _ in range(3)]
    writer = asyncio.create_task(write_on())
    for _ in range(2):
        for name in (FIRST, SECOND):
            await export(owner, name, tmp_path)
            await detach(owner, name)
        for name in (SECOND, FIRST):
            async with alone(owner):
                await attach_segment(owner, await find_segment(owner, name), None, print)
    stop.set()
    assert all(await asyncio.gather(*readers))
    await writer
    idle = (await read_all(bus))[IDLE_PARTITION]
    assert [each.value for each in idle[3:]] == [new(number).value for number in range(written)]


async def test_killed_at_any_moment_nothing_is_lost_and_the_next_call_ends_it(
    log: PostgresLog, owner: Connection, tmp_path: Path
) -> None:
    bus = await log.client(tail_bytes_max=0)
    await bus.append([new(number, IDLE) for number in range(3, SEGMENT_RECORDS)])
    before = await read_all(bus)

    async def killed(what: str, *, goes_on: bool = False) -> None:
        """After the first thing that it did."""
        worker = (sys.executable, "-m", "shared.testing.bus.segments_worker")
        process = await asyncio.create_subprocess_exec(
            *(*worker, log.address, what, FIRST, str(tmp_path)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdin is not None and process.stdout is not None
        assert await process.stdout.readline()
        if goes_on:
            process.stdin.write(b"\n")
            await process.stdin.drain()
        process.kill()
        await process.wait()
        # The server notices it some time later: until then the lock is held.
        while not await owner.fetchval(
            "select count(*) = 0 from pg_locks where locktype = 'advisory' and objsubid = 1"
        ):
            await asyncio.sleep(0.01)
        assert await read_all(bus) == before

    await killed("export")
    await export(owner, FIRST, tmp_path)
    holder = await log.connect()
    async with holder.transaction():
        await holder.execute(f'select from log."{TOPIC}" limit 1')  # keeps the switch from being made
        await killed("detach", goes_on=True)
        assert (await states(owner))[0] == "exported"
    await holder.close()
    await detach(owner, FIRST)
    assert await read_all(bus) == before
    await killed("attach")
    async with alone(owner):
        await attach_segment(owner, await find_segment(owner, FIRST), None, print)
    assert (await states(owner))[0] == "exported"
    assert await read_all(bus) == before


async def export(owner: Connection, name: str, folder: Path) -> Path:
    async with alone(owner):
        return await export_segment(owner, await find_segment(owner, name), folder, print)


async def detach(owner: Connection, name: str, needed_from: dict[int, int] | None = None) -> None:
    async with alone(owner):
        await detach_segment(owner, await find_segment(owner, name), needed_from or {}, None, print)


async def states(owner: Connection) -> list[str]:
    return [each.state for each in await list_segments(owner, TOPIC)]


async def read_all(bus: PostgresBus, upto: dict[int, int] | None = None) -> dict[int, Sequence[Record]]:
    """By partition, everything from offset 0 on."""
    wanted = upto or {each: marks.high for each, marks in (await bus.watermarks(TOPIC)).items() if marks.high}
    found: dict[int, list[Record]] = {partition: [] for partition in wanted}
    reader: Reader = bus.reader(TOPIC)
    reader.assign(dict.fromkeys(wanted, 0))
    while any(len(found[partition]) < high for partition, high in wanted.items()):
        for partition, records in (await reader.poll(timeout_seconds=20)).items():
            found[partition] += records
    await reader.close()
    return {partition: records[: wanted[partition]] for partition, records in found.items()}
