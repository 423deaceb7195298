"""Where the matcher is in each partition when a campaign has failed: what tells a hole from a standstill, and both from haste.

An event without a run below what is committed was passed over. Above it, it waits: where a partition moves it will have its
turn, where it does not somebody stands still.
"""

import asyncio
from collections.abc import Mapping

from services.matcher.service.matcher import GROUP
from shared.bus.port import Bus
from shared.bus.topics import EVENTS

LOOKS_APART_SECONDS = 5.0


async def matcher_lags(bus: Bus) -> Mapping[int, tuple[int, int]]:
    """What is committed, and where the partition ends, of each one that holds anything."""
    committed = await bus.committed(GROUP, EVENTS)
    marks = await bus.watermarks(EVENTS)
    return {each: (committed.get(each, 0), marks[each].high) for each in sorted(marks) if marks[each].high}


def told(before: Mapping[int, tuple[int, int]], after: Mapping[int, tuple[int, int]]) -> list[str]:
    """A line for each partition, from two looks at it."""
    lines = []
    for partition, (committed, end) in after.items():
        was = before.get(partition, (0, 0))[0]
        state = "level" if committed == end else "moves" if committed > was else "stands still"
        lines.append(
            f"{EVENTS}/{partition}: committed {was}, then {committed} of {end}, {end - committed} behind: {state}"
        )
    return lines


async def tell_lags(bus: Bus) -> list[str]:
    """Two looks, some seconds apart."""
    before = await matcher_lags(bus)
    await asyncio.sleep(LOOKS_APART_SECONDS)
    return told(before, await matcher_lags(bus))
