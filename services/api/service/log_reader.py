"""Records of the log by position: what the read model points to instead of copying."""

from collections.abc import Callable, Sequence
from datetime import datetime

from shared.bus import codec
from shared.bus.codec import UndecodableRecord
from shared.bus.port import Bus, Record
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
        """The offset of the first record that entered the log at `instant` or later; the end where none did. Within a
        partition time does not fall, so that halving finds it."""
        marks = (await self._bus.watermarks(topic, [partition]))[partition]
        low, high = marks.low, marks.high
        while low < high:
            middle = (low + high) // 2
            (record,) = await self.at(topic, partition, [middle])
            if codec.recorded_at(record) < instant:
                low = middle + 1
            else:
                high = middle
        return low

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
                    raise TransientError(f"{topic}/{partition} does not give offset {position}")
                for record in records:
                    if record.offset >= end:
                        return None, end - start
                    if _is_wanted(record, wanted):
                        return record, record.offset - start + 1
                position = records[-1].offset + 1
        finally:
            await reader.close()
        return None, max(end - start, 0)


def _is_wanted(record: Record, wanted: Callable[[Event], bool]) -> bool:
    try:
        return wanted(codec.decode(record))
    except UndecodableRecord:
        return False
