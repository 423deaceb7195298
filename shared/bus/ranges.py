"""One partition of a topic read by offsets, apart from those who follow it: for whoever looks at the past, once.

A `LogRange` only reads. It is bound to one partition, wakes for nothing, and keeps no tail in memory; a read is one statement
of bounded length, so nothing on the log's server is held up however long the whole takes. Records of an offset below the
`high` that was asked for once never change, so the same range gives the same records, also while the log is being written.
Next: `shared/bus/adapters/postgres/ranges.py`; `first_at_or_after` finds where a range in time begins.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from shared.bus import codec
from shared.bus.port import Bus, Record, Watermarks
from shared.domain.errors import PermanentError, TransientError

READ_TIMEOUT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class RangeBatch:
    """Records in offset order, and the offset to read on from: some in between may have been left out."""

    records: Sequence[Record]
    next_offset: int


class LogRange(Protocol):
    """See the module's docstring."""

    async def watermarks(self) -> Watermarks:
        """Of this partition, now."""
        ...

    async def read(self, low: int, high: int, *, records_max: int, tenant_id: str | None = None) -> RangeBatch:
        """At most `records_max` records from `low` on, below `high`, which must be in the log; at least one offset is passed:
        of those that hold nothing for anybody there is no record.

        `tenant_id`: records that are certainly another tenant's may be left out. Raises `TransientError`.
        """
        ...

    async def close(self) -> None:
        """Free what it holds. Closing twice is harmless."""
        ...


async def first_at_or_after(log: LogRange, instant: datetime, low: int, high: int) -> int:
    """The first offset in [low, high] with no older record at or behind it: where those appended at `instant` or later begin.

    By halving the range: append times do not fall within a partition.
    """
    while low < high:
        middle = (low + high) // 2
        record = await first_in(log, middle, high)
        if record is not None and codec.recorded_at(record) < instant:
            low = record.offset + 1
        else:
            high = middle
    return low


async def first_in(log: LogRange, low: int, high: int) -> Record | None:
    """The first record in [low, high), where there is one. Raises `TransientError`."""
    while low < high:
        batch = await log.read(low, high, records_max=1)
        if batch.records:
            return batch.records[0]
        if batch.next_offset <= low:
            raise PermanentError(f"the log does not give offset {low}")
        low = batch.next_offset
    return None


class BusRange:
    """A `LogRange` through a bus's own reader: where no connection apart from the others is worth its while."""

    def __init__(self, bus: Bus, topic: str, partition: int) -> None:
        self._bus = bus
        self._topic = topic
        self._partition = partition
        self._reader = bus.reader(topic)

    async def watermarks(self) -> Watermarks:
        return (await self._bus.watermarks(self._topic, [self._partition]))[self._partition]

    async def read(self, low: int, high: int, *, records_max: int, tenant_id: str | None = None) -> RangeBatch:
        del tenant_id
        self._reader.assign({self._partition: low})
        batch = await self._reader.poll(timeout_seconds=READ_TIMEOUT_SECONDS, records_max=min(records_max, high - low))
        position = self._reader.positions()[self._partition]
        if position == low:
            raise TransientError(f"{self._topic}/{self._partition} does not give offset {low}")
        return RangeBatch(
            [record for record in batch.get(self._partition, ()) if record.offset < high], min(position, high)
        )

    async def close(self) -> None:
        await self._reader.close()
