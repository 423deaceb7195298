"""What a broker's read brought of one partition, unpacked as it is asked for.

Control records and records of aborted transactions are passed over: the position moves past them, nobody is handed
them. A position that stands behind the last record handed over is how a reader comes to be level with a partition
that ends in a transaction's marker.
"""

import struct
from collections.abc import Sequence
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Any

from aiokafka import errors as kafka_errors
from aiokafka.record.control_record import ABORT_MARKER, ControlRecord
from aiokafka.record.memory_records import MemoryRecords

from shared.bus.adapters.kafka.appending import EPOCH
from shared.bus.adapters.kafka.lenient import read_leniently
from shared.bus.adapters.kafka.reaching import described
from shared.bus.headers import Headers
from shared.bus.port import PartitionUnreadable, Record

_VALUE = itemgetter(1)
# What aiokafka raises at a batch that is damaged or compressed in a way it lacks.
_UNREADABLE = (kafka_errors.KafkaError, ValueError, struct.error, IndexError)


class Fetched:
    """Records of one partition; not yet handed over. Batch by batch, since each costs little only when taken whole."""

    def __init__(
        self, topic: str, partition: int, position: int, data: bytes, aborted: Sequence[tuple[int, int]] | None
    ) -> None:
        """`position`: what was asked for. `aborted`: (producer id, first offset) of the aborted transactions in it."""
        self._topic = topic
        self._partition = partition
        self._data = data
        self._aborted = sorted(aborted or (), key=lambda each: each[1], reverse=True)
        self._aborting: set[int] = set()
        self._batches = MemoryRecords(data)
        self._ready: list[Record] = []  # of one batch
        self._at = 0
        self._passed = position  # where `_ready` begins
        self._end = position  # where the batch of `_ready` ends
        self._failure: Exception | None = None
        self.spent = not self._batches.has_next()

    @property
    def position(self) -> int:
        """The next offset to be handed over."""
        return self._ready[self._at - 1].offset + 1 if self._at else self._passed

    def take(self, records_max: int) -> list[Record]:
        """The next records, in order; moves `position` on. Raises `PartitionUnreadable` once it has nothing better."""
        taken: list[Record] = []
        while (self._at < len(self._ready) or self._unpack_next()) and len(taken) < records_max:
            part = self._ready[self._at : self._at + records_max - len(taken)]
            self._at += len(part)
            taken += part
        self.spent = self._at == len(self._ready) and self._failure is None
        if not taken and self._failure is not None:
            raise self._unreadable(self._failure) from self._failure
        return taken

    def _unpack_next(self) -> bool:
        """Whether there is another batch with records."""
        self._passed = max(self._passed, self._end)
        self._ready, self._at = [], 0
        try:
            while self._failure is None and not self._ready and self._batches.has_next():
                batch = self._batches.next_batch()
                if not batch.validate_crc():
                    raise kafka_errors.CorruptRecordException("its checksum does not fit")
                if self._is_wanted(batch):
                    self._ready = self._unpacked(batch)
                self._end = max(self._end, batch.next_offset)
                if not self._ready:
                    self._passed = self._end
        except _UNREADABLE as error:
            self._failure = error  # what came before it is handed over first
        return bool(self._ready)

    def _is_wanted(self, batch: Any) -> bool:  # aiokafka has no types
        producer_id = batch.producer_id
        while self._aborted and self._aborted[-1][1] <= batch.base_offset:
            self._aborting.add(self._aborted.pop()[0])
        if batch.is_control_batch:
            if _ends_in_abort(batch):
                self._aborting.discard(producer_id)
            return False
        return not (batch.is_transactional and producer_id in self._aborting)

    def _unpacked(self, batch: Any) -> list[Record]:  # as above
        try:
            return self._records(batch)
        except UnicodeDecodeError:
            return self._records(read_leniently(self._data, batch.base_offset))

    def _records(self, batch: Any) -> list[Record]:  # as above
        topic, partition, position = self._topic, self._partition, self._passed
        instants: dict[int, datetime] = {}  # one a batch: the broker's append time
        return [
            Record(
                topic=topic,
                partition=partition,
                offset=each.offset,
                recorded_at=instants.get(each.timestamp)
                or instants.setdefault(each.timestamp, _instant(each.timestamp)),
                key=each.key or b"",
                headers=_headers(each.headers),
                value=each.value,
            )
            for each in batch
            if each.offset >= position  # a read begins with the batch that holds the position
        ]

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


def _headers(found: Sequence[tuple[str, bytes | None]]) -> Headers:
    if None in map(_VALUE, found):  # which only foreign producers write
        return tuple((name, value or b"") for name, value in found)
    return tuple(found)  # type: ignore[arg-type]  # none of them is None


def _instant(milliseconds: int) -> datetime:
    return EPOCH + timedelta(milliseconds=milliseconds)
