"""A `LogRange` on PostgreSQL: one connection of its own, which the server itself keeps from writing anything.

Records whose stored headers do not even hold the tenant's id are left out before they are unpacked: where many tenants share
a partition, that is most of what a look at one tenant's past costs.
"""

from collections.abc import Sequence

import asyncpg

from shared.bus.adapters.postgres.archive import Archive, fetch_archived
from shared.bus.adapters.postgres.header_bytes import unpack_headers
from shared.bus.adapters.postgres.link import Connect, Connection, Link
from shared.bus.adapters.postgres.reading import FETCH
from shared.bus.adapters.postgres.segment_file import StoredRecord
from shared.bus.adapters.postgres.settings import BusSettings
from shared.bus.port import PartitionUnreadable, Record, Watermarks
from shared.bus.ranges import RangeBatch
from shared.domain.clock import Clock
from shared.domain.errors import PermanentError

_STRUCTURED = b"application/cloudevents"


class PostgresRange:
    """See `shared/bus/ranges.py`. `connect` gives a connection each time it is called; each is made read-only."""

    def __init__(self, connect: Connect, settings: BusSettings, clock: Clock, *, topic: str, partition: int) -> None:
        async def connect_read_only() -> Connection:
            connection = await connect()
            await connection.execute("set default_transaction_read_only = on")
            return connection

        self._link = Link(connect_read_only, settings, clock)
        self._bytes_max = settings.fetch_bytes_max
        self._topic = topic
        self._partition = partition
        self._segment_records: int | None = None
        self._archive = Archive(settings.archive_dir)

    async def watermarks(self) -> Watermarks:
        return Watermarks(0, await self._link.run(_head, self._topic, self._partition))

    async def read(self, low: int, high: int, *, records_max: int, tenant_id: str | None = None) -> RangeBatch:
        if self._segment_records is None:
            self._segment_records = await self._link.run(_segment_records, self._topic)
        size = self._segment_records
        first = low // size * size
        count = min(records_max, high - low, first + size - low)
        rows = await self._rows(low, first, first + size, count)
        own = tenant_id.encode() if tenant_id is not None else b""
        topic, partition = self._topic, self._partition
        records = [
            Record(
                topic=topic,
                partition=partition,
                offset=offset,
                recorded_at=recorded_at,
                key=key,
                headers=unpack_headers(headers),
                value=value,
            )
            for offset, (recorded_at, key, headers, value) in enumerate(rows, low)
            if own in headers or _STRUCTURED in headers.lower()
        ]
        return RangeBatch(records, low + len(rows))

    async def close(self) -> None:
        await self._link.close()
        self._archive.close()

    async def _rows(self, low: int, first: int, end: int, count: int) -> Sequence[StoredRecord]:
        """At least one; from the segment's table, else from the file that it was exported to."""
        size = end - first
        asked = False
        while True:
            archived = self._archive.of(self._topic, first // size).get(self._partition)
            try:
                if archived is not None:
                    return await self._archive.rows(archived, low, count)
                query = FETCH.format(topic=self._topic, first=first, end=end)
                rows = await self._link.run(_fetch, query, self._partition, low, count, self._bytes_max)
                if rows and rows[0][1] == low:
                    return [(recorded_at, key, headers, value) for _, _, recorded_at, key, headers, value in rows]
                raise PermanentError(f"{self._topic}/{self._partition} does not give offset {low}")
            except (PartitionUnreadable, PermanentError):
                if asked:
                    raise
                asked = True  # it may have been detached, or attached again, since this object last looked
                self._archive.take_in(await self._link.run(fetch_archived))


async def _head(connection: Connection, topic: str, partition: int) -> int:
    found = await connection.fetchval(
        "select next from log.heads where topic = $1 and partition = $2", topic, partition
    )
    if found is None:
        raise PermanentError(f"this log has no {topic}/{partition}")
    return int(found)


async def _segment_records(connection: Connection, topic: str) -> int:
    found = await connection.fetchval("select segment_records from log.topics where topic = $1", topic)
    if found is None:
        raise PermanentError(f"this log has no topic {topic}")
    return int(found)


async def _fetch(
    connection: Connection, query: str, partition: int, low: int, count: int, bytes_max: int
) -> Sequence[asyncpg.Record]:
    return await connection.fetch(query, [partition], [low], count, bytes_max)
