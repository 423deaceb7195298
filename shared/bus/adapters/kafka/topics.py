"""Makes the log's topics where they are missing, and holds those that are there to what a log of record needs.

A topic that would forget (compaction, retention), lie about time (CreateTime) or take too little is refused at the start,
in one sentence that says how to mend it; one that is less safe than it could be is told of. Next: `topic_rules.py`.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka import errors as kafka_errors
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from shared.bus.adapters.kafka.reaching import client_options, closed, described, why_not
from shared.bus.adapters.kafka.settings import KafkaSettings
from shared.bus.adapters.kafka.topic_rules import (
    CONFIG_NAMES,
    TopicSeen,
    insync_wanted,
    replicas_wanted,
    topic_flaw,
    topic_weaknesses,
)
from shared.domain.errors import PermanentError, TransientError

_log = logging.getLogger(__name__)

_ALREADY_THERE = 36
_PAUSE_SECONDS = 0.02


async def ensure_topics(settings: KafkaSettings, names: Sequence[str]) -> Sequence[str]:
    """Make these topics (full names) where missing, and check all; those that were made. `TransientError`: brokers away.
    `PermanentError`: brokers refuse us, or a topic cannot hold the log."""
    admin = AIOKafkaAdminClient(**client_options(settings))
    try:
        try:
            await admin.start()
        except (kafka_errors.KafkaError, OSError) as error:
            raise await why_not(settings) from error
        try:
            async with asyncio.timeout(settings.request_timeout_seconds):
                return await _ensure(admin, settings, names)
        except TimeoutError:
            raise TransientError("the Kafka brokers did not make the topics in time") from None
        except (kafka_errors.KafkaError, OSError) as error:
            raise TransientError(f"the Kafka brokers went away: {described(error)}") from error
    finally:
        await closed(admin)


async def find_topics(admin: Any, names: Sequence[str]) -> list[TopicSeen]:  # aiokafka has no types
    """Of these topics (full names) those that are there."""
    found = await _partitions(admin, names)
    return _seen(found, await _configs(admin, list(found)) if found else {})


async def count_brokers(admin: Any) -> int:  # as above
    """Those that are up."""
    return len((await admin.describe_cluster())["brokers"])


async def _ensure(admin: Any, settings: KafkaSettings, names: Sequence[str]) -> Sequence[str]:  # as above
    brokers = await count_brokers(admin)
    found = await _partitions(admin, names)
    missing = [name for name in names if name not in found]
    if missing:
        await _make(admin, settings, missing, brokers)
        while len(found) < len(names):
            await asyncio.sleep(_PAUSE_SECONDS)  # brokers learn of new topics one after another
            found |= await _partitions(admin, missing, led=True)
    configs = await _configs(admin, names)
    while len(configs) < len(names):
        await asyncio.sleep(_PAUSE_SECONDS)  # another process has made them just now, and this broker has not heard yet
        configs = await _configs(admin, names)
    topics = _seen(found, configs)
    for seen in topics:
        if flaw := topic_flaw(settings, seen):
            raise PermanentError(flaw)
    for seen in topics:
        for weakness in topic_weaknesses(settings, seen, brokers):
            _log.warning("%s", weakness)
    return missing


def _seen(found: Mapping[str, Sequence[int]], configs: Mapping[str, Mapping[str, str]]) -> list[TopicSeen]:
    return [
        TopicSeen(name=name, partitions=len(copies), replicas=min(copies), configs=configs[name])
        for name, copies in found.items()
    ]


async def _make(admin: Any, settings: KafkaSettings, names: Sequence[str], brokers: int) -> None:  # as above
    replicas = replicas_wanted(settings, brokers)
    insync = insync_wanted(settings, replicas)
    if insync > replicas:
        raise PermanentError(
            f"UPSHOT_KAFKA_MIN_INSYNC_REPLICAS={insync} can never be met by {replicas} copies: nothing could be appended"
        )
    configs = {
        "cleanup.policy": "delete",
        "retention.ms": "-1",
        "retention.bytes": "-1",
        "message.timestamp.type": "LogAppendTime",
        "min.insync.replicas": str(insync),
        "max.message.bytes": str(settings.topic_bytes_max),
        "compression.type": "gzip" if settings.compression == "gzip" else "uncompressed",
    }
    response = await admin.create_topics(
        [NewTopic(name, settings.partition_count, replicas, topic_configs=configs) for name in names]
    )
    for name, code, message in response.topic_errors:
        if code in (0, _ALREADY_THERE):  # another process makes them at the same time
            continue
        error = kafka_errors.for_code(code)
        if error.retriable:
            raise TransientError(f"the topic {name} cannot be made just now: {message or error.__name__}")
        if error is kafka_errors.TopicAuthorizationFailedError:
            raise PermanentError(f"this user may not make the topic {name}: grant Create on it, or make it beforehand")
        if error is kafka_errors.InvalidReplicationFactorError:
            raise PermanentError(
                f"{replicas} copies of the topic {name} need as many brokers, and there are {brokers}: "
                "lower UPSHOT_KAFKA_REPLICATION_FACTOR or add brokers"
            )
        raise PermanentError(f"the topic {name} cannot be made: {message or error.__name__}")


async def _partitions(admin: Any, names: Sequence[str], *, led: bool = False) -> dict[str, list[int]]:  # as above
    """How many copies each partition has."""
    described_topics = await admin.describe_topics(list(names))
    found: dict[str, list[int]] = {}
    for topic in described_topics:
        error = kafka_errors.for_code(topic["error_code"])
        if error is kafka_errors.NoError:
            if not led or all(partition["leader"] >= 0 for partition in topic["partitions"]):
                found[topic["topic"]] = [len(partition["replicas"]) for partition in topic["partitions"]]
        elif error is kafka_errors.TopicAuthorizationFailedError:
            raise PermanentError(f"this user may not see the topic {topic['topic']}: grant Describe on it")
    return found


async def _configs(admin: Any, names: Sequence[str]) -> dict[str, dict[str, str]]:  # as above
    """Of those that the broker that was asked knows."""
    wanted = [ConfigResource(ConfigResourceType.TOPIC, name, dict.fromkeys(CONFIG_NAMES)) for name in names]
    found: dict[str, dict[str, str]] = {}
    for response in await admin.describe_configs(wanted):
        for code, message, _, name, entries in response.resources:
            error = kafka_errors.for_code(code)
            if error is kafka_errors.TopicAuthorizationFailedError:
                raise PermanentError(f"this user may not read the settings of the topic {name}: grant DescribeConfigs")
            if error is kafka_errors.UnknownTopicOrPartitionError:
                continue
            if error is not kafka_errors.NoError:
                raise TransientError(f"the settings of the topic {name} cannot be read: {message or error.__name__}")
            found[name] = {entry[0]: entry[1] for entry in entries}
    return found
