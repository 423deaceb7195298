"""What one request of an upstream service holds up: no more is read than may be taken, and others have their turns meanwhile."""

import asyncio
from collections.abc import Collection
from contextlib import suppress

import pytest

from services.ingest.core.admission import TenantAdmission
from services.ingest.service.deliveries import TooMuch
from services.ingest.service.published import TURN_SECONDS, Published
from services.ingest.settings import IngestSettings
from shared.bus.adapters.memory import MemoryBus
from shared.bus.topics import EVENTS
from shared.domain.errors import InvalidInput
from shared.runtime.clock import SystemClock

BATCH = [("Content-Type", "application/cloudevents-batch+json")]
TOO_DEEP = b"[" * 1000 + b"]" * 1000
"""Nobody can tell where it ends: whoever reads that far refuses the whole request."""


class Slow(SystemClock):
    """On which whatever is done takes a whole turn."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        self.seconds += TURN_SECONDS
        return self.seconds


def published(bus: MemoryBus, burst: int = 1000, **settings: int) -> Published:
    async def none_known(_tenant_id: str, _event_ids: Collection[str]) -> Collection[str]:
        return ()

    admission = TenantAdmission(events_per_second=1.0, burst=burst, backlog_max=1000)
    return Published(
        bus=bus,
        known_events=none_known,
        admission=admission,
        settings=IngestSettings(**settings),  # type: ignore[arg-type]  # numbers all
        clock=Slow(),
    )


def events(count: int) -> bytes:
    each = b'{"specversion":"1.0","id":"%d","source":"/s","type":"t","data":{}}'
    return b",".join(each % number for number in range(count))


async def test_of_a_batch_that_is_too_large_no_more_is_read_than_may_be_taken() -> None:
    bus = MemoryBus(SystemClock(), partition_count=1)
    body = b"[" + events(4) + b"," + TOO_DEEP + b"]"
    with pytest.raises(InvalidInput, match=r"the batch is too large.*3 events are the most"):
        await published(bus, batch_events_max=3).take("acme", BATCH, body, traceparent="")
    with pytest.raises(InvalidInput, match="nested too deeply"):
        await published(bus, batch_events_max=5).take("acme", BATCH, body, traceparent="")
    assert bus.log(EVENTS, 0) == []


@pytest.mark.parametrize(
    "body",
    [b"[" + b",".join([b'{"id":"1"}'] * 9) + b"]", b"[" + events(8) + b"," + TOO_DEEP + b"]"],
    ids=["each is refused", "the request is refused"],
)
async def test_what_was_read_in_vain_counts_as_well(body: bytes) -> None:
    """Else a tenant could have this process read for ever what it will refuse, at no rate."""
    bus = MemoryBus(SystemClock(), partition_count=1)
    ours = published(bus, burst=10)

    async def take(body: bytes) -> None:
        with suppress(InvalidInput):
            await ours.take("acme", BATCH, body, traceparent="")

    await take(body)
    await take(b"[" + events(1) + b"]")
    assert len(bus.log(EVENTS, 0)) == 1, "what is left of the rate may be used"
    with pytest.raises(TooMuch) as refused:
        await take(body)
    assert refused.value.retry_after_seconds > 0


async def test_others_have_their_turns_while_a_batch_is_read() -> None:
    bus = MemoryBus(SystemClock(), partition_count=1)
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    busy = asyncio.create_task(others())
    try:
        results = await published(bus).take("acme", BATCH, b"[" + events(100) + b"]", traceparent="")
    finally:
        busy.cancel()
    assert [each.status for each in results] == ["accepted"] * 100
    assert len(bus.log(EVENTS, 0)) == 100
    assert turns >= 100
