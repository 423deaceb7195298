"""The part of `upshot doctor` that looks at the log on Kafka: topics, who may write them, groups, partitions that stand still.

It reads, and makes nothing: a topic that is missing is told of. Next: `access_findings.py`.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Literal

from services.cli.access_findings import access_findings
from services.cli.findings import Finding, lag_finding, write_level_findings
from shared.bus import codec, facts
from shared.bus.adapters.kafka import KafkaBus, KafkaSettings
from shared.bus.adapters.kafka.access import read_access
from shared.bus.adapters.kafka.examining import Examined, GroupSeen, examine_log
from shared.bus.codec import UndecodableRecord
from shared.bus.port import Bus, Record, Watermarks
from shared.bus.record_versions import RECORD_VERSIONS
from shared.bus.topics import DEFINITIONS, RUNS, TOPICS
from shared.bus.write_level import reads_level
from shared.domain.clock import Clock
from shared.domain.errors import PermanentError, TransientError

READ_SECONDS = 5.0

Checkpoints = Mapping[str, Mapping[int, int]]
"""By topic and partition, the next offset that the read model takes."""


async def kafka_findings(
    settings: KafkaSettings, clock: Clock, checkpoints: Checkpoints, write_level: int
) -> AsyncIterator[Finding]:
    """One after another, as they are found."""
    try:
        examined = await examine_log(settings, clock)
        yield Finding(level="ok", what=f"Kafka answers at {settings.bootstrap_servers}")
        for finding in _topic_findings(examined, settings.topic_prefix):
            yield finding
        for finding in access_findings(
            await read_access(settings, clock), settings.own_principals, settings.topic_prefix
        ):
            yield finding
        if examined.missing:
            return
        bus = KafkaBus(settings, clock, TOPICS)
        try:
            marks = {topic: await bus.watermarks(topic) for topic in TOPICS}
            for topic, each in marks.items():
                yield _size_finding(topic, each)
            for group in examined.groups:
                yield await _group_finding(bus, group, marks[group.topic])
            alive = {member: reads_level(member) for group in examined.groups for member in group.members}
            for finding in write_level_findings(write_level, RECORD_VERSIONS.newest_level, alive):
                yield finding
            for topic, stand in sorted(checkpoints.items()):
                behind = sum(each.high - stand.get(partition, 0) for partition, each in marks[topic].items())
                yield lag_finding("the read model", topic, behind)
            for topic in (DEFINITIONS, RUNS):
                async for finding in _halted(bus, topic, checkpoints.get(topic, {}), marks[topic]):
                    yield finding
        finally:
            await bus.close()
    except (TransientError, PermanentError) as error:
        mend = "check UPSHOT_KAFKA_BOOTSTRAP_SERVERS, and that the brokers run"
        yield Finding(level="fail", what=f"Kafka cannot be examined: {error}", mend=mend)


def _topic_findings(examined: Examined, prefix: str) -> list[Finding]:
    found = [
        Finding(level="fail", what=f"there is no topic {prefix}{topic}", mend="starting any service makes it")
        for topic in examined.missing
    ]
    found += [_told("fail", flaw) for flaw in examined.flaws]
    found = found or [Finding(level="ok", what="topics keep everything, in order, with the brokers' clock")]
    return [*found, *(_told("warn", weakness) for weakness in examined.weaknesses)]


def _told(level: Literal["warn", "fail"], sentence: str) -> Finding:
    what, _, mend = sentence.partition(": ")
    return Finding(level=level, what=what, mend=mend)


def _size_finding(topic: str, marks: Mapping[int, Watermarks]) -> Finding:
    records = sum(each.high - each.low for each in marks.values())
    what = f"{topic}: {records} records in {len(marks)} partitions"
    lost = [str(partition) for partition, each in sorted(marks.items()) if each.low]
    if lost:
        mend = "read models can be rebuilt from a backup only; see who may delete records, and set retention.ms=-1"
        return Finding(level="fail", what=f"{what}; the beginning of {', '.join(lost)} was deleted", mend=mend)
    return Finding(level="ok", what=what)


async def _group_finding(bus: Bus, group: GroupSeen, marks: Mapping[int, Watermarks]) -> Finding:
    committed = await bus.committed(group.name, group.topic)
    lag = sum(each.high - committed.get(partition, 0) for partition, each in marks.items()) if committed else None
    return lag_finding(f"group {group.name}", group.topic, lag, members=len(group.members))


async def _halted(
    bus: Bus, topic: str, stand: Mapping[int, int], marks: Mapping[int, Watermarks]
) -> AsyncIterator[Finding]:
    """Partitions whose next record this version cannot understand either."""
    behind = {partition: at for partition, at in stand.items() if at < marks[partition].high}
    reader = bus.reader(topic)
    try:
        for partition, at in sorted(behind.items()):
            reader.assign({partition: at})
            records = (await reader.poll(timeout_seconds=READ_SECONDS, records_max=1)).get(partition, ())
            if records and (reason := _why_not(topic, records[0])):
                what = f"{topic}/{partition} stands still at offset {records[0].offset}: {reason}"
                mend = "run the version of Upshot that wrote it, in every process"
                yield Finding(level="fail", what=what, mend=mend)
    finally:
        await reader.close()


def _why_not(topic: str, record: Record) -> str | None:
    try:
        event = codec.decode(record)
        _ = facts.runs_fact(event) if topic == RUNS else facts.definitions_fact(event)
    except UndecodableRecord as error:
        return str(error)
    return None
