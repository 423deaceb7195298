"""A bus that counts what goes through it: records by topic, facts by type, how long appends take."""

from collections.abc import Mapping, Sequence

from shared.bus.port import Bus, Membership, NewRecord, Position, Reader, Record, Watermarks
from shared.bus.topics import RUNS
from shared.domain.clock import Clock
from shared.domain.errors import UpshotError
from shared.telemetry import metrics as catalogue
from shared.telemetry.metrics import Metrics


class MeteredBus:
    """A `Bus`."""

    def __init__(self, bus: Bus, metrics: Metrics, clock: Clock) -> None:
        self._bus = bus
        self._metrics = metrics
        self._clock = clock

    @property
    def partition_count(self) -> int:
        return self._bus.partition_count

    async def append(self, records: Sequence[NewRecord]) -> Sequence[Position]:
        add = self._metrics.add
        begun = self._clock.monotonic()
        try:
            positions = await self._bus.append(records)
        except UpshotError:
            add(catalogue.APPENDS_FAILED)
            raise
        add(catalogue.APPENDS)
        add(catalogue.APPEND_SECONDS, self._clock.monotonic() - begun)
        for record in records:
            add(catalogue.RECORDS_APPENDED, 1, record.topic)
            if record.topic == RUNS and record.origin is not None:
                add(catalogue.FACTS_APPENDED, 1, record.origin.type)
        return positions

    def reader(self, topic: str) -> Reader:
        return _MeteredReader(self._bus.reader(topic), topic, self._metrics)

    async def join(self, group: str, topic: str, *, member_id: str) -> Membership:
        return await self._bus.join(group, topic, member_id=member_id)

    async def committed(self, group: str, topic: str) -> Mapping[int, int]:
        return await self._bus.committed(group, topic)

    async def watermarks(
        self,
        topic: str,
        partitions: Sequence[int] | None = None,
        *,
        as_of: Mapping[int, Sequence[Record]] | None = None,
    ) -> Mapping[int, Watermarks]:
        return await self._bus.watermarks(topic, partitions, as_of=as_of)

    async def close(self) -> None:
        await self._bus.close()


class _MeteredReader:
    def __init__(self, reader: Reader, topic: str, metrics: Metrics) -> None:
        self._reader = reader
        self._topic = topic
        self._metrics = metrics
        self.assign = reader.assign
        self.positions = reader.positions
        self.close = reader.close

    async def poll(self, *, timeout_seconds: float, records_max: int = 1000) -> Mapping[int, Sequence[Record]]:
        batches = await self._reader.poll(timeout_seconds=timeout_seconds, records_max=records_max)
        if batches:
            self._metrics.add(catalogue.RECORDS_READ, sum(map(len, batches.values())), self._topic)
        return batches
