"""Group commit: per partition, one batch under way and the next one gathering what all callers want appended.

An idempotent producer (`acks=all`) sends the batches of all partitions that one broker leads in one request, and sends
them again until they are answered. A caller's records for a partition go in one batch, unless they are larger than one.
A producer that brokers no longer trust (its sequence is broken), or that has not been answered for too long, is thrown
away: whatever it had under way is in doubt. Next: `producer.py`.
"""

import asyncio
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from aiokafka import errors as kafka_errors

from shared.bus.adapters.kafka.producer import Producer, sent
from shared.bus.adapters.kafka.reaching import described
from shared.bus.adapters.kafka.settings import KafkaSettings
from shared.bus.partitioner import partition_of
from shared.bus.port import AppendInDoubt, NewRecord, Position, RecordTooLarge
from shared.bus.sizes import record_bytes
from shared.domain.clock import Clock
from shared.domain.errors import PermanentError, TransientError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RECORD_OVERHEAD_BYTES = 48  # lengths, varints and attributes of a record in a batch, rounded up
_HEADER_OVERHEAD_BYTES = 6

Head = tuple[str, int]
"""A topic by its name in the port, and a partition."""


@dataclass(slots=True, eq=False)
class _Part:
    """One call's records for one partition, and their places in the call."""

    records: list[NewRecord]
    places: list[int]
    size: int
    call: "_Call"


@dataclass(slots=True, eq=False)
class _Call:
    """One caller's append, to be answered as a whole."""

    positions: list[Position | None]
    parts_left: int
    error: BaseException | None
    answer: asyncio.Future[Sequence[Position]]

    def part_done(self, error: BaseException | None = None) -> None:
        self.parts_left -= 1
        self.error = self.error or error
        if self.parts_left or self.answer.done():
            return
        if self.error is not None:
            self.answer.set_exception(self.error)
        else:
            self.answer.set_result([each for each in self.positions if each is not None])


class Appender:
    """Owns the producer."""

    def __init__(self, settings: KafkaSettings, clock: Clock, full_names: Mapping[str, str]) -> None:
        """`full_names`: of the port's topics."""
        self._settings = settings
        self._clock = clock
        self._full_names = full_names
        self._producer = Producer(settings)
        self._queues: dict[Head, deque[_Part]] = {}
        self._workers: dict[Head, asyncio.Task[None]] = {}
        self._sent_at: dict[Head, float] = {}
        self._bytes = 0
        self._space = asyncio.Event()
        self._closing = False

    @property
    def in_flight_bytes(self) -> int:
        """Bytes that wait for brokers' answers: the measure of back-pressure."""
        return self._bytes

    async def append(self, records: Sequence[NewRecord]) -> Sequence[Position]:
        """See the port."""
        if not records:
            return ()
        parts = self._cut(records)
        size = sum(part.size for part in parts.values())
        while self._bytes and self._bytes + size > self._settings.in_flight_bytes_max and not self._closing:
            self._refuse_where_stuck(parts)
            self._space.clear()
            await self._space.wait()
        if self._closing:
            raise TransientError("the bus is closed")
        self._refuse_where_stuck(parts)
        call = next(iter(parts.values())).call
        self._bytes += size
        for head, part in parts.items():
            self._queues.setdefault(head, deque()).append(part)
            if head not in self._workers:
                self._workers[head] = asyncio.create_task(self._work(head), name=f"append {head[0]}/{head[1]}")
        return await call.answer

    async def close(self) -> None:
        """Finish what is under way, refuse what comes later."""
        self._closing = True
        self._space.set()
        while self._workers:
            await asyncio.wait(list(self._workers.values()))
        await self._producer.close()

    def _cut(self, records: Sequence[NewRecord]) -> dict[Head, _Part]:
        if len(records) > self._settings.append_records_max:
            raise RecordTooLarge(f"an append of more than {self._settings.append_records_max} records: cut it up")
        call = _Call([None] * len(records), 0, None, asyncio.get_running_loop().create_future())
        parts: dict[Head, _Part] = {}
        for place, record in enumerate(records):
            size = self._checked_size(record)
            head = (record.topic, partition_of(record.key, self._settings.partition_count))
            part = parts.get(head)
            if part is None:
                part = parts[head] = _Part([], [], 0, call)
            part.records.append(record)
            part.places.append(place)
            part.size += size
        call.parts_left = len(parts)
        return parts

    def _checked_size(self, record: NewRecord) -> int:
        size = record_bytes(record)
        if size > self._settings.record_bytes_max:
            raise RecordTooLarge(f"a record of {size} bytes; the log takes {self._settings.record_bytes_max}")
        return size + _RECORD_OVERHEAD_BYTES + _HEADER_OVERHEAD_BYTES * len(record.headers)

    def _refuse_where_stuck(self, heads: Mapping[Head, object]) -> None:
        """Nobody gains by waiting in line for the next time-out."""
        now = self._clock.monotonic()
        for head in heads:
            waited = now - self._sent_at.get(head, now)
            if waited > self._settings.append_patience_seconds:
                raise TransientError(
                    f"{head[0]}/{head[1]} has not been answered for {waited:.1f} s", retry_after_seconds=1.0
                )

    async def _work(self, head: Head) -> None:
        """Sends batch after batch until nothing waits for this partition."""
        queue = self._queues[head]
        try:
            while queue:
                await self._commit(head, self._next_parts(queue))
        finally:
            del self._workers[head]
            while queue:  # only where this code is wrong: nobody waits for ever
                self._answered([queue.popleft()], TransientError("the bus is closed"))

    def _next_parts(self, queue: deque[_Part]) -> list[_Part]:
        parts: list[_Part] = []
        size = 0
        while queue and (not parts or size + queue[0].size <= self._settings.batch_bytes_max):
            part = queue.popleft()
            if part.call.answer.done():  # its caller was cancelled while it waited
                self._answered([part], None)
                continue
            parts.append(part)
            size += part.size
        return parts

    async def _commit(self, head: Head, parts: list[_Part]) -> None:
        if not parts:
            return
        self._sent_at[head] = self._clock.monotonic()
        error: BaseException | None = None
        producer = None
        try:
            producer = await self._producer.current()
            positions = await self._send(producer, head, [record for part in parts for record in part.records])
            for part in parts:
                for place in part.places:
                    part.call.positions[place] = next(positions)
        except Exception as caught:
            error = _meaning(head, caught)
            if isinstance(error, AppendInDoubt):
                await self._producer.give_up(producer, str(error))
        finally:
            del self._sent_at[head]
            self._answered(parts, error)

    async def _send(self, producer: Any, head: Head, records: Sequence[NewRecord]) -> Iterator[Position]:
        """Where they lie, in order. Several batches only where one would be larger than it may be."""
        topic, partition = head
        positions: list[Position] = []
        timestamp = int(self._clock.now().timestamp() * 1000)  # the broker's own takes its place
        async with asyncio.timeout(self._settings.append_timeout_seconds):
            while len(positions) < len(records):
                batch = producer.create_batch()
                for record in records[len(positions) :]:
                    headers = list(record.headers)
                    if not batch.append(timestamp=timestamp, key=record.key, value=record.value, headers=headers):
                        break
                batch.close()
                placed = await sent(producer, batch, self._full_names[topic], partition)
                if placed.offset < 0:
                    raise AppendInDoubt(f"{topic}/{partition} has these records already; it does not tell where")
                recorded_at = EPOCH + timedelta(milliseconds=placed.timestamp)
                positions += [
                    Position(topic, partition, placed.offset + rank, recorded_at)
                    for rank in range(batch.record_count())
                ]
        return iter(positions)

    def _answered(self, parts: Sequence[_Part], error: BaseException | None) -> None:
        for part in parts:
            self._bytes -= part.size
            part.call.part_done(error)
        self._space.set()


def _meaning(head: Head, error: Exception) -> Exception:
    """The port's error for what the producer raised."""
    where = f"{head[0]}/{head[1]}"
    if isinstance(error, TransientError | PermanentError):
        return error
    if isinstance(error, AssertionError):  # aiokafka's, where its metadata lacks a partition for a moment
        return TransientError(f"{where} is not known to the brokers just now", retry_after_seconds=0.1)
    if isinstance(error, TimeoutError):
        return AppendInDoubt(f"no answer to an append to {where}; it may be in the log", retry_after_seconds=1.0)
    if isinstance(error, kafka_errors.MessageSizeTooLargeError | kafka_errors.RecordListTooLargeError):
        return RecordTooLarge(
            f"{where} takes less at once than it did at the start: raise its max.message.bytes to what "
            "UPSHOT_KAFKA_RECORD_BYTES_MAX and UPSHOT_KAFKA_BATCH_BYTES_MAX need"
        )
    if isinstance(error, kafka_errors.TopicAuthorizationFailedError | kafka_errors.ClusterAuthorizationFailedError):
        return PermanentError(f"this user may not append to {where}: grant Write on the topic (`kafka-acls --add`)")
    if isinstance(error, kafka_errors.KafkaError):
        return AppendInDoubt(f"an append to {where} failed ({described(error)})", retry_after_seconds=0.1)
    return error
