"""Folds one tenant's definitions from the log again, for whoever asks how they once were; a few tenants are remembered.

Guarantee: what is handed out is folded up to the end that the partition had when it was asked for. Nothing is stored: what
is forgotten is read again. A partition that is too long to be read in time answers `TransientError`, and goes on where it
was the next time.
"""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field

from shared.bus import codec, facts
from shared.bus.codec import UndecodableRecord
from shared.bus.partitioner import partition_of
from shared.bus.port import Bus, Record
from shared.bus.topics import DEFINITIONS
from shared.domain.definitions_history import TenantHistory
from shared.domain.envelope import routing_key
from shared.domain.errors import TransientError

TENANTS_MAX = 32
"""Remembered; a history takes about 200 bytes a change."""
BATCH_RECORDS = 200
"""Folded before others get their turn: some milliseconds."""


@dataclass(slots=True)
class _Followed:
    history: TenantHistory
    position: int = 0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Histories:
    """One a process."""

    def __init__(self, bus: Bus, *, timeout_seconds: float) -> None:
        self._bus = bus
        self._timeout_seconds = timeout_seconds
        self._followed: OrderedDict[str, _Followed] = OrderedDict()

    async def of(self, tenant_id: str) -> TenantHistory:
        """The tenant's history up to now. Raises `TransientError` where the log does not give it in time."""
        followed = self._followed.setdefault(tenant_id, _Followed(TenantHistory(tenant_id)))
        self._followed.move_to_end(tenant_id)
        if len(self._followed) > TENANTS_MAX:
            self._followed.popitem(last=False)
        try:
            async with asyncio.timeout(self._timeout_seconds), followed.lock:
                await self._catch_up(tenant_id, followed)
        except TimeoutError:
            detail = "the definitions of that time cannot be read up to their end just now; what was read is kept"
            raise TransientError(detail, retry_after_seconds=1.0) from None
        return followed.history

    async def _catch_up(self, tenant_id: str, followed: _Followed) -> None:
        partition = partition_of(routing_key(tenant_id), self._bus.partition_count)
        end = (await self._bus.watermarks(DEFINITIONS, [partition]))[partition].high
        if followed.position >= end:
            return
        reader = self._bus.reader(DEFINITIONS)
        try:
            reader.assign({partition: followed.position})
            while followed.position < end:
                batch = await reader.poll(timeout_seconds=self._timeout_seconds, records_max=BATCH_RECORDS)
                for record in batch.get(partition, ()):
                    _fold(tenant_id, followed, record)
                # A partition may end in what nobody is handed.
                followed.position = max(followed.position, reader.positions()[partition])
                await asyncio.sleep(0)
        finally:
            await reader.close()


def _fold(tenant_id: str, followed: _Followed, record: Record) -> None:
    try:
        event = codec.decode(record)
        if event.tenant_id == tenant_id:
            followed.history.apply(facts.definitions_fact(event), codec.recorded_at(record))
    except UndecodableRecord as error:
        place = f"{DEFINITIONS}/{record.partition} at offset {record.offset}"
        raise TransientError(f"{place} cannot be understood by this version: {error}. Update this process.") from None
    followed.position = record.offset + 1
