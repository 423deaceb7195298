"""Group commit: one writer task merges what all callers want appended into one round trip and one fsync.

While a commit is under way the next one gathers, bounded in records and bytes; beyond the queue's bounds `append`
waits its turn. A caller's records are never split over two commits. Next: `schema.py` for the function it calls.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from shared.bus.adapters.postgres.header_bytes import pack_headers
from shared.bus.adapters.postgres.link import Connection, Link, LinkBroken
from shared.bus.adapters.postgres.settings import BusSettings
from shared.bus.partitioner import partition_of
from shared.bus.port import AppendInDoubt, NewRecord, Position, RecordTooLarge
from shared.domain.errors import TransientError

# Arrays as text, and all bytes as one value: encoding an array costs the driver two look-ups of abstract classes an element.
_APPEND = """
select firsts, recorded_at, ends from log.append(
    $1::text::text[], $2::text::int[], $3::text::int[], $4::text::int[], $5::text::int[], $6::text::int[],
    $7::text::int[], $8::text::int[], $9, $10::text::text[], $11::text::int[])
"""
_ENSURE = "select log.ensure_segments($1, $2)"


@dataclass(slots=True, kw_only=True)
class Placed:
    """A record on its way into the log: where it goes, and how its headers are stored."""

    record: NewRecord
    partition: int
    packed_headers: bytes
    size: int


@dataclass(slots=True, eq=False)
class _Call:
    """One caller's append, to be answered as a whole."""

    placed: Sequence[Placed]
    size: int
    answer: asyncio.Future[Sequence[Position]]


Advance = Callable[[str, Iterable[tuple[int, int]]], None]
"""Told of the ends (topic, (partition, end) pairs) that an append brought along, before the records are."""

Appended = Callable[[str, int, int, datetime, Sequence[Placed]], None]
"""Told of each partition's records (topic, partition, first offset, recorded at, records) before callers are answered."""


class Appender:
    """Owns the writing connection."""

    def __init__(
        self,
        link: Link,
        settings: BusSettings,
        segment_records: Mapping[str, int],
        companions: Mapping[str, str],
        advance: Advance,
        appended: Appended,
    ) -> None:
        """`companions`: with an append to the one topic comes back where the other one ends, partition by partition."""
        self._link = link
        self._settings = settings
        self._segment_records = segment_records
        self._companions = companions
        self._advance = advance
        self._appended = appended
        self._last_segments: dict[str, int] = {}
        self._queue: deque[_Call] = deque()
        self._queued_records = 0
        self._queued_bytes = 0
        self._gathered = asyncio.Event()
        self._space = asyncio.Event()
        self._closing = False
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self._write(), name="bus append")

    @property
    def queued_records(self) -> int:
        """Records that wait for a commit, without those of the commit under way."""
        return self._queued_records

    async def append(self, records: Sequence[NewRecord]) -> Sequence[Position]:
        """See the port."""
        if not records:
            return ()
        placed, size = [], 0
        for record in records:
            item = self._place(record)
            placed.append(item)
            size += item.size
        if len(placed) > self._settings.append_records_max:
            raise RecordTooLarge(f"an append of more than {self._settings.append_records_max} records: cut it up")
        while self._is_full() and not self._closing:
            self._space.clear()
            await self._space.wait()
        if self._closing:
            raise TransientError("the bus is closed")
        call = _Call(placed, size, self._loop.create_future())
        self._queue.append(call)
        self._queued_records += len(placed)
        self._queued_bytes += call.size
        self._gathered.set()
        return await call.answer

    async def close(self) -> None:
        """Commit what is queued, refuse what comes later."""
        self._closing = True
        self._gathered.set()
        self._space.set()
        await asyncio.wait([self._task])
        await self._link.close()

    def _place(self, record: NewRecord) -> Placed:
        packed = pack_headers(record.headers)
        size = len(record.key) + len(packed) + len(record.value or b"")
        if size > self._settings.record_bytes_max:
            raise RecordTooLarge(f"a record of {size} bytes; the log takes {self._settings.record_bytes_max}")
        partition = partition_of(record.key, self._settings.partition_count)
        return Placed(record=record, partition=partition, packed_headers=packed, size=size)

    def _is_full(self) -> bool:
        return (
            self._queued_records >= self._settings.queue_records_max
            or self._queued_bytes >= self._settings.queue_bytes_max
        )

    async def _write(self) -> None:
        try:
            while True:
                await self._gathered.wait()
                if calls := self._next_calls():
                    await self._commit(calls)
                elif self._closing:
                    return
                else:
                    self._gathered.clear()
        finally:  # also where this code is wrong: nobody waits for ever
            self._closing = True
            self._fail_queued(TransientError("the bus is closed"))

    def _next_calls(self) -> list[_Call]:
        calls: list[_Call] = []
        records = size = 0
        while self._queue:
            call = self._queue[0]
            if calls and (
                records + len(call.placed) > self._settings.commit_records_max
                or size + call.size > self._settings.commit_bytes_max
            ):
                break
            self._dequeue()
            if not call.answer.done():  # else its caller was cancelled while it waited
                calls.append(call)
                records += len(call.placed)
                size += call.size
        return calls

    def _dequeue(self) -> _Call:
        call = self._queue.popleft()
        self._queued_records -= len(call.placed)
        self._queued_bytes -= call.size
        if not self._is_full():
            self._space.set()
        return call

    async def _commit(self, calls: list[_Call]) -> None:
        batch = _Batch(calls, self._companions)
        try:
            firsts, recorded_at, ends = await self._link.run(_append, batch)
        except LinkBroken as error:
            _fail(calls, AppendInDoubt(str(error), retry_after_seconds=error.retry_after_seconds))
            return
        except TransientError as error:
            _fail(calls, error)
            self._fail_queued(error)  # the server is away: nobody gains by waiting in line for the next refusal
            return
        except BaseException as error:
            _fail(calls, error)
            if isinstance(error, Exception):
                return  # the server refuses this batch (`PermanentError`); its callers know
            raise
        for (topic, partition), end in zip(batch.asked, ends, strict=True):
            self._advance(topic, ((partition, end),))
        for (topic, partition), first, placed in zip(batch.heads, firsts, batch.placed_by_head, strict=True):
            self._appended(topic, partition, first, recorded_at, placed)
        batch.answer(firsts, recorded_at)
        await self._prepare_segments(batch, firsts)

    async def _prepare_segments(self, batch: "_Batch", firsts: Sequence[int]) -> None:
        """Keep a whole empty segment ahead of every topic."""
        ends: dict[str, int] = {}
        for (topic, _), first, count in zip(batch.heads, firsts, batch.counts, strict=True):
            ends[topic] = max(ends.get(topic, 0), first + count)
        for topic, end in ends.items():
            if end // self._segment_records[topic] >= self._last_segments.get(topic, 0):
                try:
                    self._last_segments[topic] = await self._link.run(_ensure_segments, topic)
                except TransientError:
                    return  # the next commit tries again; `_append` makes up for a segment that is missing by then

    def _fail_queued(self, error: TransientError) -> None:
        waiting = [self._dequeue() for _ in range(len(self._queue))]
        _fail(waiting, error)


class _Batch:
    """The calls of one commit as what `log.append` takes: heads sorted, records in the order of the heads."""

    def __init__(self, calls: Sequence[_Call], companions: Mapping[str, str]) -> None:
        self._calls = calls
        by_head: dict[tuple[str, int], list[Placed]] = {}
        self._spots: list[tuple[tuple[str, int], int]] = []  # per record in the callers' order: head, rank in it
        for call in calls:
            for item in call.placed:
                head = (item.record.topic, item.partition)
                placed = by_head.setdefault(head, [])
                self._spots.append((head, len(placed)))
                placed.append(item)
        self.heads = sorted(by_head)
        self.placed_by_head = [by_head[head] for head in self.heads]
        self.counts = [len(placed) for placed in self.placed_by_head]
        self.asked = [(companions[topic], partition) for topic, partition in self.heads if topic in companions]

    def arguments(self) -> tuple[object, ...]:
        """In the order of the function's parameters."""
        heads: list[int] = []
        starts: list[int] = []
        key_bytes: list[int] = []
        header_bytes: list[int] = []
        value_bytes: list[int | str] = []
        parts: list[bytes] = []
        start = 1
        for head, placed in enumerate(self.placed_by_head, 1):
            for item in placed:
                record = item.record
                heads.append(head)
                starts.append(start)
                key_bytes.append(len(record.key))
                header_bytes.append(len(item.packed_headers))
                parts += (record.key, item.packed_headers)
                if record.value is None:
                    value_bytes.append("NULL")
                else:
                    value_bytes.append(len(record.value))
                    parts.append(record.value)
                start += item.size
        return (
            _array(topic for topic, _ in self.heads),
            _array(partition for _, partition in self.heads),
            _array(self.counts),
            _array(heads),
            _array(starts),
            _array(key_bytes),
            _array(header_bytes),
            _array(value_bytes),
            b"".join(parts),
            _array(topic for topic, _ in self.asked),
            _array(partition for _, partition in self.asked),
        )

    def answer(self, firsts: Sequence[int], recorded_at: datetime) -> None:
        """Tell every caller where its records are."""
        first_by_head = dict(zip(self.heads, firsts, strict=True))
        spots = iter(self._spots)
        for call in self._calls:
            positions = []
            for _ in call.placed:
                head, rank = next(spots)
                positions.append(Position(*head, first_by_head[head] + rank, recorded_at))
            if not call.answer.done():
                call.answer.set_result(positions)


def _array(elements: Iterable[int | str]) -> str:
    """An array's text. Numbers and topics' names need no quotes (`schema.install` sees to the latter)."""
    return f"{{{','.join(map(str, elements))}}}"


async def _append(connection: Connection, batch: _Batch) -> tuple[Sequence[int], datetime, Sequence[int]]:
    arguments = batch.arguments()
    try:
        row = await connection.fetchrow(_APPEND, *arguments)
    except asyncpg.CheckViolationError:  # no segment for these offsets yet; the whole append was rolled back
        for topic in dict.fromkeys(topic for topic, _ in batch.heads):
            await connection.execute(_ENSURE, topic, sum(batch.counts))
        row = await connection.fetchrow(_APPEND, *arguments)
    assert row is not None  # a function with OUT parameters gives one row
    firsts, recorded_at, ends = row
    return firsts, recorded_at, ends


async def _ensure_segments(connection: Connection, topic: str) -> int:
    last: int = await connection.fetchval(_ENSURE, topic, 0)
    return last


def _fail(calls: Sequence[_Call], error: BaseException) -> None:
    for call in calls:
        if not call.answer.done():
            call.answer.set_exception(error)
