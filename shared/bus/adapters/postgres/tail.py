"""The ends of partitions in memory, so that readers in the process that appends need no query, and share each record.

Per partition one run of records without a gap; where another process wrote in between, the run starts anew behind it.
Bounded in bytes over all partitions; the oldest additions go first.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from shared.bus.port import Record

RECORD_OVERHEAD_BYTES = 1300
"""About what a record's Python objects weigh beside its key, headers and value: itself, its event and a dozen short texts."""


_GONE = Record(
    topic="", partition=0, offset=0, recorded_at=datetime.min.replace(tzinfo=UTC), key=b"", headers=(), value=None
)
_GONE_MAX = 256
"""Places of forgotten records that stay at a run's beginning: moving thousands of others up for each costs more."""


@dataclass(slots=True)
class _Run:
    first: int = 0
    """The offset of the first record that is here; it stands behind `gone` places of forgotten ones."""
    gone: int = 0
    records: list[Record] = field(default_factory=list)

    @property
    def end(self) -> int:
        return self.first + len(self.records) - self.gone

    def forget(self, end: int) -> None:
        """All below `end`."""
        count = end - self.first
        self.records[self.gone : self.gone + count] = [_GONE] * count
        self.first = end
        self.gone += count
        if self.gone >= _GONE_MAX:
            del self.records[: self.gone]
            self.gone = 0


class Tail:
    """Records that end their partitions, by (topic, partition)."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0
        self._runs: dict[tuple[str, int], _Run] = {}
        self._additions: deque[tuple[str, int, int, int, int]] = deque()  # topic, partition, first, end, bytes

    def add(self, records: Sequence[Record], size: int) -> None:
        """Records of one partition, contiguous, weighing `size` bytes; older ones give way to them."""
        topic, partition, first = records[0].topic, records[0].partition, records[0].offset
        run = self._runs.setdefault((topic, partition), _Run())
        if run.end > first:  # they are here already, or came out of turn
            return
        if run.end != first:
            run.first = first
            run.gone = 0
            run.records = []
        run.records.extend(records)
        self._bytes += size
        self._additions.append((topic, partition, first, first + len(records), size))
        while self._bytes > self._bytes_max:
            self._forget_oldest()

    def end(self, topic: str, partition: int) -> int:
        """The offset behind the last record kept, -1 where nothing ever was."""
        run = self._runs.get((topic, partition))
        return run.end if run else -1

    def holds(self, topic: str, partition: int, offset: int) -> bool:
        """Whether the record at `offset` is here."""
        run = self._runs.get((topic, partition))
        return run is not None and run.first <= offset < run.end

    def take(self, topic: str, partition: int, offset: int, records_max: int) -> Sequence[Record]:
        """Records from `offset` on; empty where the tail does not reach back so far, or not up to it."""
        run = self._runs.get((topic, partition))
        if run is None or not run.first <= offset < run.end:
            return ()
        start = offset - run.first + run.gone
        return run.records[start : start + records_max]

    def _forget_oldest(self) -> None:
        topic, partition, _, end, size = self._additions.popleft()
        self._bytes -= size
        run = self._runs[topic, partition]
        if run.first < end <= run.end:  # else the run has started anew since
            run.forget(end)
