"""What a topic must be to hold a log of record, and what makes it hold one less safely than the cluster could. Pure.

A flaw keeps Upshot from using a topic: later it would have lost something. A weakness is told of at every start and by
`upshot doctor`. Next: `topics.py`, which makes and reads topics.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from shared.bus.adapters.kafka.settings import KafkaSettings

CONFIG_NAMES = (
    "cleanup.policy",
    "retention.ms",
    "retention.bytes",
    "message.timestamp.type",
    "max.message.bytes",
    "min.insync.replicas",
    "compression.type",
    "unclean.leader.election.enable",
)
_READABLE = ("uncompressed", "gzip")
"""What every reader can unpack. By default a topic keeps what a producer chose, and an upstream's may choose anything."""
_REPLICAS_WANTED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicSeen:
    """A topic as brokers tell of it, by its full name. `replicas`: copies of the partition that has the fewest; `configs`:
    those of `CONFIG_NAMES`."""

    name: str
    partitions: int
    replicas: int
    configs: Mapping[str, str]


def replicas_wanted(settings: KafkaSettings, brokers: int) -> int:
    """Copies of each partition on a cluster of so many brokers."""
    return settings.replication_factor or min(_REPLICAS_WANTED, brokers)


def insync_wanted(settings: KafkaSettings, replicas: int) -> int:
    """Of so many copies those that must have a record before an append returns."""
    return settings.min_insync_replicas or max(1, replicas - 1)


def topic_flaw(settings: KafkaSettings, seen: TopicSeen) -> str | None:
    """What keeps a topic from holding the log, and how to mend it; None for a good one."""
    name, configs = seen.name, seen.configs
    if seen.partitions != settings.partition_count:
        return (
            f"the topic {name} has {seen.partitions} partitions, not {settings.partition_count}: the number never changes and is "
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


def topic_weaknesses(settings: KafkaSettings, seen: TopicSeen, brokers: int) -> list[str]:
    """What makes a topic without flaws lose records sooner than a cluster of so many brokers must, and how to mend each."""
    found = []
    copies, insync = replicas_wanted(settings, brokers), insync_wanted(settings, seen.replicas)
    if seen.replicas < copies:
        found.append(
            f"the topic {seen.name} has partitions with {seen.replicas} of {copies} copies: add some with "
            f"`kafka-reassign-partitions`, then set min.insync.replicas={insync_wanted(settings, copies)}"
        )
    if (acknowledging := int(seen.configs["min.insync.replicas"])) < insync:
        what = f"acknowledges what {acknowledging} of {seen.replicas} copies have"
        found.append(_flaw(seen.name, what, "min.insync.replicas", str(insync)))
    if seen.configs.get("unclean.leader.election.enable") == "true":
        what = "may be led by a copy that lacks acknowledged records"
        found.append(_flaw(seen.name, what, "unclean.leader.election.enable", "false"))
    return found


def _flaw(name: str, what: str, config: str, value: str) -> str:
    return f"the topic {name} {what}: `kafka-configs --alter --topic {name} --add-config {config}={value}`"
