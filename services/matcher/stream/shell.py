"""The Faust agent that matches, from the start of its app to the drain.

Guarantees: an exception in the middle of a batch ends the process, and the batch is read again by whoever starts next, because
nothing of it is committed; a rebalance waits for the batch in hand.
"""

import asyncio
import functools
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from services.matcher.service.handling import Foresee, Handling
from services.matcher.service.matcher import GROUP
from services.matcher.service.matching import Matching
from services.matcher.service.remembering import WindowSnapshots
from services.matcher.service.unplaced import Unplaced
from services.matcher.settings import MatcherSettings
from services.matcher.stream.app import StreamApp, stream_app
from services.matcher.stream.consumer import EventsConsumer, EventsTransport
from services.matcher.stream.share import Carrier, Share
from shared.bus.adapters.kafka.consuming import GroupConsumer
from shared.bus.adapters.kafka.settings import KafkaSettings
from shared.bus.port import Bus
from shared.bus.topics import EVENTS
from shared.domain.clock import Clock
from shared.runtime.definitions import DefinitionsFollower
from shared.runtime.progress import ProjectionProgress

log = logging.getLogger(__name__)

BATCHES_TOGETHER = 4
"""What a batch costs by itself, a question to the broker and Faust's own work, is a quarter of an event's time with one."""
DRAIN_SECONDS = 10.0
"""Longest wait for Faust and for what is in hand when the process ends; what is not committed then is read again."""
_CHECK_SECONDS = 1.0
"""How often the group is asked whether it has refused this member."""
_LOOK_SECONDS = 1.0
"""How often it is asked whether something was fetched that Faust has let drop."""

_QUIET = {
    # They tell of each step of each rebalance.
    "faust": logging.WARNING,
    "mode": logging.WARNING,
    # Tells ten times a second that a broker is away; what ends the group is raised, and told there.
    "aiokafka.consumer.group_coordinator": logging.CRITICAL,
}


class MatcherStream:
    """Matches the events of the partitions that Kafka's group assigns to this process, until cancelled."""

    def __init__(
        self,
        bus: Bus,
        definitions: DefinitionsFollower,
        matching: Matching,
        settings: MatcherSettings,
        *,
        kafka: KafkaSettings,
        member_id: str,
        snapshots: WindowSnapshots,
        clock: Clock,
        progress: ProjectionProgress | None = None,
        foresee: Foresee | None = None,
        group: str = GROUP,
    ) -> None:
        """`bus`: what the matcher appends to and reads definitions from. `progress`, `foresee`: as `Handling` tells."""
        self._settings = settings
        self._let_go_seconds = kafka.session_timeout_seconds
        self.handling = Handling(
            bus,
            definitions,
            matching,
            settings,
            snapshots=snapshots,
            clock=clock,
            progress=progress,
            foresee=foresee,
            unplaced=Unplaced(bus, definitions, settings, clock),
        )
        self.share = Share(
            session_timeout_seconds=kafka.session_timeout_seconds,
            monotonic=clock.monotonic,
            # Not of aiokafka, which takes a coordinator's refusal for an answer that nothing is committed.
            committed=functools.partial(bus.committed, group, EVENTS),
        )
        self._member = GroupConsumer(kafka, clock, group, EVENTS, member_id=member_id, heard=self.share.heard)
        self._reader = bus.reader(EVENTS)
        self._records_max = settings.batch_records_max * BATCHES_TOGETHER
        self._acting = asyncio.Lock()
        self._noted: dict[int, int] = {}
        self._delivered: Any = None  # Faust's channel: what has come and the agent has not taken yet
        self._busy = False  # the agent has a batch in hand

    @property
    def alive(self) -> bool:
        """Whether the group answers this member's heartbeats, so that it may act."""
        return self.share.alive()

    @property
    def halted(self) -> Mapping[int, str]:
        """Partitions that stand still, and why."""
        return {**self.handling.halted, **self.share.halted}

    async def run(self) -> None:
        for name, level in _QUIET.items():
            logging.getLogger(name).setLevel(level)
        failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        app, consumer = self._app(failed)
        tasks = [
            asyncio.create_task(_until_ended(app), name="matcher-faust"),
            asyncio.create_task(self.handling.follow(self.share, self.share), name="matcher-assignment"),
            asyncio.create_task(self._act_when_due(), name="matcher-due"),
            asyncio.create_task(self._look_for_what_is_lost(), name="matcher-lost"),
            asyncio.create_task(_check(consumer), name="matcher-check"),
        ]
        try:
            ended, _ = await asyncio.wait([failed, *tasks], return_when=asyncio.FIRST_COMPLETED)
            for each in ended:
                each.result()
            raise RuntimeError("the matcher's stream ended by itself")
        finally:
            await self._drain(app, tasks)

    def _app(self, failed: asyncio.Future[None]) -> tuple[StreamApp, EventsConsumer]:
        async def match(stream: Any) -> None:  # a stream of Faust's
            try:
                await self._consume(stream)
            except Exception as error:
                # Faust would restart the agent behind the batch. To its supervisor this one has just ended.
                if not failed.done():
                    failed.set_exception(error)

        app = stream_app(self._member.group_id, self._member.full_name, match)
        transport = EventsTransport(
            app,
            self._member,
            self.share,
            self._reader,
            records_max=self._settings.batch_records_max,
            let_go=self._let_go,
        )
        app.transport = app.producer_transport = transport
        consumer = app.consumer
        if not isinstance(consumer, EventsConsumer):
            raise AssertionError("Faust made another consumer than its transport's")
        self.share.connect(consumer)
        return app, consumer

    async def _consume(self, stream: Any) -> None:  # as above
        """Whatever else is there already goes into the same batch: what a batch costs by itself is paid less often."""
        self._delivered = stream.channel
        gathered: list[Carrier] = []
        count = 0
        carriers: AsyncIterator[Carrier] = aiter(stream)
        async for carrier in carriers:
            gathered.append(carrier)
            count += len(carrier.records)
            if count < self._records_max and not stream.channel.empty():
                continue
            batch, gathered, count = gathered, [], 0
            self._busy = True
            try:
                await self._match(batch)
            finally:
                self._busy = False

    async def _match(self, carriers: Sequence[Carrier]) -> None:
        async with self._acting:
            batches, epoch = self.share.take(carriers), self.share.epoch
            if batches:
                done = await self.handling.match(self.share, self.share, batches)
                self.share.handled(done, epoch)

    async def _look_for_what_is_lost(self) -> None:
        """What the share awaits is in Faust's hands, or in the agent's. Where it is in neither's at two looks, it is lost, and
        where nothing comes behind it nobody else would notice."""
        missed: Mapping[int, int] = {}
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            under_way = self._busy or self._delivered is None or not self._delivered.empty()
            awaited = {} if under_way else self.share.awaited
            if awaited and awaited == missed:
                self.share.begin_again()
                awaited = {}
            missed = awaited

    async def _act_when_due(self) -> None:
        alive = True
        while True:
            await asyncio.sleep(self.handling.patience())
            if self.share.alive() is not alive:
                alive = not alive
                log.warning(
                    "heartbeats are answered again" if alive else "heartbeats go unanswered: nothing is acted on"
                )
            async with self._acting:
                await self.handling.act_on_what_is_due(self.share, self.share)
                self._note_markers()

    def _note_markers(self) -> None:
        """Partitions that end in transaction markers, or in aborted records, are committed up to their ends too."""
        for partition, at in self.share.positions().items():
            if partition in self.share.assignment.partitions and self._noted.get(partition) != at:
                self._noted[partition] = at
                self.handling.note_done(partition, at)

    async def _let_go(self) -> bool:
        """Nothing is begun any more; what is in hand is finished and committed. False where that takes too long."""
        self.share.begin_rebalance()
        self._noted.clear()
        try:
            async with asyncio.timeout(self._let_go_seconds), self._acting:
                await self.handling.commit(self.share)
        except TimeoutError:
            log.warning("what is in hand is not durable yet; whoever owns its partitions next matches it again")
            return False
        return True

    async def _drain(self, app: StreamApp, tasks: Sequence[asyncio.Task[None]]) -> None:
        self.share.close()
        for task in tasks[1:]:
            task.cancel()
        await asyncio.gather(*tasks[1:], return_exceptions=True)
        await self._let_go()
        tasks[0].cancel()
        await asyncio.gather(tasks[0], return_exceptions=True)
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                await app.stop()
        except TimeoutError:
            log.warning("the stream did not end in time")
        await self._reader.close()


async def _check(consumer: EventsConsumer) -> None:
    """Raises what keeps this member out of its group. In a task of its own: while the group rebalances nothing else asks, and a
    member that is refused in the midst of that would wait for partitions for ever."""
    while True:
        await asyncio.sleep(_CHECK_SECONDS)
        await consumer.check()


async def _until_ended(app: StreamApp) -> None:
    """Raises what ended it."""
    await app.start()
    await app.wait_until_stopped()
    if app.crash_reason is not None:
        raise app.crash_reason
