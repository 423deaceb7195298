"""Makes the log's topics where they are missing, and holds those that are there to what a log of record needs.

A topic that would forget (compaction, retention), lie about time (CreateTime) or take too little is refused at the start,
in one sentence that says how to mend it: later it would have lost something.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka import errors as kafka_errors
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from shared.bus.adapters.kafka.reaching import client_options, closed, described, why_not
from shared.bus.adapters.kafka.settings import KafkaSettings
from shared.domain.errors import PermanentError, TransientError

_CONFIG_NAMES = (
    "cleanup.policy",
    "retention.ms",
    "retention.bytes",
    "message.timestamp.type",
    "max.message.bytes",
    "min.insync.replicas",
    "compression.type",
)
_READABLE = ("uncompressed", "gzip")
"""What every reader can unpack. By default a topic keeps what a producer chose, and an upstream's may choose anything."""
_ALREADY_THERE = 36
_PAUSE_SECONDS = 0.02
_REPLICAS_WANTED = 3


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


async def find_topics(
    admin: Any, names: Sequence[str]
) -> dict[str, tuple[int, dict[str, str]]]:  # aiokafka has no types
    """Of these topics (full names) those that are there: how many partitions, and the settings that `topic_flaw` judges."""
    found = await _partitions(admin, names)
    configs = await _configs(admin, list(found)) if found else {}
    return {name: (count, configs[name]) for name, count in found.items()}


async def _ensure(admin: Any, settings: KafkaSettings, names: Sequence[str]) -> Sequence[str]:  # aiokafka has no types
    found = await _partitions(admin, names)
    missing = [name for name in names if name not in found]
    if missing:
        await _make(admin, settings, missing)
        while len(found) < len(names):
            await asyncio.sleep(_PAUSE_SECONDS)  # brokers learn of new topics one after another
            found |= await _partitions(admin, missing, led=True)
    configs = await _configs(admin, names)
    while len(configs) < len(names):
        await asyncio.sleep(_PAUSE_SECONDS)  # another process has made them just now, and this broker has not heard yet
        configs = await _configs(admin, names)
    for name in names:
        if flaw := topic_flaw(settings, name, found[name], configs[name]):
            raise PermanentError(flaw)
    return missing


async def _make(admin: Any, settings: KafkaSettings, names: Sequence[str]) -> None:  # as above
    brokers = len((await admin.describe_cluster())["brokers"])
    replicas = settings.replication_factor or min(_REPLICAS_WANTED, brokers)
    insync = settings.min_insync_replicas or max(1, replicas - 1)
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


async def _partitions(admin: Any, names: Sequence[str], *, led: bool = False) -> dict[str, int]:  # as above
    described_topics = await admin.describe_topics(list(names))
    found: dict[str, int] = {}
    for topic in described_topics:
        error = kafka_errors.for_code(topic["error_code"])
        if error is kafka_errors.NoError:
            if not led or all(partition["leader"] >= 0 for partition in topic["partitions"]):
                found[topic["topic"]] = len(topic["partitions"])
        elif error is kafka_errors.TopicAuthorizationFailedError:
            raise PermanentError(f"this user may not see the topic {topic['topic']}: grant Describe on it")
    return found


async def _configs(admin: Any, names: Sequence[str]) -> dict[str, dict[str, str]]:  # as above
    """Of those that the broker that was asked knows."""
    wanted = [ConfigResource(ConfigResourceType.TOPIC, name, dict.fromkeys(_CONFIG_NAMES)) for name in names]
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


def topic_flaw(settings: KafkaSettings, name: str, partitions: int, configs: Mapping[str, str]) -> str | None:
    """What keeps a topic from holding the log, and how to mend it; None for a good one."""
    if partitions != settings.partition_count:
        return (
            f"the topic {name} has {partitions} partitions, not {settings.partition_count}: the number never changes and is "
            "one for all topics of a log; set UPSHOT_KAFKA_PARTITION_COUNT to it, or another UPSHOT_KAFKA_TOPIC_PREFIX"
        )
    if "compact" in configs["cleanup.policy"]:
        return _flaw(name, "is compacted, which deletes history", "cleanup.policy", "delete")
    for config in ("retention.ms", "retention.bytes"):
        if int(configs[config]) >= 0:
            return _flaw(name, f"forgets ({config}={configs[config]}), and is the log of record", config, "-1")
    if configs["message.timestamp.type"] != "LogAppendTime":
        return _flaw(name, "keeps writers' clocks, not its own", "message.timestamp.type", "LogAppendTime")
    if int(configs["max.message.bytes"]) < settings.topic_bytes_max:
        return _flaw(
            name,
            f"takes {configs['max.message.bytes']} bytes at once, less than UPSHOT_KAFKA_RECORD_BYTES_MAX and "
            "UPSHOT_KAFKA_BATCH_BYTES_MAX need",
            "max.message.bytes",
            str(settings.topic_bytes_max),
        )
    if configs["compression.type"] not in _READABLE:
        what = f"keeps batches compressed in ways that readers may not know (compression.type={configs['compression.type']})"
        return _flaw(name, what, "compression.type", "uncompressed")
    if int(configs["min.insync.replicas"]) < settings.min_insync_replicas:
        return _flaw(
            name,
            f"acknowledges with {configs['min.insync.replicas']} copies, less than UPSHOT_KAFKA_MIN_INSYNC_REPLICAS",
            "min.insync.replicas",
            str(settings.min_insync_replicas),
        )
    return None


def _flaw(name: str, what: str, config: str, value: str) -> str:
    return f"the topic {name} {what}: `kafka-configs --alter --topic {name} --add-config {config}={value}`"
