"""A range of the log reads as a reader reads it, on each way to read one, also across segments, and can write nothing."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio

from shared.bus.adapters.postgres import PostgresRange
from shared.bus.partitioner import partition_of
from shared.bus.port import Bus, NewRecord
from shared.bus.ranges import BusRange, LogRange, first_at_or_after
from shared.domain.errors import PermanentError
from shared.runtime.clock import SystemClock
from shared.testing.bus import PARTITION_COUNT, TOPICS, Server, Variant, postgres
from shared.testing.bus.postgres import SEGMENT_RECORDS, PostgresLog, settings_of

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.postgres]

TOPIC = TOPICS[0]
KEY = b"acme"
PARTITION = partition_of(KEY, PARTITION_COUNT)
COUNT = SEGMENT_RECORDS + 40


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


def ranges(log: PostgresLog, bus: Bus) -> list[LogRange]:
    own = PostgresRange(log.connect, settings_of(), SystemClock(), topic=TOPIC, partition=PARTITION)
    return [BusRange(bus, TOPIC, PARTITION), own]


def new(number: int, tenant_id: bytes = b"acme") -> NewRecord:
    headers = (("ce_specversion", b"1.0"), ("ce_tenantid", tenant_id))
    return NewRecord(topic=TOPIC, key=KEY, headers=headers, value=b"%d" % number)


async def test_each_way_gives_the_same_records_and_instants(log: PostgresLog) -> None:
    bus = await log.client()
    for number in range(0, COUNT, 60):
        await bus.append([new(each) for each in range(number, min(number + 60, COUNT))])
    found = []
    for each in ranges(log, bus):
        marks = await each.watermarks()
        assert (marks.low, marks.high) == (0, COUNT)
        records, position = [], 7
        while position < COUNT - 5:
            batch = await each.read(position, COUNT - 5, records_max=100)
            assert 0 < len(batch.records) <= 100
            records += batch.records
            position = batch.next_offset
        assert [record.offset for record in records] == list(range(7, COUNT - 5))
        middle = records[SEGMENT_RECORDS // 2].recorded_at
        first = await first_at_or_after(each, middle, 0, COUNT)
        assert next(record.offset for record in records if record.recorded_at >= middle) == max(first, 7)
        assert await first_at_or_after(each, records[-1].recorded_at.replace(year=2999), 0, COUNT) == COUNT
        found.append([(record.key, record.headers, record.value, record.recorded_at) for record in records])
        await each.close()
        await each.close()
    assert found[0] == found[1]


async def test_records_of_others_are_left_out_and_none_of_ones_own(log: PostgresLog) -> None:
    bus = await log.client()
    structured = NewRecord(
        topic=TOPIC, key=KEY, headers=(("content-type", b"Application/CloudEvents+json"),), value=b'{"tenantid":"acme"}'
    )
    await bus.append([new(0), new(1, b"shop"), structured, new(3, b"acme-2"), new(4, b"shop")])
    own = ranges(log, bus)[1]
    batch = await own.read(0, 5, records_max=10, tenant_id="acme")
    # `acme-2` holds the id as well: who asks looks at what it is handed.
    assert [record.offset for record in batch.records] == [0, 2, 3]
    assert batch.next_offset == 5
    await own.close()


async def test_the_server_refuses_every_write_on_its_connection(log: PostgresLog) -> None:
    bus = await log.client()
    await bus.append([new(0)])
    own = PostgresRange(log.connect, settings_of(), SystemClock(), topic=TOPIC, partition=PARTITION)

    async def write(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        await connection.execute("update log.heads set next = 0")

    with pytest.raises(Exception, match="read-only transaction"):
        await own._link.run(write)
    with pytest.raises(PermanentError):
        await PostgresRange(log.connect, settings_of(), SystemClock(), topic="no", partition=0).watermarks()
    assert (await own.watermarks()).high == 1
    await own.close()
