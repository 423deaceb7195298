"""Rows that may be on their way: only a read model that has passed the log's end, as of the question, can deny something."""

import asyncio

from services.api.service.ports import ApiDependencies
from shared.bus.partitioner import partition_of
from shared.bus.topics import EVENTS
from shared.domain.envelope import routing_key
from shared.readmodel.tenant_values import EventDetail
from shared.runtime.http import HttpProblem


async def is_level(it: ApiDependencies, tenant_id: str, *topics: str) -> bool:
    """Whether the read model shows all of the tenant that these topics held when this was called; waits for it as long as
    a command does for its verdict. False: some may still be on its way."""
    partition = partition_of(routing_key(tenant_id), it.bus.partition_count)
    ends = {topic: (await it.bus.watermarks(topic, [partition]))[partition] for topic in topics}
    seconds = it.settings.command_wait_seconds
    passed = await asyncio.gather(
        *(
            it.progress.wait(topic, partition, each.high - 1, seconds)
            for topic, each in ends.items()
            if each.high > each.low
        )
    )
    return all(passed)


async def find_event(it: ApiDependencies, tenant_id: str, event_id: str) -> EventDetail:
    """An event with the runs it led to, also one that was accepted a moment ago.

    Raises HttpProblem 404 where there is none, 503 where that cannot be said yet.
    """
    found = await it.queries.get_event(tenant_id, event_id)
    if found is None:
        level = await is_level(it, tenant_id, EVENTS)
        found = await it.queries.get_event(tenant_id, event_id)
        if found is None and level:
            raise HttpProblem(404, "unknown-event", f"there is no event {event_id!r}")
        if found is None:
            detail = f"there is no event {event_id!r} yet; the newest events are still being written: ask again"
            raise HttpProblem(503, "unavailable", detail, headers={"Retry-After": "1"})
    return found
