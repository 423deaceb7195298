"""What a broker's read brought of one partition, unpacked as it is asked for.

Control records and records of aborted transactions are passed over: the position moves past them, nobody is handed
them. A position that stands behind the last record handed over is how a reader comes to be level with a partition
that ends in a transaction's marker.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from aiokafka.record.control_record import ABORT_MARKER, ControlRecord

from shared.bus.adapters.kafka.appending import EPOCH
from shared.bus.adapters.kafka.lenient import ReadableRecords
from shared.bus.port import Record
from shared.domain.errors import PermanentError


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
        self.spent = not self._batches.has_next()

    def take(self, records_max: int) -> list[Record]:
        """The next records, in order; moves `position` on. Fewer than asked for means that it is `spent`."""
        taken: list[Record] = []
        for record in self._records:
            taken.append(record)
            if len(taken) >= records_max:
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
            self._check(batch)
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

    def _check(self, batch: Any) -> None:  # as above
        where = f"{self._topic}/{self._partition} from offset {batch.base_offset} on"
        if not batch.validate_crc():
            raise PermanentError(f"what the broker has of {where} is damaged: its checksum does not fit")


def _ends_in_abort(batch: Any) -> bool:  # as above
    for record in batch:
        return bool(ControlRecord.parse(record.key) == ABORT_MARKER)
    return False


def _instant(milliseconds: int) -> datetime:
    return EPOCH + timedelta(milliseconds=milliseconds)
