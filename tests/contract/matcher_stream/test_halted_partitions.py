"""A partition that cannot be read holds up no other, is told, and goes on once it is mended."""

from collections.abc import Mapping

import pytest

from services.matcher.stream import share
from shared.bus.topics import EVENTS
from shared.testing.waiting import eventually
from tests.contract.matcher_stream.conftest import PARTITIONS, event
from tests.contract.matcher_stream.faust_alone import Alone, alone

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_partition_that_cannot_be_read_is_told_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(share, "RETRY_SECONDS", 0.2)
    async with alone(monkeypatch) as it:
        it.bus.unreadable.add(0)
        await halted(it, {0: f"{EVENTS}/0 is gone"})
        await it.bus.append([event(number) for number in range(2 * PARTITIONS)])
        await it.matched([1, 2, 3, 5, 6, 7])
        it.bus.unreadable.clear()
        await it.matched(range(2 * PARTITIONS))
        await halted(it, {})


async def halted(it: Alone, wanted: Mapping[int, str]) -> None:
    async def are_told() -> bool:
        return it.stream.halted == wanted

    await eventually(are_told, f"{wanted} is told", interval_seconds=0.02)
