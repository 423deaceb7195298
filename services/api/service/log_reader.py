"""Records of the log by position: what the read model points to instead of copying."""

from collections.abc import Sequence

from shared.bus.port import Bus, Record
from shared.domain.errors import TransientError

_BATCH_RECORDS = 32
"""Records read at a time: a run's records mostly lie close together, among those of the tenants beside it."""


class LogReader:
    """Reads single records, by a reader of its own each time."""

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
