"""Copies a whole log into another one, of any adapter and any number of partitions: record by record, resumable.

Each record keeps its key, headers and value; it gains `recordedtime`, when it was first recorded, which stands from then on
(`codec.recorded_at`), and `copiedfrom`, where it lay; a copy of a copy keeps those of before. Records are merged by that time,
so that it does not fall in any partition of the target either, whatever the numbers of partitions: folds take their time from
it. Within a partition of the source order is kept, and so it is for each tenant.

Guarantee: killed at any moment and called again, it goes on where it was, as the target itself tells, and copies nothing
twice. It works in rounds, one under way at a time, so that only records of the last one can be missing below others. Which
they are, offsets do not say (some hold nothing): a copy that goes on reads all of the source again, and in the end there must
be as many records of each partition. The source must not be written meanwhile.
Next: `copied.py`; `services/log_copy.py`, which wires it.
"""

import asyncio
import heapq
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from shared.bus import codec
from shared.bus.codec import RECORDED_TIME, UndecodableRecord
from shared.bus.copied import Copied, Place, place_of
from shared.bus.deadletters import carried_headers
from shared.bus.partitioner import partition_of
from shared.bus.port import Bus, NewRecord, Reader, Record, Watermarks
from shared.bus.sizes import record_bytes
from shared.bus.topics import DEADLETTERS
from shared.domain import rfc3339
from shared.domain.errors import PermanentError, TransientError

log = logging.getLogger(__name__)

ROUND_RECORDS = 5_000
ROUND_BYTES = 8 * 1024 * 1024
READ_RECORDS = 1_000
"""Of each partition at once."""
TRIES_MAX = 10
"""So often in a row the logs may be away without anything being copied in between."""
RETRY_SECONDS = 1.0
_POLL_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyProgress:
    """Of one topic: records that the target has of all that the source has; `resumed` of them were there before.

    `total` counts offsets: some may hold no record, where others wrote in Kafka's transactions.
    """

    topic: str
    copied: int
    total: int
    resumed: int

    def told(self, seconds: float) -> str:
        """In a line; `seconds`: how long this has taken so far."""
        rate = (self.copied - self.resumed) / seconds if seconds > 0 else 0.0
        remaining = self.total - self.copied
        eta = f", about {remaining / rate:.0f} s to go" if rate and remaining else ""
        return f"{self.topic}: {self.copied} of {self.total} records, {remaining} remain, {rate:.0f}/s{eta}"


OnProgress = Callable[[CopyProgress], None]


class LogCopy:
    """From `source` to `target`. `source_id` names the source in every copied record: all but a slash."""

    def __init__(self, source: Bus, target: Bus, source_id: str, on_progress: OnProgress) -> None:
        self._source = source
        self._target = target
        self._source_id = source_id
        self._on_progress = on_progress

    async def copy(self, topic: str) -> CopyProgress:
        """All that the topic holds now. Raises PermanentError where the target holds anything but an unfinished copy of
        this very log, TransientError where one of the logs stays away."""
        tries = 0
        while True:
            there = await self._look(topic)
            try:
                return await self._copy_rest(topic, there)
            except TransientError as error:
                tries = tries + 1 if there.records == (await self._look(topic)).records else 0
                if tries >= TRIES_MAX:
                    raise
                log.warning("%s cannot be copied just now, going on from what the target holds: %s", topic, error)
                await asyncio.sleep(error.retry_after_seconds or RETRY_SECONDS)

    async def commit_group(self, group: str, topic: str) -> Mapping[int, int]:
        """Say for a group that it has read of the target what it has read of the source; the offsets."""
        committed = await self._source.committed(group, topic)
        if not committed:
            return {}
        offsets = await self._passed(topic, committed)
        membership = await self._target.join(group, topic, member_id="upshot-log-copy")
        try:
            assignment = membership.assignment
            while len(assignment.partitions) < self._target.partition_count:
                assignment = await membership.next_assignment(timeout_seconds=_POLL_SECONDS) or assignment
            await membership.commit(offsets, generation=assignment.generation)
        finally:
            await membership.leave()
        return offsets

    async def _look(self, topic: str) -> Copied:
        """What the target holds already."""
        there = Copied(self._source_id)
        async for record in _all_of(self._target, topic):
            there.note(record)
        return there

    async def _copy_rest(self, topic: str, there: Copied) -> CopyProgress:
        marks = await self._source.watermarks(topic)
        total = sum(each.high - each.low for each in marks.values())
        seen = {each: _Seen() for each in marks}
        copied = resumed = there.records
        self._on_progress(CopyProgress(topic=topic, copied=copied, total=total, resumed=resumed))
        appending: asyncio.Task[Sequence[object]] | None = None
        try:
            async for records in self._rounds(topic, marks, there, seen):
                if appending is not None:
                    copied += len(await appending)
                    self._on_progress(CopyProgress(topic=topic, copied=copied, total=total, resumed=resumed))
                appending = asyncio.ensure_future(self._target.append(records))
            if appending is not None:
                copied += len(await appending)
        finally:
            if appending is not None and not appending.done():
                appending.cancel()
                await asyncio.wait([appending])
        progress = CopyProgress(topic=topic, copied=copied, total=total, resumed=resumed)
        self._on_progress(progress)
        if (held := await _offsets(self._target, topic)) != copied:
            raise PermanentError(
                f"{topic}: the target holds {held} records instead of {copied}: who else writes there?"
            )
        for partition, each in seen.items():
            in_copy = there.by_source.get(partition, 0) + each.copied
            if in_copy != each.records:
                raise PermanentError(
                    f"{topic}/{partition} holds {each.records} records, and the target {in_copy} of them: something was left "
                    "out. Copy into an empty log."
                )
        return progress

    async def _rounds(
        self, topic: str, marks: Mapping[int, Watermarks], there: Copied, seen: Mapping[int, "_Seen"]
    ) -> AsyncIterator[list[NewRecord]]:
        records: list[NewRecord] = []
        size = 0
        partition_count = self._target.partition_count
        merge = _Merge(self._source.reader(topic), marks)
        try:
            async for record, recorded_at in merge.records():
                seen[record.partition].records += 1
                if there.has(record, partition_of(record.key, partition_count)):
                    continue
                seen[record.partition].copied += 1
                records.append(self._copied(record, recorded_at))
                size += record_bytes(record)
                if len(records) >= ROUND_RECORDS or size >= ROUND_BYTES:
                    yield records
                    records, size = [], 0
            if records:
                yield records
        finally:
            await merge.close()

    def _copied(self, record: Record, recorded_at: datetime) -> NewRecord:
        place = Place(self._source_id, record.partition, record.offset)
        carried = _carried_headers(record)
        behind = [each for each in record.headers[carried:] if each[0] != RECORDED_TIME]
        return NewRecord(
            topic=record.topic,
            key=record.key,
            headers=(
                *record.headers[:carried],
                *behind,
                (RECORDED_TIME, rfc3339.render(recorded_at).encode()),
                place.header(),
            ),
            value=record.value,
            foreign=record.foreign,
        )

    async def _passed(self, topic: str, committed: Mapping[int, int]) -> Mapping[int, int]:
        """In each partition of the target, the first record that lay at or behind `committed` in the source."""
        marks = await self._target.watermarks(topic)
        passed = {each: mark.high for each, mark in marks.items() if mark.high}
        ends = await self._source.watermarks(topic)
        if all(committed.get(each, 0) >= mark.high for each, mark in ends.items()):
            return passed
        async for record in _all_of(self._target, topic):
            place = place_of(record.headers) or Place("", -1, -1)
            if place.offset >= committed.get(place.partition, 0) and record.offset < passed[record.partition]:
                passed[record.partition] = record.offset
        return passed


@dataclass(slots=True)
class _Seen:
    """Of a partition of the source: records read, and those of them that are copied now."""

    records: int = 0
    copied: int = 0


class _Merge:
    """All records between partitions' watermarks in the order of their recording."""

    def __init__(self, reader: Reader, marks: Mapping[int, Watermarks]) -> None:
        self._reader = reader
        self._next = {partition: each.low for partition, each in marks.items() if each.low < each.high}
        self._ends = {partition: each.high for partition, each in marks.items()}
        self._read: dict[int, deque[Record]] = {each: deque() for each in self._next}
        self._latest: dict[int, datetime] = {}

    async def records(self) -> AsyncIterator[tuple[Record, datetime]]:
        """Each with when it was first recorded, which does not fall within a partition."""
        await self._fill()
        heads = [self._head(each) for each in self._read if self._read[each]]
        heapq.heapify(heads)
        while heads:
            recorded_at, partition = heads[0]
            yield self._read[partition].popleft(), recorded_at
            if not self._read[partition]:
                await self._fill()
            if self._read[partition]:
                heapq.heapreplace(heads, self._head(partition))
            else:
                heapq.heappop(heads)

    async def close(self) -> None:
        await self._reader.close()

    def _head(self, partition: int) -> tuple[datetime, int]:
        record = self._read[partition][0]
        at = _first_recorded(record)
        at = self._latest[partition] = max(at, self._latest.get(partition, at))
        return at, partition

    async def _fill(self) -> None:
        """Until each partition has a record at hand, or nothing left. Those that have few are read on, too."""
        low = {each: at for each, at in self._next.items() if len(self._read[each]) < READ_RECORDS // 2}
        self._reader.assign(low)
        while any(not self._read[each] for each in low if each in self._next):
            found = await self._reader.poll(timeout_seconds=_POLL_SECONDS, records_max=READ_RECORDS * len(low))
            for partition, records in found.items():
                self._read[partition].extend(each for each in records if each.offset < self._ends[partition])
            self._next |= {each: at for each, at in self._reader.positions().items() if each in self._next}
            for partition in [each for each, at in self._next.items() if at >= self._ends[each]]:
                del self._next[partition]


async def _all_of(bus: Bus, topic: str) -> AsyncIterator[Record]:
    marks = {each: mark for each, mark in (await bus.watermarks(topic)).items() if mark.low < mark.high}
    reader = bus.reader(topic)
    try:
        left = {each: mark.low for each, mark in marks.items()}
        reader.assign(left)
        while left:
            found = await reader.poll(timeout_seconds=_POLL_SECONDS, records_max=READ_RECORDS * len(left))
            for partition, records in found.items():
                for record in records:
                    if record.offset < marks[partition].high:
                        yield record
            positions = reader.positions()
            left = {each: positions[each] for each in left if positions[each] < marks[each].high}
    finally:
        await reader.close()


async def _offsets(bus: Bus, topic: str) -> int:
    return sum(mark.high - mark.low for mark in (await bus.watermarks(topic)).values())


def _first_recorded(record: Record) -> datetime:
    if carried := _carried_headers(record):
        record = replace(record, headers=record.headers[carried:])
    try:
        return codec.recorded_at(record)
    except UndecodableRecord:  # somebody's own header of that name
        return record.recorded_at


def _carried_headers(record: Record) -> int:
    """A dead letter begins with the headers of what it is about, which may be a copied record: they are not its own."""
    return carried_headers(record.headers) if record.topic == DEADLETTERS else 0
