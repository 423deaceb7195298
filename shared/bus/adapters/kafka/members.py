"""Who is in a log's consumer groups right now, for whoever must not work beside them."""

from collections.abc import Sequence

from aiokafka.protocol.admin import DescribeGroupsRequest_v2, ListGroupsRequest
from aiokafka.protocol.api import Request

from shared.bus.adapters.kafka.bus import group_id
from shared.bus.adapters.kafka.link import Link
from shared.bus.adapters.kafka.settings import KafkaSettings
from shared.domain.clock import Clock


class _DescribeGroups(Request[DescribeGroupsRequest_v2]):  # type: ignore[misc]  # aiokafka has no types
    """Of its own versions aiokafka 0.14.0 would send the third and read the answer as the second's."""

    API_KEY = 15

    def __init__(self, groups: Sequence[str]) -> None:
        self._groups = list(groups)

    def build(self, request_struct_class: type[DescribeGroupsRequest_v2]) -> DescribeGroupsRequest_v2:
        return request_struct_class(self._groups)


async def live_members(settings: KafkaSettings, clock: Clock, topics: Sequence[str]) -> list[str]:
    """Members' ids, of every group on these topics. `TransientError`: brokers are away."""
    beginnings = tuple(group_id(settings, "", topic) for topic in topics)
    link = Link(settings, clock)
    members: set[str] = set()
    try:
        for node_id in await link.broker_ids():
            listed = (await link.send(node_id, ListGroupsRequest())).groups
            names = [name for name, *_ in listed if name.startswith(beginnings)]
            if names:  # a broker lists the groups that it keeps
                for *_, found in (await link.send(node_id, _DescribeGroups(names))).groups:
                    members.update(member_id for member_id, *_ in found)
    finally:
        await link.close()
    return sorted(members)
