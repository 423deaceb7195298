"""The log on Apache Kafka: composes appending, reading, offsets and groups into the port's `Bus`.

One producer appends; each reader and each group member has connections of its own; watermarks are asked over one more,
so that nothing waits behind a read that a broker holds.
Next: `appending.py` for the write path, `reading.py` for the read path, `membership.py` for groups.
"""

from collections.abc import Mapping, Sequence

from shared.bus.adapters.kafka.appending import Appender
from shared.bus.adapters.kafka.link import Link
from shared.bus.adapters.kafka.membership import KafkaMembership
from shared.bus.adapters.kafka.offsets import Offsets
from shared.bus.adapters.kafka.reading import KafkaReader
from shared.bus.adapters.kafka.rounds import GroupLink
from shared.bus.adapters.kafka.settings import KafkaSettings
from shared.bus.adapters.kafka.topics import ensure_topics
from shared.bus.port import NewRecord, Position, Record, Watermarks
from shared.bus.topics import TOPICS
from shared.domain.clock import Clock
from shared.domain.errors import PermanentError

_IDLE_LINKS_MAX = 4


def group_id(settings: KafkaSettings, group: str, topic: str) -> str:
    """A group's name in Kafka: the port keeps groups of one name on several topics apart."""
    return f"{settings.topic_prefix}{topic}.{group}"


class KafkaBus:
    """A `Bus`. Make one with `open`, in the loop that uses it."""

    def __init__(self, settings: KafkaSettings, clock: Clock, topics: Sequence[str]) -> None:
        self._settings = settings
        self._clock = clock
        self._full_names = {topic: settings.topic_prefix + topic for topic in topics}
        self._link = Link(settings, clock, frozenset(self._full_names.values()))
        self._offsets = Offsets(self._link, settings.request_timeout_seconds)
        self._appender = Appender(settings, clock, self._full_names)
        self._idle: list[Link] = []  # of readers that were closed
        self._readers: list[KafkaReader] = []
        self._members: list[KafkaMembership] = []
        self._closed = False

    @classmethod
    async def open(cls, settings: KafkaSettings, clock: Clock, *, topics: Sequence[str] = TOPICS) -> "KafkaBus":
        """Connect, make the topics that are missing, check all of them.

        `TransientError`: brokers are away. `PermanentError`: they refuse us, or a topic cannot hold the log.
        """
        made = await ensure_topics(settings, [settings.topic_prefix + topic for topic in topics])
        bus = cls(settings, clock, topics)
        try:
            for full_name in made:  # a broker that was made a leader takes a moment to know it
                await bus._offsets.watermarks(full_name, range(settings.partition_count))
        except BaseException:
            await bus.close()
            raise
        return bus

    @property
    def partition_count(self) -> int:
        return self._settings.partition_count

    @property
    def record_bytes_max(self) -> int:
        return self._settings.record_bytes_max

    @property
    def in_flight_bytes(self) -> int:
        """Bytes that wait for brokers' answers: the measure of back-pressure."""
        return self._appender.in_flight_bytes

    async def append(self, records: Sequence[NewRecord]) -> Sequence[Position]:
        for record in records:
            self._full_name(record.topic)
        return await self._appender.append(records)

    def reader(self, topic: str) -> KafkaReader:
        full_name = self._full_name(topic)
        link = self._idle.pop() if self._idle else Link(self._settings, self._clock, self._link.topics)
        reader = KafkaReader(topic, full_name, link, self._offsets, self._settings, self._give_back)
        self._readers = [each for each in self._readers if not each.closed]
        self._readers.append(reader)
        return reader

    async def join(self, group: str, topic: str, *, member_id: str) -> KafkaMembership:
        full_name = self._full_name(topic)
        link = GroupLink(
            self._settings,
            self._clock,
            group_id=group_id(self._settings, group, topic),
            topic=full_name,
            instance=member_id,
            partition_count=self.partition_count,
        )
        member = KafkaMembership(link, self._settings, self._clock, member_id=member_id, name=f"{group}/{topic}")
        try:
            await member.start()
        except BaseException:
            await link.close()
            raise
        self._members.append(member)
        return member

    async def committed(self, group: str, topic: str) -> Mapping[int, int]:
        full_name = self._full_name(topic)
        return await self._offsets.committed(
            group_id(self._settings, group, topic), full_name, range(self.partition_count)
        )

    async def watermarks(
        self,
        topic: str,
        partitions: Sequence[int] | None = None,
        *,
        as_of: Mapping[int, Sequence[Record]] | None = None,
    ) -> Mapping[int, Watermarks]:
        """What is asked now holds as of any record there is: its append returned before this was asked."""
        if as_of is not None:
            return await self._offsets.ends(self._full_name(topic), list(as_of))
        wanted = range(self.partition_count) if partitions is None else partitions
        return await self._offsets.watermarks(self._full_name(topic), list(wanted))

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        await self._appender.close()
        for member in self._members:
            await member.leave()
        for reader in self._readers:
            await reader.close()
        for link in (*self._idle, self._link):
            await link.close()

    async def _give_back(self, link: Link) -> None:
        """Whoever looks something up reads for a moment: reaching a broker anew would take longer than the reading."""
        if self._closed or len(self._idle) >= _IDLE_LINKS_MAX:
            await link.close()
        else:
            self._idle.append(link)

    def _full_name(self, topic: str) -> str:
        full_name = self._full_names.get(topic)
        if full_name is None:
            raise PermanentError(f"this log has no topic {topic}")
        return full_name
