"""What the cluster has of a log, looked at without changing anything: its topics' settings, and the groups that read it.

Next: `access.py` for who may write; `services/cli/kafka_doctor.py` tells of all of it.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka import errors as kafka_errors
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.admin import DescribeGroupsRequest_v2, ListGroupsRequest
from aiokafka.protocol.api import Request

from shared.bus.adapters.kafka.link import Link
from shared.bus.adapters.kafka.reaching import client_options, described, why_not
from shared.bus.adapters.kafka.settings import KafkaSettings
from shared.bus.adapters.kafka.topic_rules import topic_flaw, topic_weaknesses
from shared.bus.adapters.kafka.topics import count_brokers, find_topics
from shared.bus.topics import TOPICS
from shared.domain.clock import Clock
from shared.domain.errors import PermanentError, TransientError

_DRAWN_CHARACTERS = 37
"""A broker puts a dash and an id of its own behind the id with which a static member joins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupSeen:
    """A group on one of the log's topics (its short name), and its live members by the ids that they joined with."""

    name: str
    topic: str
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """`missing`: topics (short names) that are not there; `flaws`: what keeps others from holding the log, `weaknesses`: what
    makes them hold it less safely than they could; each with how to mend it."""

    missing: tuple[str, ...]
    flaws: tuple[str, ...]
    weaknesses: tuple[str, ...]
    groups: tuple[GroupSeen, ...]


async def examine_log(settings: KafkaSettings, clock: Clock) -> Examined:
    """Raises `TransientError` while brokers are away, `PermanentError` where they refuse us."""
    link = Link(settings, clock)
    try:
        async with _asking(settings) as admin:
            found = await find_topics(admin, _names(settings))
            names, brokers = {seen.name for seen in found}, await count_brokers(admin)
            return Examined(
                missing=tuple(topic for topic in TOPICS if settings.topic_prefix + topic not in names),
                flaws=tuple(flaw for seen in found if (flaw := topic_flaw(settings, seen)) is not None),
                weaknesses=tuple(each for seen in found for each in topic_weaknesses(settings, seen, brokers)),
                groups=tuple(await _groups(link, settings)),
            )
    finally:
        await link.close()


async def taken_bytes_max(settings: KafkaSettings) -> int:
    """What the log's topics take at once, whatever the settings say: no record in them is larger. Raises as `examine_log`."""
    async with _asking(settings) as admin:
        found = await find_topics(admin, _names(settings))
        return max((int(seen.configs["max.message.bytes"]) for seen in found), default=0)


async def cluster_id(settings: KafkaSettings) -> str:
    """What the cluster calls itself, unlike any other. Raises as `examine_log`."""
    async with _asking(settings) as admin:
        found = (await admin.describe_cluster())["cluster_id"]
    if not found:
        raise PermanentError("the Kafka brokers do not say which cluster they are")
    return str(found)


@asynccontextmanager
async def _asking(settings: KafkaSettings) -> AsyncIterator[Any]:  # aiokafka has no types
    """Its client for questions of this kind, whose errors are told as the port's."""
    admin = AIOKafkaAdminClient(**client_options(settings))
    try:
        try:
            await admin.start()
        except (kafka_errors.KafkaError, OSError) as error:
            raise await why_not(settings) from error
        try:
            async with asyncio.timeout(settings.request_timeout_seconds):
                yield admin
        except TimeoutError:
            raise TransientError("the Kafka brokers did not answer in time") from None
        except (kafka_errors.KafkaError, OSError) as error:
            raise TransientError(f"the Kafka brokers cannot be examined: {described(error)}") from error
    finally:
        await admin.close()


def _names(settings: KafkaSettings) -> list[str]:
    return [settings.topic_prefix + topic for topic in TOPICS]


async def _groups(link: Link, settings: KafkaSettings) -> Sequence[GroupSeen]:
    # A group's name is its topic's full name, a dot, and its own.
    beginnings = {topic: f"{settings.topic_prefix}{topic}." for topic in TOPICS}
    found = []
    for node_id in sorted(await link.broker_ids()):
        listed = (await link.send(node_id, ListGroupsRequest())).groups
        named = {
            group_id: (group_id.removeprefix(begins), topic)
            for group_id, *_ in listed
            for topic, begins in beginnings.items()
            if group_id.startswith(begins)
        }
        # A broker lists the groups that it keeps.
        groups = (await link.send(node_id, _DescribeGroups(sorted(named)))).groups if named else ()
        for _, group_id, _, _, _, present in groups:
            name, topic = named[group_id]
            members = tuple(sorted(member[0][:-_DRAWN_CHARACTERS] for member in present))
            found.append(GroupSeen(name=name, topic=topic, members=members))
    return sorted(found, key=lambda each: (each.topic, each.name))


class _DescribeGroups(Request[DescribeGroupsRequest_v2]):  # type: ignore[misc]  # aiokafka has no types
    """In the newest version of which aiokafka can read the answer: of its own request it sends a newer one, and cannot."""

    API_KEY = DescribeGroupsRequest_v2.API_KEY

    def __init__(self, group_ids: Sequence[str]) -> None:
        self._group_ids = list(group_ids)

    def build(self, request_struct_class: type[DescribeGroupsRequest_v2]) -> DescribeGroupsRequest_v2:
        return request_struct_class(self._group_ids)
