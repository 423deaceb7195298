"""Moving to another log: `upshot log copy` opens both, refuses beside live writers, copies, and moves the read model.

Next: `shared/bus/copying.py` copies records, `services/projector/service/moving.py` folds and compares.
"""

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

from services.foundation import Foundation, install_postgres_log
from services.matcher.service.matcher import GROUP as MATCHER_GROUP
from services.projector.service.moving import MoveReport, OnFolded, move_read_model
from shared.bus.adapters.kafka import KafkaBus, KafkaSettings
from shared.bus.adapters.kafka.examining import cluster_id, taken_bytes_max
from shared.bus.adapters.kafka.members import live_members
from shared.bus.adapters.postgres import BusSettings, PostgresBus
from shared.bus.copied import COPYING_BYTES_MAX
from shared.bus.copying import CopyProgress, LogCopy, OnProgress
from shared.bus.port import Bus
from shared.bus.seal import Seal, SealedBus, seal_key
from shared.bus.topics import EVENTS, TOPICS
from shared.domain.errors import Flaw, InvalidInput, PermanentError
from shared.readmodel.bootstrap import bootstrap
from shared.readmodel.connect import SERVICE, Connection, ConnectParameters, as_role, connect
from shared.readmodel.keystore import copy_keys
from shared.readmodel.store import ReadModel
from shared.runtime.settings import read_settings_of

_LogSettings = TypeVar("_LogSettings", KafkaSettings, BusSettings)

MEMBER_SILENT_SECONDS = 15.0
"""On PostgreSQL; Kafka's brokers end a member themselves."""

_MEMBERS = """
SELECT DISTINCT member FROM log.group_members WHERE seen_at > clock_timestamp() - make_interval(secs => $1) ORDER BY 1
"""
_IDENTITY = """
SELECT system_identifier::text || '-' || (SELECT oid FROM pg_database WHERE datname = current_database())::text
FROM pg_control_system()
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A log that is copied to, and the read model that goes with it."""

    bus: Bus
    readmodel: ReadModel
    settings: str
    """What the platform is to be started with, to go on there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyReport:
    """What was done, topic by topic, and what came of the read model."""

    topics: tuple[CopyProgress, ...]
    offsets: Mapping[int, int]
    """What the matcher's group was told, by partition."""
    moved: MoveReport
    settings: str


async def copy_log(
    ground: Foundation,
    to: str,
    partition_count: int | None,
    *,
    force: bool,
    on_progress: OnProgress,
    on_folded: OnFolded,
    say: Callable[[str], None],
) -> CopyReport:
    """From the log of `ground` to the one at address `to` (`kafka`, `kafka://SERVERS/PREFIX`, `postgresql://…`).

    Raises InvalidInput for an address, PermanentError beside live members of groups (unless `force`), where the target
    is in use, and where the source has grown meanwhile.
    """
    members = await _live_members(ground)
    if members and not force:
        raise PermanentError(
            f"{len(members)} members of the log's groups are alive: {', '.join(members[:5])}. Stop every process of the "
            "platform, and upstream services that append by themselves; a process that was killed counts for "
            f"{_silent_seconds(ground):g} s more. --force copies all the same."
        )
    async with open_target(ground, to, partition_count) as target:
        before = await _ends(ground.bus)
        copy = LogCopy(ground.bus, target.bus, await source_id(ground), on_progress)
        topics = tuple([await copy.copy(topic) for topic in TOPICS])
        if await _ends(ground.bus) != before:
            raise PermanentError(
                "the log has grown while it was copied: stop who writes it, and copy again; it goes on"
            )
        offsets = await copy.commit_group(MATCHER_GROUP, EVENTS)
        say("folding the copy, to compare it with the log that it was made of")
        moved = await move_read_model(
            ground.bus, ground.readmodel, target.bus, target.readmodel, ground.clock, on_folded
        )
        return CopyReport(topics=topics, offsets=offsets, moved=moved, settings=target.settings)


@contextlib.asynccontextmanager
async def open_target(ground: Foundation, to: str, partition_count: int | None) -> AsyncIterator[Target]:
    """The log at an address, made where there is none, with room for whatever `ground`'s holds. Raises InvalidInput."""
    scheme = urlsplit(to).scheme or to
    counted = {"partition_count": partition_count} if partition_count is not None else {}
    async with contextlib.AsyncExitStack() as stack:
        if scheme == "kafka":
            settings = _kafka_settings(to, counted)
            roomy = with_room(settings, await _record_bytes_max(ground))
            bus = SealedBus(await KafkaBus.open(roomy, ground.clock), Seal(seal_key(ground.master_key)))
            stack.push_async_callback(bus.close)
            yield Target(bus=bus, readmodel=ground.readmodel, settings=_told(settings))
        elif scheme in ("postgres", "postgresql") and "://" in to:
            if ground.settings.bus == "kafka":
                detail = "a log that others append to as well cannot go back to PostgreSQL: it would be taken for Upshot's own"
                raise InvalidInput("not a target", [Flaw(pointer="--to", detail=detail)])
            postgres = BusSettings.model_validate({**read_settings_of(BusSettings).model_dump(), **counted})
            service = as_role(ConnectParameters(url=to), ground.master_key, SERVICE)
            await bootstrap(
                ConnectParameters(url=to),
                ground.master_key,
                install=[lambda connection: install_postgres_log(connection, postgres)],
            )
            await _copy_keystore(ground, service)
            readmodel = await ReadModel.open(service)
            stack.push_async_callback(readmodel.close)
            roomy_log = with_room(postgres, await _record_bytes_max(ground))
            log = await PostgresBus.open(lambda: connect(service, application="upshot-log"), roomy_log, ground.clock)
            stack.push_async_callback(log.close)
            told = f"UPSHOT_DATABASE_URL=… UPSHOT_MASTER_KEY=… UPSHOT_BUS_PARTITION_COUNT={postgres.partition_count}"
            yield Target(bus=log, readmodel=readmodel, settings=told)
        else:
            detail = f"{to!r}: write kafka, kafka://HOST:PORT[,HOST:PORT]/PREFIX or postgresql://…"
            raise InvalidInput("not a target", [Flaw(pointer="--to", detail=detail)])


def _kafka_settings(to: str, counted: Mapping[str, int]) -> KafkaSettings:
    """What `UPSHOT_KAFKA_…` say, but for what the address says."""
    parts = urlsplit(to)
    told: dict[str, object] = {**counted}
    if parts.netloc:
        told["bootstrap_servers"] = parts.netloc
    if parts.scheme:
        told["topic_prefix"] = parts.path.removeprefix("/")
    try:
        return KafkaSettings.model_validate({**read_settings_of(KafkaSettings).model_dump(), **told})
    except ValueError as error:
        raise InvalidInput("not a target", [Flaw(pointer="--to", detail=f"{to!r}: {error}")]) from None


def with_room(settings: _LogSettings, record_bytes_max: int) -> _LogSettings:
    """For a log that takes the copy of any record of so many bytes."""
    needed = max(settings.record_bytes_max, record_bytes_max + COPYING_BYTES_MAX)
    return settings.model_copy(update={"record_bytes_max": needed})


def _told(settings: KafkaSettings) -> str:
    said = f"UPSHOT_BUS=kafka UPSHOT_KAFKA_BOOTSTRAP_SERVERS={settings.bootstrap_servers}"
    prefix = f" UPSHOT_KAFKA_TOPIC_PREFIX={settings.topic_prefix}" if settings.topic_prefix else ""
    return f"{said}{prefix} UPSHOT_KAFKA_PARTITION_COUNT={settings.partition_count}"


async def _live_members(ground: Foundation) -> list[str]:
    if ground.settings.bus == "kafka":
        return await live_members(read_settings_of(KafkaSettings), ground.clock, TOPICS)
    connection = await connect(ground.role(SERVICE), application="upshot-log-copy")
    try:
        return [row["member"] for row in await connection.fetch(_MEMBERS, MEMBER_SILENT_SECONDS)]
    finally:
        await connection.close()


def _silent_seconds(ground: Foundation) -> float:
    """So long a member that is no more counts as alive."""
    return (
        read_settings_of(KafkaSettings).session_timeout_seconds
        if ground.settings.bus == "kafka"
        else MEMBER_SILENT_SECONDS
    )


async def _record_bytes_max(ground: Foundation) -> int:
    """Of what the log holds. Where others write, too, it is their topics that say so."""
    return (
        await taken_bytes_max(read_settings_of(KafkaSettings))
        if ground.settings.bus == "kafka"
        else ground.bus.record_bytes_max
    )


async def source_id(ground: Foundation) -> str:
    """What tells the log of `ground` from all others, in records that are copied from it."""
    if ground.settings.bus == "kafka":
        settings = read_settings_of(KafkaSettings)
        return ":".join(filter(None, ("kafka", await cluster_id(settings), settings.topic_prefix)))
    connection: Connection = await connect(ground.admin, application="upshot-log-copy")
    try:
        return f"postgres-{await connection.fetchval(_IDENTITY)}"
    finally:
        await connection.close()


async def _copy_keystore(ground: Foundation, service: ConnectParameters) -> None:
    source = await connect(ground.role(SERVICE), application="upshot-log-copy")
    try:
        target = await connect(service, application="upshot-log-copy")
        try:
            await copy_keys(source, target)
        finally:
            await target.close()
    finally:
        await source.close()


async def _ends(bus: Bus) -> dict[str, dict[int, int]]:
    return {
        topic: {partition: marks.high for partition, marks in (await bus.watermarks(topic)).items()} for topic in TOPICS
    }
