"""What the cluster has of a log, looked at without changing anything: its topics' settings, and the groups that read it.

Next: `access.py` for who may write; `services/cli/kafka_doctor.py` tells of all of it.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import errors as kafka_errors
from aiokafka.admin import AIOKafkaAdminClient

from shared.bus.adapters.kafka.reaching import client_options, described, why_not
from shared.bus.adapters.kafka.settings import KafkaSettings
from shared.bus.adapters.kafka.topics import find_topics, topic_flaw
from shared.bus.topics import TOPICS
from shared.domain.errors import TransientError

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
    """`missing`: topics (short names) that are not there; `flaws`: what keeps others from holding the log, and how to mend it."""

    missing: tuple[str, ...]
    flaws: tuple[str, ...]
    groups: tuple[GroupSeen, ...]


async def examine_log(settings: KafkaSettings) -> Examined:
    """Raises `TransientError` while brokers are away, `PermanentError` where they refuse us."""
    admin = AIOKafkaAdminClient(**client_options(settings))
    try:
        try:
            await admin.start()
        except (kafka_errors.KafkaError, OSError) as error:
            raise await why_not(settings) from error
        try:
            async with asyncio.timeout(settings.request_timeout_seconds):
                found = await find_topics(admin, [settings.topic_prefix + topic for topic in TOPICS])
                flaws = [topic_flaw(settings, name, count, configs) for name, (count, configs) in found.items()]
                return Examined(
                    missing=tuple(topic for topic in TOPICS if settings.topic_prefix + topic not in found),
                    flaws=tuple(each for each in flaws if each is not None),
                    groups=tuple(await _groups(admin, settings)),
                )
        except TimeoutError:
            raise TransientError("the Kafka brokers did not answer in time") from None
        except (kafka_errors.KafkaError, OSError) as error:
            raise TransientError(f"the Kafka brokers cannot be examined: {described(error)}") from error
    finally:
        await admin.close()


async def _groups(admin: Any, settings: KafkaSettings) -> Sequence[GroupSeen]:  # aiokafka has no types
    # A group's name is its topic's full name, a dot, and its own.
    beginnings = {topic: f"{settings.topic_prefix}{topic}." for topic in TOPICS}
    named = {
        group_id: (group_id.removeprefix(begins), topic)
        for group_id, _ in await admin.list_consumer_groups()
        for topic, begins in beginnings.items()
        if group_id.startswith(begins)
    }
    members: dict[str, tuple[str, ...]] = {}
    for response in await admin.describe_consumer_groups(sorted(named)) if named else ():
        for _, group_id, _, _, _, present, *_ in response.groups:
            members[group_id] = tuple(member[0][:-_DRAWN_CHARACTERS] for member in present)
    return [
        GroupSeen(name=named[each][0], topic=named[each][1], members=members.get(each, ())) for each in sorted(named)
    ]
