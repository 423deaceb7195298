"""Readers: from memory where the tail reaches, else by one query for all partitions that have something, and from files
where a segment was detached.

A reader sleeps until `Heads` tells it that one of its partitions moved; it never asks the server in vain. Records are
taken as far as they are contiguous, so whatever a query gives, no offset is skipped.
Next: `tail.py` and `heads.py`, `archive.py` for files.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence

import asyncpg

from shared.bus.adapters.postgres.archive import Archive, Archived, fetch_archived
from shared.bus.adapters.postgres.header_bytes import unpack_headers
from shared.bus.adapters.postgres.heads import Heads
from shared.bus.adapters.postgres.link import Connection, Link
from shared.bus.adapters.postgres.settings import BusSettings
from shared.bus.adapters.postgres.tail import RECORD_OVERHEAD_BYTES, Tail
from shared.bus.port import PartitionUnreadable, Record
from shared.domain.errors import PermanentError, TransientError

_PAUSE_SECONDS = 0.05  # between two tries while the server is away and does not say how long

# Segments are named by constants, so that planning opens only the one that is read. The running sum cuts the answer
# in the order it is made; what lies behind the cut comes first next time.
FETCH = """
select partition, "offset", recorded_at, key, headers, value from (
    select w.partition, r.*,
        sum(octet_length(r.headers) + coalesce(octet_length(r.value), 0)) over (rows unbounded preceding)
            - octet_length(r.headers) - coalesce(octet_length(r.value), 0) as bytes_before
    from unnest($1::int[], $2::bigint[]) as w (partition, low),
    lateral (
        select "offset", recorded_at, key, headers, value from log."{topic}" t
        where t.partition = w.partition and t."offset" >= w.low and t."offset" < w.low + $3::bigint
            and t."offset" >= {first} and t."offset" < {end}
        order by t."offset"
    ) r
) f where bytes_before < $4
"""


class Fetcher:
    """Queries of all readers of a bus, spread over its reading connections."""

    def __init__(
        self, links: Sequence[Link], settings: BusSettings, segment_records: Mapping[str, int], heads: Heads, tail: Tail
    ) -> None:
        self._links = links
        self._settings = settings
        self._segment_records = segment_records
        self._heads = heads
        self._tail = tail
        self._archive = Archive(settings.archive_dir)
        self._turn = 0

    async def fetch(self, topic: str, wanted: Mapping[int, int], records_max: int) -> Mapping[int, Sequence[Record]]:
        """Records from the `wanted` offsets on, which are known to be there; contiguous in each partition.

        At most about `records_max`. Of partitions in different segments, those in the lowest one come first. Raises
        `PartitionUnreadable` where all wanted ones are.
        """
        left = dict(wanted)
        unreadable: PartitionUnreadable | None = None
        while left:
            try:
                return await self._fetch(topic, left, records_max)
            except PartitionUnreadable as error:
                unreadable = unreadable or error
                left = {partition: offset for partition, offset in left.items() if partition not in error.partitions}
        assert unreadable is not None  # something was wanted
        raise unreadable

    def close(self) -> None:
        """Free files."""
        self._archive.close()

    async def _fetch(self, topic: str, wanted: Mapping[int, int], records_max: int) -> Mapping[int, Sequence[Record]]:
        size = self._segment_records[topic]
        segment = min(offset // size for offset in wanted.values())
        chosen = {p: offset for p, offset in wanted.items() if offset // size == segment}
        each_max = -(-records_max // len(chosen))
        query = FETCH.format(topic=topic, first=segment * size, end=(segment + 1) * size)
        self._turn += 1
        link = self._links[self._turn % len(self._links)]
        asked = False
        while True:
            archived = self._archive.of(topic, segment)
            stored = {partition: offset for partition, offset in chosen.items() if partition not in archived}
            try:
                found: dict[int, Sequence[Record]] = {}
                if stored:
                    rows = await link.run(_fetch, query, stored, each_max, self._settings.fetch_bytes_max)
                    found.update(self._taken(topic, stored, rows))
                found.update(await self._from_files(archived, chosen, each_max, needed=not found))
                return found
            except (Hole, PartitionUnreadable):
                if asked:
                    raise
                asked = True  # it may have been detached, or attached again, since this process last looked
                self._archive.take_in(await link.run(fetch_archived))

    async def _from_files(
        self, archived: Mapping[int, Archived], chosen: Mapping[int, int], each_max: int, *, needed: bool
    ) -> Mapping[int, Sequence[Record]]:
        """`needed`: whether there is nothing else to give, so that what cannot be read is an error."""
        found: dict[int, Sequence[Record]] = {}
        unreadable: PartitionUnreadable | None = None
        for partition, offset in chosen.items():
            if partition in archived:
                try:
                    found[partition] = await self._archive.read(archived[partition], offset, each_max)
                except PartitionUnreadable as error:
                    both = error.partitions | (unreadable.partitions if unreadable is not None else frozenset())
                    unreadable = unreadable or error
                    unreadable.partitions = both
        if unreadable is not None and needed and not found:
            raise unreadable
        return found

    def _taken(
        self, topic: str, wanted: Mapping[int, int], rows: Sequence[asyncpg.Record]
    ) -> Mapping[int, Sequence[Record]]:
        found: dict[int, list[Record]] = {}
        sizes: dict[int, int] = {}
        for partition, offset, recorded_at, key, headers, value in rows:
            records = found.setdefault(partition, [])
            if offset != wanted[partition] + len(records):
                if not records:
                    raise Hole(topic, partition, wanted[partition])
                continue
            records.append(
                Record(
                    topic=topic,
                    partition=partition,
                    offset=offset,
                    recorded_at=recorded_at,
                    key=key,
                    headers=unpack_headers(headers),
                    value=value,
                )
            )
            size = RECORD_OVERHEAD_BYTES + len(key) + len(headers) + len(value or b"")
            sizes[partition] = sizes.get(partition, 0) + size
        if not found:
            raise Hole(topic, *next(iter(wanted.items())))
        for partition, records in found.items():
            self._keep(topic, partition, records, sizes[partition])
        return found

    def _keep(self, topic: str, partition: int, records: Sequence[Record], size: int) -> None:
        """What another process appended is kept for this process's other readers, where it ends the partition."""
        kept_end = self._tail.end(topic, partition)
        level = records[-1].offset + 1 >= self._heads.high(topic, partition)
        if records[0].offset == kept_end or (level and records[0].offset > kept_end):
            self._tail.add(records, size)


class Hole(PermanentError):
    """A record is gone although others follow it."""

    def __init__(self, topic: str, partition: int, offset: int) -> None:
        super().__init__(f"{topic}/{partition} goes on behind offset {offset}, but that record is gone")


async def _fetch(
    connection: Connection, query: str, wanted: Mapping[int, int], each_max: int, bytes_max: int
) -> Sequence[asyncpg.Record]:
    return await connection.fetch(query, list(wanted), list(wanted.values()), each_max, bytes_max)


class PostgresReader:
    """A `Reader`; one task at a time may poll it."""

    def __init__(
        self,
        topic: str,
        *,
        fetcher: Fetcher,
        heads: Heads,
        tail: Tail,
        refresh: Callable[[str], Awaitable[None]],
    ) -> None:
        self._topic = topic
        self._fetcher = fetcher
        self._heads = heads
        self._tail = tail
        self._refresh = refresh
        self._positions: dict[int, int] = {}
        self._pending: deque[int] = deque()  # partitions known to hold more, the one longest unserved first
        self._queued: set[int] = set()
        self._unchecked = False
        self._woken = asyncio.Event()
        heads.follow(topic, self)

    def assign(self, positions: Mapping[int, int]) -> None:
        self._positions = {partition: max(0, offset) for partition, offset in positions.items()}
        self._pending.clear()
        self._queued.clear()
        self._unchecked = bool(positions)
        for partition, offset in self._positions.items():
            if self._heads.high(self._topic, partition) > offset:
                self._expect(partition)
        self._woken.set()

    def positions(self) -> Mapping[int, int]:
        return dict(self._positions)

    async def poll(self, *, timeout_seconds: float, records_max: int = 1000) -> Mapping[int, Sequence[Record]]:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_seconds
        while True:
            self._woken.clear()
            try:
                if self._unchecked:
                    await self._check_positions()
                if self._pending:
                    if found := await self._take(records_max):
                        return found
                    continue  # assigned anew meanwhile
            except TransientError as error:
                pause = error.retry_after_seconds or _PAUSE_SECONDS
                if loop.time() + pause >= deadline:
                    raise
                await asyncio.sleep(pause)
                continue
            try:
                async with asyncio.timeout_at(deadline):
                    await self._woken.wait()
            except TimeoutError:
                return {}

    async def close(self) -> None:
        self._heads.unfollow(self._topic, self)
        self._positions = {}
        self._pending.clear()
        self._queued.clear()

    def advanced(self, partition: int, high: int) -> None:
        """See `heads.Follower`."""
        position = self._positions.get(partition)
        if position is not None and high > position:
            self._expect(partition)

    def wake(self) -> None:
        """See `heads.Follower`."""
        if self._pending:
            self._woken.set()

    def _expect(self, partition: int) -> None:
        if partition not in self._queued:
            self._queued.add(partition)
            self._pending.append(partition)

    async def _check_positions(self) -> None:
        """Ask the server once where the assigned partitions end; a position behind the end means a lost log."""
        positions = self._positions
        await self._refresh(self._topic)
        if positions is not self._positions:
            return  # assigned anew meanwhile
        self._unchecked = False
        for partition, offset in positions.items():
            high = self._heads.high(self._topic, partition)
            if offset > high:
                raise PermanentError(
                    f"{self._topic}/{partition} ends at {high}, but is to be read from {offset}: "
                    "the log has lost records, or this position belongs to another log"
                )

    async def _take(self, records_max: int) -> Mapping[int, Sequence[Record]]:
        """Positions move only once everything is at hand, so that a cancelled poll loses nothing."""
        positions = self._positions
        quota = -(-records_max // len(self._pending))
        lagging = {p: positions[p] for p in self._pending if not self._tail.holds(self._topic, p, positions[p])}
        fetched: Mapping[int, Sequence[Record]] = {}
        if lagging:
            try:
                fetched = await self._fetcher.fetch(self._topic, lagging, quota * len(lagging))
            except TransientError:
                if len(lagging) == len(self._pending):
                    raise  # else the server is away, but what is in memory can be had
            if positions is not self._positions:
                return {}  # assigned anew meanwhile
        found = dict(fetched)
        for partition in tuple(self._pending)[:records_max]:
            if partition not in fetched and (
                records := self._tail.take(self._topic, partition, positions[partition], quota)
            ):
                found[partition] = records
        for partition, records in found.items():
            self._hand_over(partition, records)
        return found

    def _hand_over(self, partition: int, records: Sequence[Record]) -> None:
        self._positions[partition] = position = records[-1].offset + 1
        self._pending.remove(partition)
        self._queued.discard(partition)
        if self._heads.high(self._topic, partition) > position:
            self._expect(partition)
