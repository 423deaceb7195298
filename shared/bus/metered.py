"""A bus that counts what goes through it: records by topic, facts by type, how long appends take, and whether they fail."""

from collections.abc import Mapping, Sequence

from shared.bus.passing import PassingBus, PassingReader
from shared.bus.port import Bus, NewRecord, Position, Reader, Record
from shared.bus.topics import RUNS
from shared.domain.clock import Clock
from shared.domain.errors import TransientError, UpshotError
from shared.telemetry import metrics as catalogue
from shared.telemetry.metrics import Metrics

REFUSED_FOR_SECONDS = 5.0
"""So long after the last append that failed, where none has succeeded since, the log is taken to refuse them still."""


class MeteredBus(PassingBus):
    """A `Bus`."""

    def __init__(self, bus: Bus, metrics: Metrics, clock: Clock) -> None:
        super().__init__(bus)
        self._metrics = metrics
        self._clock = clock
        self._refused: tuple[float, str] | None = None

    def refusal(self) -> str | None:
        """Why the log takes no records just now, as far as the last appends tell: its disk is full, say."""
        if self._refused is None:
            return None
        at, why = self._refused
        return why if self._clock.monotonic() - at < REFUSED_FOR_SECONDS else None

    async def append(self, records: Sequence[NewRecord]) -> Sequence[Position]:
        add = self._metrics.add
        begun = self._clock.monotonic()
        try:
            positions = await self.beneath.append(records)
        except UpshotError as error:
            add(catalogue.APPENDS_FAILED)
            if isinstance(error, TransientError):
                self._refused = (self._clock.monotonic(), str(error))
            raise
        self._refused = None
        add(catalogue.APPENDS)
        add(catalogue.APPEND_SECONDS, self._clock.monotonic() - begun)
        for record in records:
            add(catalogue.RECORDS_APPENDED, 1, record.topic)
            if record.topic == RUNS and record.origin is not None:
                add(catalogue.FACTS_APPENDED, 1, record.origin.type)
        return positions

    def reader(self, topic: str) -> Reader:
        return _MeteredReader(self.beneath.reader(topic), topic, self._metrics)


class _MeteredReader(PassingReader):
    def __init__(self, reader: Reader, topic: str, metrics: Metrics) -> None:
        super().__init__(reader)
        self._topic = topic
        self._metrics = metrics

    async def poll(self, *, timeout_seconds: float, records_max: int = 1000) -> Mapping[int, Sequence[Record]]:
        batches = await super().poll(timeout_seconds=timeout_seconds, records_max=records_max)
        if batches:
            self._metrics.add(catalogue.RECORDS_READ, sum(map(len, batches.values())), self._topic)
        return batches
