"""What a broker's read brought of one partition, unpacked as it is asked for.

Control records and records of aborted transactions are passed over: the position moves past them, nobody is handed
them. A position that stands behind the last record handed over is how a reader comes to be level with a partition
that ends in a transaction's marker.
"""

import struct
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from aiokafka import errors as kafka_errors
from aiokafka.record.control_record import ABORT_MARKER, ControlRecord

from shared.bus.adapters.kafka.appending import EPOCH
from shared.bus.adapters.kafka.lenient import ReadableRecords
from shared.bus.adapters.kafka.reaching import described
from shared.bus.port import PartitionUnreadable, Record

# What aiokafka raises at a batch that is damaged, compressed in a way it lacks, or not UTF-8 where it must be.
_UNREADABLE = (kafka_errors.KafkaError, ValueError, struct.error, IndexError)


class Fetched:
    """Records of one partition from `position` on; not yet handed over."""

    def __init__(
        self, topic: str, partition: int, position: int, data: bytes, aborted: Sequence[tuple[int, int]] | None
    ) -> None:
        """`aborted`: (producer id, first offset) of the aborted transactions in it."""
        self.position = position
        self._topic = topic
        self._partition = partition
        self._aborted = sorted(aborted or (), key=lambda each: each[1], reverse=True)
        self._aborting: set[int] = set()
        self._batches = ReadableRecords(data)
        self._records = self._unpacked()
        self._failure: Exception | None = None
        self.spent = not self._batches.has_next()

    def take(self, records_max: int) -> list[Record]:
        """The next records, in order; moves `position` on. Fewer than asked for means that it is `spent`."""
        taken: list[Record] = []
        try:
            if self._failure is not None:
                raise self._failure
            for record in self._records:
                taken.append(record)
                if len(taken) >= records_max:
                    return taken
        except _UNREADABLE as error:
            if not taken:
                self.spent = True
                raise self._unreadable(error) from error
            self._failure = error  # what came before it is handed over first
            return taken
        self.spent = True
        return taken

    def _unpacked(self) -> Iterator[Record]:
        recorded_ms = -1
        recorded_at = EPOCH
        for batch in self._wanted_batches():
            for each in batch:
                if each.offset < self.position:
                    continue  # a read begins with the batch that holds the position
                if each.timestamp != recorded_ms:  # one a batch: the broker's append time
                    recorded_ms = each.timestamp
                    recorded_at = _instant(recorded_ms)
                self.position = each.offset + 1
                yield Record(
                    topic=self._topic,
                    partition=self._partition,
                    offset=each.offset,
                    recorded_at=recorded_at,
                    key=each.key or b"",
                    headers=tuple((name, value or b"") for name, value in each.headers),
                    value=each.value,
                )
            self.position = max(self.position, batch.next_offset)

    def _wanted_batches(self) -> Iterator[Any]:  # aiokafka has no types
        while self._batches.has_next():
            batch = self._batches.next_batch()
            if not batch.validate_crc():
                raise kafka_errors.CorruptRecordException("its checksum does not fit")
            producer_id = batch.producer_id
            while self._aborted and self._aborted[-1][1] <= batch.base_offset:
                self._aborting.add(self._aborted.pop()[0])
            if batch.is_control_batch:
                if _ends_in_abort(batch):
                    self._aborting.discard(producer_id)
                self.position = max(self.position, batch.next_offset)
            elif batch.is_transactional and producer_id in self._aborting:
                self.position = max(self.position, batch.next_offset)
            else:
                yield batch

    def _unreadable(self, error: Exception) -> PartitionUnreadable:
        where = f"{self._topic}/{self._partition} from offset {self.position} on"
        if isinstance(error, kafka_errors.UnsupportedCodecError):
            detail = f"{where} is compressed in a way that this process lacks: pip install cramjam ({described(error)})"
        else:
            detail = f"what the broker has of {where} cannot be unpacked: {described(error)}"
        return PartitionUnreadable(detail, partitions=frozenset({self._partition}))


def _ends_in_abort(batch: Any) -> bool:  # as above
    for record in batch:
        return bool(ControlRecord.parse(record.key) == ABORT_MARKER)
    return False


def _instant(milliseconds: int) -> datetime:
    return EPOCH + timedelta(milliseconds=milliseconds)
