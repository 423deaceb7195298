"""Records of the log by position: what the read model points to instead of copying."""

from collections.abc import Callable, Sequence
from datetime import datetime

from shared.bus import codec
from shared.bus.codec import UndecodableRecord
from shared.bus.port import Bus, Reader, Record
from shared.domain.envelope import Event
from shared.domain.errors import TransientError

_BATCH_RECORDS = 32
"""Records read at a time: a run's records mostly lie close together, among those of the tenants beside it."""

_SEARCHED_RECORDS = 200
"""Looked at in one go, before others get their turn: about a millisecond."""


class LogReader:
    """Reads single records, and looks for some, by a reader of its own each time."""

    def __init__(self, bus: Bus, timeout_seconds: float) -> None:
        self._bus = bus
        self._timeout_seconds = timeout_seconds

    async def at(self, topic: str, partition: int, offsets: Sequence[int]) -> list[Record]:
        """The records at these offsets, in order. Raises TransientError where the log does not give them in time."""
        wanted = sorted(set(offsets))
        found: dict[int, Record] = {}
        reader = self._bus.reader(topic)
        try:
            while missing := [offset for offset in wanted if offset not in found]:
                reader.assign({partition: missing[0]})
                batch = await reader.poll(timeout_seconds=self._timeout_seconds, records_max=_BATCH_RECORDS)
                records = batch.get(partition, ())
                found.update((record.offset, record) for record in records)
                if missing[0] not in found:
                    raise TransientError(f"{topic}/{partition} does not give offset {missing[0]}")
        finally:
            await reader.close()
        return [found[offset] for offset in wanted]

    async def first_since(self, topic: str, partition: int, instant: datetime) -> int:
        """The first offset with no older record at or behind it: where those that entered the log at `instant` or later
        begin. Within a partition time does not fall, so that halving finds it."""
        marks = (await self._bus.watermarks(topic, [partition]))[partition]
        low, high = marks.low, marks.high
        reader = self._bus.reader(topic)
        try:
            while low < high:
                middle = (low + high) // 2
                reader.assign({partition: middle})
                record = await self._next(reader, partition, high)
                if record is not None and codec.recorded_at(record) < instant:
                    low = record.offset + 1
                else:
                    high = middle
        finally:
            await reader.close()
        return low

    async def _next(self, reader: Reader, partition: int, high: int) -> Record | None:
        """The next record below `high`; None where only offsets are left that hold nothing for anybody."""
        while (position := reader.positions()[partition]) < high:
            batch = await reader.poll(timeout_seconds=self._timeout_seconds, records_max=1)
            if records := batch.get(partition):
                return records[0] if records[0].offset < high else None
            self._check_moved(reader, partition, position)
        return None

    def _check_moved(self, reader: Reader, partition: int, position: int) -> None:
        if reader.positions()[partition] == position:
            raise TransientError(f"the log does not give offset {position} of partition {partition}")

    async def search(
        self, topic: str, partition: int, start: int, *, records_max: int, wanted: Callable[[Event], bool]
    ) -> tuple[Record | None, int]:
        """The first record from `start` on whose event is wanted, and how many were read: at most `records_max`, and none
        that come after the search began."""
        end = (await self._bus.watermarks(topic, [partition]))[partition].high
        end = min(end, start + records_max)
        position = start
        reader = self._bus.reader(topic)
        try:
            reader.assign({partition: start})
            while position < end:
                batch = await reader.poll(timeout_seconds=self._timeout_seconds, records_max=_SEARCHED_RECORDS)
                records = batch.get(partition, ())
                if not records:
                    self._check_moved(reader, partition, position)
                for record in records:
                    if record.offset >= end:
                        return None, end - start
                    if _is_wanted(record, wanted):
                        return record, record.offset - start + 1
                position = reader.positions()[partition]
        finally:
            await reader.close()
        return None, max(end - start, 0)


def _is_wanted(record: Record, wanted: Callable[[Event], bool]) -> bool:
    try:
        return wanted(codec.decode(record))
    except UndecodableRecord:
        return False
