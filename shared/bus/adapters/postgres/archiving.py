"""Exporting closed segments to files, detaching them from the log's tables, and attaching them again. As the log's owner.

Guarantees: what is detached was exported whole, read back from the disk and compared; the switch is one short transaction,
so that a kill at any moment leaves either all or nothing of it; no append or read waits longer than
`_LOCK_MILLISECONDS` for it and its few copied records, and none sees a record missing or twice.
Next: `archive.py`, how readers find what is detached.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path

import asyncpg

from shared.bus.adapters.postgres.archive import Archived
from shared.bus.adapters.postgres.link import Connection
from shared.bus.adapters.postgres.segment_file import (
    BrokenSegmentFile,
    SegmentFile,
    SegmentWriter,
    StoredRecord,
    contents_of,
    sha256_of,
)
from shared.bus.adapters.postgres.segments import ArchivedFile, Segment, find_segment
from shared.domain.errors import PermanentError, TransientError

REST_RECORDS_MAX = 10_000
"""Records of partitions that have not closed a segment: with more, it is too early to detach it. They are copied while
appends wait, a few hundredths of a second."""
MANIFEST = "manifest.json"
_READ_RECORDS = 5_000  # by one statement, which never lasts long
_LOCK_MILLISECONDS = 200
_LOCK_TRIES = 50
_LOCK_PAUSE_SECONDS = 0.2

# A group that never commits on a topic goes by the read model's checkpoints.
_COMMITTED = """
select partition, min(coalesce(committed, 0)) as committed from log.group_shares as share
where topic = $1 and exists (
    select from log.group_shares as any_share
    where any_share.name = share.name and any_share.topic = $1 and any_share.committed is not null)
group by partition
"""
_READ = """
select "offset", recorded_at, key, headers, value from log."{table}"
where partition = $1 and "offset" >= $2 and "offset" < $3 order by "offset"
"""
_NOTE = """
insert into log.archived (topic, segment, partition, folder, file, records, bytes, sha256)
values ($1, $2, $3, $4, $5, $6, $7, $8)
on conflict (topic, segment, partition) do update set folder = excluded.folder, file = excluded.file,
    records = excluded.records, bytes = excluded.bytes, sha256 = excluded.sha256
where not log.archived.detached
"""
_INSERT = """
insert into log."{table}" (partition, "offset", recorded_at, key, headers, value)
select $1::int, r.* from unnest($2::bigint[], $3::timestamptz[], $4::bytea[], $5::bytea[], $6::bytea[])
    as r ("offset", recorded_at, key, headers, value)
on conflict do nothing
"""
_MAKE = """
create table log."{table}" (like log."{topic}" including defaults including constraints,
    check ("offset" >= {first} and "offset" < {end}))
"""
_ATTACH = """alter table log."{topic}" attach partition log."{table}" for values from ({first}) to ({end})"""
_LOCK = "select pg_try_advisory_lock(hashtextextended('upshot.log.archive', 0))"
_UNLOCK = "select pg_advisory_unlock(hashtextextended('upshot.log.archive', 0))"

Say = Callable[[str], None]


@asynccontextmanager
async def alone(connection: Connection) -> AsyncIterator[None]:
    """While inside, nobody else exports, detaches or attaches. Raises TransientError."""
    if not await connection.fetchval(_LOCK):
        raise TransientError("another export, detach or attach is running; only one can")
    try:
        yield
    finally:
        if not connection.is_closed():
            await connection.execute(_UNLOCK)


async def export_segment(connection: Connection, segment: Segment, folder: Path, say: Say) -> Path:
    """Write each partition that has closed it to a file, read it back and compare; the manifest's path.

    `folder` is absolute. What is exported there already and is whole stays as it is. Raises PermanentError where nothing
    is closed.
    """
    if not segment.closed:
        raise PermanentError(f"{segment.name} is open: every partition still writes there, or will")
    target = folder / segment.name
    target.mkdir(parents=True, exist_ok=True, mode=0o700)
    for partition in sorted(segment.closed - segment.detached):
        known = segment.archived.get(partition)
        if known is not None and known.folder == str(folder) and _trouble(segment, known, None) is None:
            say(f"{segment.name}/{partition}: exported already, verified")
            continue
        name = f"p{partition:04}.upshot-segment"
        found = await _export_partition(connection, segment, partition, target / name)
        note = (segment.topic, segment.number, partition, str(folder), name, found.records, found.bytes, found.sha256)
        await connection.execute(_NOTE, *note)
        say(f"{segment.name}/{partition}: {found.records} records, {found.bytes} bytes, verified")
    written = await find_segment(connection, segment.name)
    return _write_manifest(written, target)


async def detach_segment(
    connection: Connection, segment: Segment, needed_from: Mapping[int, int], moved_to: Path | None, say: Say
) -> None:
    """Read what is exported of it from its files from now on, and free its table.

    `needed_from`: by partition, from where readers still go on. Raises PermanentError with what stands against it,
    TransientError where the log is too busy to switch.
    """
    going = {partition: each for partition, each in segment.archived.items() if not each.detached}
    if not going:
        state = "detached already" if segment.detached else "not exported: run `upshot log export` first"
        raise PermanentError(f"{segment.name} is {state}")
    for partition, needed in sorted((await _needed_from(connection, segment.topic, needed_from)).items()):
        if partition in going and needed < segment.end:
            raise PermanentError(
                f"{segment.name} is still needed: somebody goes on from offset {needed} of partition {partition}. "
                "Start the platform until `upshot doctor` shows no lag, then try again."
            )
    rest = segment.records_of(segment.heads.keys() - segment.detached - going.keys())
    if rest > REST_RECORDS_MAX:
        raise PermanentError(
            f"{segment.name} holds {rest} records of partitions that are not exported, most of them still written; with at "
            f"most {REST_RECORDS_MAX} it can be detached"
        )
    for each in going.values():
        _check_file(segment, each, moved_to)
    say(f"{segment.name}: {len(going)} files verified")
    await _switch(connection, segment, segment.detached | going.keys())
    say(f"{segment.name}: {len(going)} partitions are read from files now")


async def attach_segment(connection: Connection, segment: Segment, moved_to: Path | None, say: Say) -> None:
    """Bring the records back from files into a table. Killed meanwhile, it goes on when it is called again."""
    if not segment.detached:
        raise PermanentError(f"{segment.name} is not detached")
    coming = [each for each in segment.archived.values() if each.detached]
    for each in coming:
        _check_file(segment, each, moved_to)
    if segment.table_bytes is None:
        await _make_table(connection, segment)
    insert = _INSERT.format(table=segment.name)
    for each in coming:
        with SegmentFile(_path_of(segment, each, moved_to)) as file:
            offset, batch = file.first, list[StoredRecord]()
            for record in file.records():
                batch.append(record)
                if len(batch) == _READ_RECORDS:
                    offset = await _put_back(connection, insert, each.partition, offset, batch)
            await _put_back(connection, insert, each.partition, offset, batch)
        done = "update log.archived set detached = false where topic = $1 and segment = $2 and partition = $3"
        await connection.execute(done, segment.topic, segment.number, each.partition)
        say(f"{segment.name}/{each.partition}: {each.records} records are in the log's table again")


async def _export_partition(connection: Connection, segment: Segment, partition: int, path: Path) -> ArchivedFile:
    partial = path.with_suffix(".partial")
    writer = SegmentWriter(partial, segment.first)
    query = _READ.format(table=segment.name)
    try:
        offset = segment.first
        while offset < segment.end:
            rows = await connection.fetch(query, partition, offset, min(offset + _READ_RECORDS, segment.end))
            for number, recorded_at, key, headers, value in rows:
                if number != offset:
                    raise PermanentError(f"{segment.name}/{partition} has no record at offset {offset}")
                writer.add((recorded_at, key, headers, value))
                offset += 1
            if not rows:
                raise PermanentError(f"{segment.name}/{partition} has no record at offset {offset}")
        written = writer.close()
    finally:
        writer.abandon()
    # What counts is what the disk holds, not what was handed to it.
    if sha256_of(partial) != written.sha256:
        raise PermanentError(f"{partial} does not hold what was written to it: is that disk well?")
    with SegmentFile(partial) as file:
        if contents_of(file.records()) != (written.records, written.contents):
            raise PermanentError(f"{partial} does not hold what was written to it: is that disk well?")
    partial.replace(path)
    _sync_folder(path.parent)
    return ArchivedFile(
        partition=partition,
        folder=str(path.parent.parent),
        file=path.name,
        records=written.records,
        bytes=written.bytes,
        sha256=written.sha256,
        detached=False,
    )


def _write_manifest(segment: Segment, target: Path) -> Path:
    files = [asdict(each) for _, each in sorted(segment.archived.items())]
    for each in files:
        del each["folder"], each["detached"]
    manifest = {
        "format": 1,
        "topic": segment.topic,
        "segment": segment.number,
        "first_offset": segment.first,
        "end_offset": segment.end,
        "partitions": len(segment.heads),
        "files": files,
    }
    path = target / MANIFEST
    partial = path.with_suffix(".partial")
    with partial.open("w", encoding="utf-8") as file:
        json.dump(manifest, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    _sync_folder(target)
    return path


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _path_of(segment: Segment, each: ArchivedFile, moved_to: Path | None) -> Path:
    return Archived(
        topic=segment.topic, segment=segment.number, partition=each.partition, folder=each.folder, file=each.file
    ).path(moved_to)


def _check_file(segment: Segment, each: ArchivedFile, moved_to: Path | None) -> None:
    trouble = _trouble(segment, each, moved_to)
    if trouble is not None:
        raise PermanentError(f"{_path_of(segment, each, moved_to)} {trouble}; nothing was changed")


def _trouble(segment: Segment, each: ArchivedFile, moved_to: Path | None) -> str | None:
    """What is wrong with an exported file; None: it is what was exported."""
    path = _path_of(segment, each, moved_to)
    try:
        sha256 = sha256_of(path)
        with SegmentFile(path) as file:
            bounds = (file.first, file.end)
    except (OSError, BrokenSegmentFile) as error:
        return f"cannot be used: {error}"
    if sha256 != each.sha256 or bounds != (segment.first, segment.end):
        return "is not what was exported; export it again"
    return None


async def _needed_from(connection: Connection, topic: str, checkpoints: Mapping[int, int]) -> Mapping[int, int]:
    needed = dict(checkpoints)
    for partition, committed in await connection.fetch(_COMMITTED, topic):
        needed[partition] = min(committed, needed.get(partition, committed))
    return needed


async def _switch(connection: Connection, segment: Segment, detached: frozenset[int]) -> None:
    for _ in range(_LOCK_TRIES):
        try:
            async with connection.transaction():
                await connection.execute(f"set local lock_timeout = {_LOCK_MILLISECONDS}")
                await _switch_now(connection, segment, detached)
            return
        except asyncpg.LockNotAvailableError:
            await asyncio.sleep(_LOCK_PAUSE_SECONDS)
    raise TransientError(f"{segment.name} could not be detached: the log is read and written all the time. Try again.")


async def _switch_now(connection: Connection, segment: Segment, detached: frozenset[int]) -> None:
    """Nobody reads or appends from here to the commit: whoever waits for the lock then finds the new table, or none."""
    names = {"topic": segment.topic, "table": segment.name, "first": segment.first, "end": segment.end}
    await connection.execute('lock table log."{topic}" in access exclusive mode'.format(**names))
    await connection.execute('alter table log."{topic}" detach partition log."{table}"'.format(**names))
    if len(detached) < len(segment.heads):
        await connection.execute('alter table log."{table}" rename to "{table}.old"'.format(**names))
        await connection.execute(_MAKE.format(**names))
        keep = 'insert into log."{table}" select * from log."{table}.old" where partition <> all ($1::int[])'
        await connection.execute(keep.format(**names), sorted(detached))
        await connection.execute(_ATTACH.format(**names))
        await connection.execute('drop table log."{table}.old"'.format(**names))
    else:
        await connection.execute('drop table log."{table}"'.format(**names))
    note = "update log.archived set detached = true where topic = $1 and segment = $2 and partition = any ($3::int[])"
    await connection.execute(note, segment.topic, segment.number, sorted(detached))


async def _make_table(connection: Connection, segment: Segment) -> None:
    names = {"topic": segment.topic, "table": segment.name, "first": segment.first, "end": segment.end}
    async with connection.transaction():
        await connection.execute(_MAKE.format(**names))
        await connection.execute(_ATTACH.format(**names))


async def _put_back(connection: Connection, insert: str, partition: int, offset: int, batch: list[StoredRecord]) -> int:
    columns: Sequence[Sequence[object]] = list(zip(*batch, strict=True)) if batch else [(), (), (), ()]
    await connection.execute(insert, partition, list(range(offset, offset + len(batch))), *columns)
    offset += len(batch)
    batch.clear()
    return offset
