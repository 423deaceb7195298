"""`upshot doctor`: looks at everything an installation stands on, changes nothing, and says how to mend what is not well.

Beside a running platform or without one: the embedded PostgreSQL is started for the examination where nobody has started it.
Next: `findings.py` for what counts as well.
"""

import os
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import services
import shared
from services.cli.findings import (
    MEMBER_SILENT_SECONDS,
    Finding,
    clock_finding,
    disk_finding,
    durability_findings,
    lag_finding,
    migration_finding,
    mode_finding,
    model_findings,
    packages_finding,
    postgres_finding,
    python_finding,
    roles_finding,
    topic_finding,
    write_level_findings,
)
from services.foundation import MASTER_KEY_FILE, database, master_key_of
from shared.bus.adapters.postgres import BusSettings
from shared.bus.record_versions import RECORD_VERSIONS
from shared.bus.write_level import reads_level
from shared.domain.errors import InvalidInput, UpshotError
from shared.readmodel.connect import OWNER, ROLES, SERVICE, Connection, ConnectParameters, as_role, connect
from shared.readmodel.errors import AWAY
from shared.readmodel.migrate import HEAD, installed_revision
from shared.readmodel.versions import MODEL_VERSION
from shared.runtime.clock import SystemClock, SystemRandomness
from shared.runtime.embedded_postgres import default_data_dir
from shared.runtime.secret_file import JWT_SECRET_FILE
from shared.runtime.settings import UpshotSettings, read_settings_of

SECRET_FILES = (MASTER_KEY_FILE, JWT_SECRET_FILE, "demo.json")

_ROLES = "SELECT rolname, rolsuper, rolbypassrls FROM pg_roles WHERE rolname = ANY($1::text[])"
_SETTINGS = "SELECT name, setting FROM pg_settings WHERE name = ANY($1::text[])"
_POINTER = "SELECT generation, fold_version FROM readmodel.current"
_GENERATIONS = r"SELECT substr(nspname, 4)::int AS generation FROM pg_namespace WHERE nspname ~ '^rm_\d+$'"
_TOPICS = """
SELECT topic.topic, topic.partition_count, sum(head.next)::bigint AS records,
       (SELECT count(*) FROM pg_inherits WHERE inhparent = format('log.%I', topic.topic)::regclass) AS segments
FROM log.topics AS topic JOIN log.heads AS head USING (topic)
GROUP BY topic.topic, topic.partition_count ORDER BY topic.topic
"""
_GROUPS = """
SELECT share.name, share.topic,
       CASE WHEN count(share.committed) > 0 THEN sum(head.next - coalesce(share.committed, 0))::bigint END AS lag,
       (SELECT count(*) FROM log.group_members AS member
        WHERE member.name = share.name AND member.topic = share.topic
          AND member.seen_at > clock_timestamp() - make_interval(secs => $1)) AS members
FROM log.group_shares AS share JOIN log.heads AS head USING (topic, partition)
GROUP BY share.name, share.topic ORDER BY share.name, share.topic
"""
_MEMBERS = """
SELECT DISTINCT member FROM log.group_members WHERE seen_at > clock_timestamp() - make_interval(secs => $1)
"""
_CHECKPOINTS = "SELECT topic, partition, next FROM {rm}.checkpoints"
_PROJECTED = """
SELECT head.topic, sum(head.next - coalesce(checkpoint.next, 0))::bigint AS lag
FROM log.heads AS head LEFT JOIN {rm}.checkpoints AS checkpoint USING (topic, partition)
WHERE head.topic IN (SELECT DISTINCT topic FROM {rm}.checkpoints) GROUP BY head.topic ORDER BY head.topic
"""


async def examine(settings: UpshotSettings) -> int:
    """Print each finding; 1 where one is a failure."""
    failed = False
    async for finding in _findings(settings):
        failed = failed or finding.level == "fail"
        mend = f"  -> {finding.mend}" if finding.mend else ""
        print(f"{finding.level:<5} {finding.what}{mend}", flush=True)
    return 1 if failed else 0


async def _findings(settings: UpshotSettings) -> AsyncIterator[Finding]:
    yield python_finding((sys.version_info.major, sys.version_info.minor, sys.version_info.micro))
    yield packages_finding(list(services.__path__), list(shared.__path__))
    data_dir = (settings.data_dir or default_data_dir(os.environ, os.getuid())).absolute()
    if not data_dir.is_dir():
        yield Finding(level="warn", what=f"there is no data folder {data_dir}", mend="`upshot up` makes it")
        return
    for finding in _folder_findings(data_dir):
        yield finding
    key_is_there = settings.master_key is not None or (data_dir / MASTER_KEY_FILE).exists()
    if not key_is_there:
        mend = "if this installation has run before, put its key back: nothing can be unsealed without it"
        yield Finding(level="warn", what=f"there is no {MASTER_KEY_FILE} in {data_dir}", mend=mend)
        return
    master_key = master_key_of(settings, data_dir, SystemRandomness())
    checkpoints: dict[str, dict[int, int]] = {}
    try:
        async with database(settings, data_dir) as (admin, server):
            where = "embedded" if server is not None else "at UPSHOT_DATABASE_URL"
            yield Finding(level="ok", what=f"the database is the one {where}")
            async for finding in _database_findings(admin, master_key, settings, checkpoints):
                yield finding
    except (*AWAY, UpshotError) as error:
        mend = "see postgres/ in the data folder" if settings.database_url is None else "check UPSHOT_DATABASE_URL"
        yield Finding(level="fail", what=f"the database cannot be reached: {error}", mend=mend)
    if settings.bus == "kafka":
        # Only here: a machine whose log is on PostgreSQL need not load Kafka's client.
        from services.cli.kafka_doctor import kafka_findings
        from shared.bus.adapters.kafka import KafkaSettings

        try:
            kafka = read_settings_of(KafkaSettings)
        except InvalidInput as error:
            for flaw in error.flaws:
                yield Finding(level="fail", what=f"{flaw.pointer} cannot be used", mend=flaw.detail)
            return
        async for finding in kafka_findings(kafka, SystemClock(), checkpoints, settings.write_level):
            yield finding


def _folder_findings(data_dir: Path) -> list[Finding]:
    found = []
    for path in (data_dir, *(data_dir / name for name in SECRET_FILES)):
        if path.exists():
            status = path.stat()
            found.append(mode_finding(str(path), status.st_mode, status.st_uid, os.geteuid()))
    return [*found, disk_finding(str(data_dir), shutil.disk_usage(data_dir).free)]


async def _database_findings(
    admin: ConnectParameters, master_key: bytes, settings: UpshotSettings, checkpoints: dict[str, dict[int, int]]
) -> AsyncIterator[Finding]:
    """`checkpoints` is given the read model's, by topic and partition, where the log is elsewhere."""
    connection = await connect(admin, application="upshot-doctor")
    try:
        number = int(await connection.fetchval("SELECT current_setting('server_version_num')"))
        yield postgres_finding(number, str(await connection.fetchval("SELECT current_setting('server_version')")))
        names = ["fsync", "full_page_writes", "data_checksums"]
        for finding in durability_findings(
            {row["name"]: row["setting"] for row in await connection.fetch(_SETTINGS, names)}
        ):
            yield finding
        yield await _clock(connection)
        rows = await connection.fetch(_ROLES, list(ROLES))
        roles = roles_finding(ROLES, {name: (superuser, bypasses) for name, superuser, bypasses in rows})
        yield roles
    finally:
        await connection.close()
    if roles.level == "fail":
        return
    owner = await connect(as_role(admin, master_key, OWNER), application="upshot-doctor")
    try:
        migration = migration_finding(await installed_revision(owner), HEAD)
        yield migration
    finally:
        await owner.close()
    if migration.level != "ok":
        return
    # Row-level security holds the owner too; the services' role sees every tenant.
    service = await connect(as_role(admin, master_key, SERVICE), application="upshot-doctor")
    try:
        if settings.bus == "postgres":
            for finding in await _log(service, settings.write_level):
                yield finding
        for finding in await _model(service, settings.bus, checkpoints):
            yield finding
    finally:
        await service.close()


async def _clock(connection: Connection) -> Finding:
    clock = SystemClock()
    before = clock.now()
    theirs = await connection.fetchval("SELECT clock_timestamp()")
    middle = before + (clock.now() - before) / 2
    return clock_finding((middle - theirs).total_seconds())


async def _log(service: Connection, write_level: int) -> list[Finding]:
    wanted = read_settings_of(BusSettings).partition_count
    found = [
        topic_finding(topic, partitions=partitions, wanted=wanted, records=records, segments=segments)
        for topic, partitions, records, segments in await service.fetch(_TOPICS)
    ]
    for name, topic, lag, members in await service.fetch(_GROUPS, MEMBER_SILENT_SECONDS):
        found.append(lag_finding(f"group {name}", topic, lag, members=members))
    alive = {row["member"]: reads_level(row["member"]) for row in await service.fetch(_MEMBERS, MEMBER_SILENT_SECONDS)}
    return [*found, *write_level_findings(write_level, RECORD_VERSIONS.newest_level, alive)]


async def _model(service: Connection, bus: str, checkpoints: dict[str, dict[int, int]]) -> list[Finding]:
    pointer = await service.fetchrow(_POINTER)
    if pointer is None:
        return [Finding(level="fail", what="there is no read model", mend="run: upshot migrate")]
    generation, version = pointer
    others = [row["generation"] for row in await service.fetch(_GENERATIONS) if row["generation"] != generation]
    found = model_findings(generation, version, MODEL_VERSION, sorted(others))
    rm = f"rm_{int(generation)}"
    if bus == "postgres":
        for topic, lag in await service.fetch(_PROJECTED.format(rm=rm)):
            found.append(lag_finding("the read model", topic, lag))
        return found
    for topic, partition, next_offset in await service.fetch(_CHECKPOINTS.format(rm=rm)):
        checkpoints.setdefault(topic, {})[partition] = next_offset
    return found
