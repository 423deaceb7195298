"""How Faust carries a whole batch as one message, and leaves acknowledging and committing to the matcher.

Faust's work per message is what bounds a Faust agent; per batch it is nothing. So the consumer wraps each partition's records in
one carrier that has the last record's offset. A reader of the bus fetches, from where the share says; what is committed the
matcher's core decides.
What Faust offers no public way to is named in `PRIVATE_NAMES`, and a contract test fails where a version drops one of it.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ClassVar, cast

from faust.transport import consumer as base
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, AppT, ConsumerMessage
from mode.threads import ServiceThread, WorkerThread

from services.matcher.stream.share import Carrier, Fetched, Share
from shared.bus.adapters.kafka.consuming import GroupConsumer
from shared.bus.port import PartitionUnreadable, Reader
from shared.domain.errors import TransientError

_log = logging.getLogger(__name__)

PRIVATE_NAMES = {
    driver.Consumer: ("_getmany", "_to_message", "_new_consumer_thread"),
    base.Consumer: ("_read_offset",),
    driver.AIOKafkaConsumerThread: ("_create_worker_consumer", "_ensure_consumer", "_consumer"),
}

_SETTLING_SECONDS = 0.1
"""While partitions of this process cannot be read yet, how often it is asked whether they can."""
_RETRY_SECONDS = 0.5
_TELLING_SECONDS = 1.0


class EventsTransport(driver.Transport):
    """What makes the consumer, and what it needs that Faust has no place for."""

    Consumer: ClassVar[type[Any]]  # Faust's own annotation is of a type, and of an instance

    def __init__(
        self,
        app: AppT,
        member: GroupConsumer,
        share: Share,
        reader: Reader,
        *,
        records_max: int,
        let_go: Callable[[], Awaitable[bool]],
    ) -> None:
        """`let_go`: finish what is in hand, and commit it; False where that took too long."""
        super().__init__(app.conf.broker_consumer, app)
        self.member = member
        self.share = share
        self.reader = reader
        self.records_max = records_max
        self.let_go = let_go


class _Worker(WorkerThread):
    """Does not keep its process: where a broker is away Faust may leave its thread running when it stops."""

    def __init__(self, service: ServiceThread, **more: Any) -> None:
        super().__init__(service, **more)
        self.daemon = True


class EventsThread(driver.AIOKafkaConsumerThread):
    """The thread in which aiokafka runs, so that heartbeats go on while a batch is matched."""

    Worker = _Worker

    def _create_worker_consumer(self, transport: driver.Transport) -> Any:  # aiokafka has no types
        del transport
        return self._events.member.make()

    async def on_start(self) -> None:
        await super().on_start()
        self._events.member.listen(self._ensure_consumer())

    async def on_thread_stop(self) -> None:
        if self._consumer is not None:
            self._events.member.prepare_to_leave(self._consumer)
        await super().on_thread_stop()

    async def crash(self, exc: BaseException) -> None:
        """Whoever has to hear of it waits in the main loop, and only there may it be woken."""
        if asyncio.get_running_loop() is self.parent_loop:
            await super().crash(exc)
            return
        told = asyncio.run_coroutine_threadsafe(super().crash(exc), self.parent_loop)
        with contextlib.suppress(TimeoutError):  # the main loop stands still where it waits for this thread to end
            await asyncio.wait_for(asyncio.wrap_future(told), _TELLING_SECONDS)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        self._events.member.begin(self._ensure_consumer())
        await super().on_partitions_assigned(assigned, generation_id)

    async def check(self) -> None:
        """As `GroupConsumer.check`, from the main loop; likewise the others."""
        await self.call_thread(self._check)

    async def commit_offsets(self, offsets: Mapping[int, int], generation: int) -> None:
        await self.call_thread(self._commit_offsets, offsets, generation)

    async def _check(self) -> None:
        if self._consumer is not None:  # made once the thread has begun
            self._events.member.check(self._consumer)

    async def _commit_offsets(self, offsets: Mapping[int, int], generation: int) -> None:
        await self._events.member.commit(self._ensure_consumer(), offsets, generation=generation)

    @property
    def _events(self) -> EventsTransport:
        return cast(EventsTransport, self.transport)


class EventsConsumer(driver.Consumer):
    """Faust's consumer, in the main loop."""

    _thread: EventsThread
    _finished = True

    def _new_consumer_thread(self) -> EventsThread:
        return EventsThread(self, loop=self.loop, beacon=self.beacon)

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> dict[TP, list[Carrier]]:
        share = self._events.share
        wanted = share.wanted({tp.partition for tp in active_partitions or ()})
        if not wanted:
            await asyncio.sleep(min(timeout, _SETTLING_SECONDS))
            return {}
        if len(wanted) < len(share.assignment.partitions):
            timeout = min(timeout, _SETTLING_SECONDS)
        epoch, reader = share.epoch, self._events.reader
        if reader.positions() != wanted:
            reader.assign(wanted)
        try:
            records = await reader.poll(timeout_seconds=timeout, records_max=self._events.records_max)
        except PartitionUnreadable as error:
            share.halt(error.partitions, str(error))
            return {}
        except TransientError as error:
            _log.warning("events cannot be read just now, trying again: %s", error)
            await asyncio.sleep(_RETRY_SECONDS)
            return {}
        fetched = Fetched(began=wanted, records=records, positions=reader.positions())
        self._read_offset.clear()  # Faust would drop what is fetched again
        topic = self._events.member.full_name
        return {TP(topic, each.partition): [each] for each in share.accept(fetched, epoch)}

    def _to_message(self, tp: TP, record: Carrier) -> ConsumerMessage:
        last = record.records[-1]
        return ConsumerMessage(
            topic=tp.topic,
            partition=tp.partition,
            offset=last.offset,
            timestamp=last.recorded_at.timestamp(),
            timestamp_type=1,
            headers=None,
            key=None,
            value=cast(Any, record),  # Faust hands it over as it is: `_CarrierSchema` in app.py
            checksum=None,
            tp=tp,
            generation_id=self.app.consumer_generation_id,
        )

    async def perform_seek(self) -> None:
        """Faust reads nothing itself. While it waited for a seek another rebalance could begin, and it would then let the flow
        go on in the midst of that one, and empty its queues once more behind it."""

    def close(self) -> None:
        """Of a consumer that ends while its group rebalances Faust closes the connections here, in the main loop. They are of
        the thread's, which may be using them: uvloop then ends the process. The thread closes them itself as it stops."""

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Faust never commits: the matcher does, once what a batch led to is durable."""
        del topics, start_new_transaction
        return False

    async def check(self) -> None:
        """Raises what keeps this member out of its group for good."""
        await self._thread.check()

    async def commit_offsets(self, offsets: Mapping[int, int], *, generation: int) -> None:
        await self._thread.commit_offsets(offsets, generation)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """A rebalance begins. What is in hand is finished first, and committed while this is still its owner."""
        self._finished = await self._events.let_go()
        await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """A rebalance is over."""
        await super().on_partitions_assigned(assigned, generation_id)
        share = self._events.share
        share.heard_now()
        share.end_rebalance({tp.partition for tp in assigned}, generation_id, finished=self._finished)

    def highwater(self, tp: TP) -> int:
        """For Faust's own monitor, which nobody looks at."""
        del tp
        return 0

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Faust would miss its own acknowledgements."""

    @property
    def _events(self) -> EventsTransport:
        return cast(EventsTransport, self.transport)


EventsTransport.Consumer = EventsConsumer
