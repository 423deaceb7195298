"""The log on PostgreSQL: composes appending, reading, watching and groups into the port's `Bus`.

Six connections: one writes, one announces, one listens, one polls, one is for groups; readers share `read_connections`.
Next: `schema.py` for what stands on the server, `appending.py` for the write path, `reading.py` for the read path.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from shared.bus.adapters.postgres.appending import Appender, Placed
from shared.bus.adapters.postgres.heads import Heads
from shared.bus.adapters.postgres.link import Connect, Connection, Link
from shared.bus.adapters.postgres.membership import PostgresMembership, fetch_committed
from shared.bus.adapters.postgres.reading import Fetcher, PostgresReader
from shared.bus.adapters.postgres.settings import BusSettings
from shared.bus.adapters.postgres.tail import RECORD_OVERHEAD_BYTES, Tail
from shared.bus.adapters.postgres.watching import Announcer, Watcher
from shared.bus.port import NewRecord, Position, Record, Watermarks
from shared.bus.topics import COMPANIONS
from shared.domain.clock import Clock
from shared.domain.errors import PermanentError


class PostgresBus:
    """A `Bus`. Make one with `open`, in the loop that uses it."""

    def __init__(
        self,
        connect: Connect,
        settings: BusSettings,
        clock: Clock,
        segment_records: Mapping[str, int],
        companions: Mapping[str, str],
        poll: Link,
    ) -> None:
        def link() -> Link:
            return Link(connect, settings, clock)

        self._settings = settings
        self._clock = clock
        self._topics = frozenset(segment_records)
        self._heads = Heads()
        self._tail = Tail(settings.tail_bytes_max)
        self._members: dict[tuple[str, str, str], PostgresMembership] = {}
        self._group_link = link()
        self._read_links = [link() for _ in range(settings.read_connections)]
        self._announcer = Announcer(link(), settings)
        self._watcher = Watcher(poll, link(), settings, self._heads, self._announcer, self._group_changed)
        self._fetcher = Fetcher(self._read_links, settings, segment_records, self._heads, self._tail)
        self._companions = companions
        self._appender = Appender(link(), settings, segment_records, companions, self._heads.advance, self._appended)
        self._closed = False

    @classmethod
    async def open(
        cls, connect: Connect, settings: BusSettings, clock: Clock, *, companions: Mapping[str, str] = COMPANIONS
    ) -> "PostgresBus":
        """Connect to a log that `install` has made. `connect` gives a new connection each time it is called.

        `companions`: of which topics `watermarks(…, as_of)` is asked by readers of which.

        `TransientError`: the server is away. `PermanentError`: no log there, or one with another partition count.
        """
        poll = Link(connect, settings, clock)
        topics = await poll.run(_fetch_topics)
        for topic, (partition_count, _) in topics.items():
            if partition_count != settings.partition_count:
                await poll.close()
                raise PermanentError(
                    f"topic {topic} has {partition_count} partitions, not {settings.partition_count}; "
                    "the number never changes"
                )
        segment_records = {topic: size for topic, (_, size) in topics.items()}
        known = {topic: other for topic, other in companions.items() if topic in topics and other in topics}
        return cls(connect, settings, clock, segment_records, known, poll)

    @property
    def partition_count(self) -> int:
        return self._settings.partition_count

    @property
    def record_bytes_max(self) -> int:
        return self._settings.record_bytes_max

    @property
    def queued_records(self) -> int:
        """Records that wait for a commit: the measure of back-pressure."""
        return self._appender.queued_records

    @property
    def others_listen(self) -> bool:
        """Whether other processes are notified of this one's appends, as far as the last poll saw."""
        return self._announcer.heard

    async def append(self, records: Sequence[NewRecord]) -> Sequence[Position]:
        for record in records:
            if record.topic not in self._topics:
                raise PermanentError(f"this log has no topic {record.topic}")
        return await self._appender.append(records)

    def reader(self, topic: str) -> PostgresReader:
        self._check_topic(topic)
        return PostgresReader(topic, fetcher=self._fetcher, heads=self._heads, tail=self._tail, refresh=self._refresh)

    async def join(self, group: str, topic: str, *, member_id: str) -> PostgresMembership:
        self._check_topic(topic)
        member = PostgresMembership(
            self._group_link, self._settings, self._clock, group=group, topic=topic, member_id=member_id
        )
        await member.start()
        self._members[group, topic, member_id] = member
        return member

    async def committed(self, group: str, topic: str) -> Mapping[int, int]:
        self._check_topic(topic)
        return await self._group_link.run(fetch_committed, group, topic)

    async def watermarks(
        self,
        topic: str,
        partitions: Sequence[int] | None = None,
        *,
        as_of: Mapping[int, Sequence[Record]] | None = None,
    ) -> Mapping[int, Watermarks]:
        self._check_topic(topic)
        if as_of is not None:
            partitions = list(as_of)
        if as_of is None or not self._brought_along(topic, as_of):
            await self._refresh(topic)
        wanted = range(self.partition_count) if partitions is None else partitions
        return {partition: Watermarks(0, self._heads.high(topic, partition)) for partition in wanted}

    def _brought_along(self, topic: str, batches: Mapping[int, Sequence[Record]]) -> bool:
        """Whether the appends of all these records told where the topic ended.

        A record has an `origin` only if this bus appended it and saw the commit (`_appended`). The server read the
        companion's end after that append had begun: under READ COMMITTED a statement within a function sees all that was
        committed before that statement, so it saw every append that had returned before this one was called. The end was
        taken into `Heads` before any reader was given the record, and ends never fall. An append of another process
        that commits later than that read is later than the record, or beside it, and nobody was promised that it is seen.
        """
        return all(
            self._companions.get(record.topic) == topic and record.origin is not None
            for records in batches.values()
            for record in records
        )

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        await self._appender.close()
        for member in self._members.values():
            await member.leave()
        await self._announcer.close()
        await self._watcher.close()
        for link in (self._group_link, *self._read_links):
            await link.close()
        self._fetcher.close()

    def _check_topic(self, topic: str) -> None:
        if topic not in self._topics:
            raise PermanentError(f"this log has no topic {topic}")

    async def _refresh(self, topic: str) -> None:
        await self._watcher.refresh([topic])

    def _appended(
        self, topic: str, partition: int, first: int, recorded_at: datetime, placed: Sequence[Placed]
    ) -> None:
        end = first + len(placed)
        if self._heads.is_followed(topic):
            records = [
                Record(
                    topic=topic,
                    partition=partition,
                    offset=offset,
                    recorded_at=recorded_at,
                    key=item.record.key,
                    headers=item.record.headers,
                    value=item.record.value,
                    origin=item.record.origin,
                )
                for offset, item in enumerate(placed, first)
            ]
            self._tail.add(records, sum(item.size + RECORD_OVERHEAD_BYTES for item in placed))
        self._heads.advance(topic, ((partition, end),))
        self._announcer.announce(topic, partition, end)

    def _group_changed(self, payload: str) -> None:
        for (group, topic, _), member in self._members.items():
            if payload == f"{group}\n{topic}":
                member.hurry()


async def _fetch_topics(connection: Connection) -> dict[str, tuple[int, int]]:
    rows = await connection.fetch("select topic, partition_count, segment_records from log.topics")
    return {topic: (partition_count, segment_records) for topic, partition_count, segment_records in rows}
