"""The matcher's stream with Faust's own fetcher, queues and recovery, but no Kafka: a test is the group, the log is in memory."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Any

import pytest
from faust import Service
from faust.types import TP

from services.matcher.service import Matching
from services.matcher.service.matcher import GROUP
from services.matcher.settings import MatcherSettings
from services.matcher.stream import MatcherStream
from services.matcher.stream.consumer import EventsConsumer
from services.matcher.stream.share import Share
from shared.bus import codec
from shared.bus.adapters.kafka.settings import KafkaSettings
from shared.bus.adapters.memory import MemoryBus
from shared.bus.port import NewRecord, PartitionUnreadable, Position, Reader, Record
from shared.bus.topics import EVENTS, RUNS
from shared.domain.errors import StaleGenerationError, TransientError
from shared.runtime.definitions import DefinitionsFollower
from shared.testing.folds import NothingRemembered
from shared.testing.waiting import eventually
from tests.contract.matcher_stream.conftest import CATALOGUE, PARTITIONS, StandingClock, definitions


class Thread(Service):
    """In place of the one in which aiokafka runs. `may_seek`: holds an answer back, as brokers may."""

    def __init__(self, consumer: EventsConsumer) -> None:
        super().__init__()
        self.consumer = consumer
        self.owned: set[TP] = set()
        self.generation = 0
        self.offsets: dict[int, int] = {}
        self.may_seek = asyncio.Event()
        self.may_seek.set()
        self.refusal: Exception | None = None
        self.closed_from_outside = False

    def close(self) -> None:
        self.closed_from_outside = True

    async def check(self) -> None:
        if self.refusal is not None:
            raise self.refusal

    async def subscribe(self, topics: Collection[str]) -> None:
        del topics

    def assignment(self) -> set[TP]:
        return set(self.owned)

    async def seek_to_committed(self) -> Mapping[TP, int]:
        await self.may_seek.wait()
        return dict.fromkeys(self.owned, 0)

    async def commit_offsets(self, offsets: Mapping[int, int], generation: int) -> None:
        if generation != self.generation:
            raise StaleGenerationError(f"generation {generation} is over")
        self.offsets.update(offsets)


class Bus:
    """In memory; what the group commits is kept by the thread's stand-in. Appends wait once they are told to."""

    def __init__(self, memory: MemoryBus) -> None:
        self.memory = memory
        self.offsets: Mapping[int, int] = {}
        self.may_append = asyncio.Event()
        self.may_append.set()
        self.waiting = asyncio.Event()
        self.unreadable: set[int] = set()
        self.fetching: frozenset[int] = frozenset()
        """Partitions of events that are being asked for just now."""
        self.unkept = False
        """Nobody keeps the group just now."""

    def reader(self, topic: str) -> Any:  # as the memory's
        reader = self.memory.reader(topic)
        return Watched(reader, self) if topic == EVENTS else reader

    def __getattr__(self, name: str) -> Any:  # whatever the memory's is
        return getattr(self.memory, name)

    async def append(self, records: Sequence[NewRecord]) -> Sequence[Position]:
        if not self.may_append.is_set():
            self.waiting.set()
            await self.may_append.wait()
        return await self.memory.append(records)

    async def committed(self, group: str, topic: str) -> Mapping[int, int]:
        assert (group, topic) == (GROUP, EVENTS)
        if self.unkept:
            raise TransientError("the group has no coordinator just now")
        return dict(self.offsets)


class Watched:
    """A reader that tells what it is fetching, and says of unreadable partitions what Kafka's would, once it has nothing else to
    give, until it is assigned anew."""

    def __init__(self, reader: Reader, bus: Bus) -> None:
        self._reader = reader
        self._bus = bus
        self.positions = reader.positions
        self.assign = reader.assign
        self.close = reader.close

    async def poll(self, *, timeout_seconds: float, records_max: int = 1000) -> Mapping[int, Sequence[Record]]:
        if found := self._bus.unreadable & self.positions().keys():
            raise PartitionUnreadable(f"{EVENTS}/{min(found)} is gone", partitions=frozenset(found))
        self._bus.fetching = frozenset(self.positions())
        try:
            return await self._reader.poll(timeout_seconds=timeout_seconds, records_max=records_max)
        finally:
            self._bus.fetching = frozenset()


class Alone:
    """The only member of its group."""

    def __init__(self, stream: MatcherStream, bus: Bus, thread: Thread, running: asyncio.Task[None]) -> None:
        self.stream = stream
        self.bus = bus
        self.thread = thread
        self.running = running
        self._partitions = {TP(f"t.{EVENTS}", each) for each in range(PARTITIONS)}

    @property
    def consumer(self) -> EventsConsumer:
        return self.thread.consumer

    @property
    def share(self) -> Share:
        return self.stream.share

    async def begin_rebalance(self) -> None:
        self.consumer.app.on_rebalance_start()
        await self.consumer.on_partitions_revoked(self.thread.assignment())

    async def end_rebalance(self, generation: int, partitions: Collection[int] = range(PARTITIONS)) -> None:
        owned = {each for each in self._partitions if each.partition in partitions}
        self.thread.owned = set(owned)
        self.thread.generation = self.consumer.app.consumer_generation_id = generation
        await self.consumer.on_partitions_assigned(owned, generation)

    async def settled(self) -> None:
        """What was assigned is taken over, and restored."""

        async def ready() -> bool:
            return len(self.share.wanted(range(PARTITIONS))) == PARTITIONS

        await eventually(ready, "the assignment is taken over", interval_seconds=0.01)

    async def fetching(self) -> None:
        """More of every partition is being asked for."""

        async def all_of_them() -> bool:
            return len(self.bus.fetching) == PARTITIONS

        await eventually(all_of_them, "all partitions are asked for more", interval_seconds=0.01)

    async def handed_over(self, count: int) -> None:
        """So many events of each partition went to Faust."""

        async def all_of_them() -> bool:
            awaited = self.share.awaited
            return [awaited.get(each) for each in range(PARTITIONS)] == [count] * PARTITIONS

        await eventually(all_of_them, f"{count} events of each partition are handed over", interval_seconds=0.01)

    async def matched(self, numbers: Collection[int]) -> None:
        """Returns when the runs tell of exactly these events, each once, in order."""

        async def told() -> bool:
            return len(self.told()) >= len(numbers)

        wanted = {f"e{number}" for number in numbers}
        await eventually(
            told, "all is matched", interval_seconds=0.02, timeout_seconds=20, explain=lambda: str(self.told())
        )
        assert sorted(self.told()) == sorted(wanted), self.told()

    def told(self) -> list[str]:
        records = [each for partition in range(PARTITIONS) for each in self.bus.memory.log(RUNS, partition)]
        return [str(codec.decode(each).causation_id) for each in records]


@contextlib.asynccontextmanager
async def alone(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Alone]:
    """A stream that owns all partitions, in generation 1."""
    threads: list[Thread] = []

    def new_thread(consumer: EventsConsumer) -> Thread:
        threads.append(Thread(consumer))
        return threads[0]

    monkeypatch.setattr(EventsConsumer, "_new_consumer_thread", new_thread)
    clock = StandingClock()
    bus: Any = Bus(MemoryBus(clock, partition_count=PARTITIONS))  # a `Bus`, by `__getattr__`
    await bus.append(definitions())
    followed = DefinitionsFollower(bus)
    # An event of each partition at a time: what is fetched again comes in several carriers, too.
    settings = MatcherSettings(retry_seconds=0.01, commit_interval_seconds=0.01, batch_records_max=PARTITIONS)
    matching = Matching(
        followed.definitions,
        CATALOGUE,
        settings,
        clock,
        partition_count=PARTITIONS,
        record_bytes_max=bus.record_bytes_max,
    )
    followed.listen(matching.definition_changed)
    await followed.start()
    stream = MatcherStream(
        bus,
        followed,
        matching,
        settings,
        kafka=KafkaSettings(bootstrap_servers="nobody:1", topic_prefix="t.", session_timeout_seconds=100),
        member_id="one",
        snapshots=NothingRemembered(),
        clock=clock,
    )
    running = asyncio.create_task(stream.run())

    async def started() -> bool:
        if running.done():
            running.result()
        return bool(threads) and threads[0].consumer.app.started

    try:
        await eventually(started, "Faust has started", interval_seconds=0.01, timeout_seconds=10)
        it = Alone(stream, bus, threads[0], running)
        bus.offsets = it.thread.offsets
        await it.begin_rebalance()
        await it.end_rebalance(1)
        await it.settled()
        yield it
    finally:
        bus.may_append.set()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await followed.close()
