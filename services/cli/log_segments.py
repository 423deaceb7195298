"""`upshot log segments|export|detach|attach`: the PostgreSQL log's closed segments, beside a running platform or without one.

Next: `shared/bus/adapters/postgres/archiving.py`.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson
from rich.console import Console
from rich.table import Table

from services.foundation import Foundation, installed
from shared.bus.adapters.postgres import BusSettings
from shared.bus.adapters.postgres.archiving import alone, attach_segment, detach_segment, export_segment
from shared.bus.adapters.postgres.segments import Segment, find_segment, list_segments
from shared.domain.errors import PermanentError
from shared.readmodel.connect import OWNER, Connection, connect
from shared.readmodel.generations import PROJECTED
from shared.runtime.settings import UpshotSettings, read_settings_of

MEGABYTE = 1024 * 1024


async def show_segments(settings: UpshotSettings, *, in_json: bool) -> None:
    """One row a segment."""
    async with _owner(settings) as it:
        found = await list_segments(it.connection)
    if in_json:
        for each in found:
            print(orjson.dumps(_as_json(each)).decode())
        return
    table = Table("segment", "offsets", "records", "in the database", "in files", "closed by", "state")
    for each in found:
        table.add_row(
            each.name,
            f"{each.first} to {each.end - 1}",
            f"{each.records}",
            "-" if each.table_bytes is None else f"{each.table_bytes / MEGABYTE:.1f} MB",
            f"{each.file_bytes / MEGABYTE:.1f} MB" if each.archived else "-",
            f"{len(each.closed)} of {len(each.heads)}",
            each.state,
        )
    Console().print(table)


async def export(settings: UpshotSettings, names: Sequence[str], folder: Path) -> None:
    """Each segment to a folder of its own below `folder`."""
    target = await asyncio.to_thread(folder.resolve)
    async with _owner(settings) as it, alone(it.connection):
        for segment in await _named(it.connection, names):
            print(await export_segment(it.connection, segment, target, _say))


async def detach(settings: UpshotSettings, names: Sequence[str]) -> None:
    """Each segment; what readers and the read model still need is refused."""
    async with _owner(settings) as it, alone(it.connection):
        for segment in await _named(it.connection, names):
            needed = await it.ground.readmodel.next_offsets(segment.topic) if segment.topic in PROJECTED else {}
            await detach_segment(it.connection, segment, needed, read_settings_of(BusSettings).archive_dir, _say)


async def attach(settings: UpshotSettings, names: Sequence[str]) -> None:
    """Each segment."""
    async with _owner(settings) as it, alone(it.connection):
        for segment in await _named(it.connection, names):
            await attach_segment(it.connection, segment, read_settings_of(BusSettings).archive_dir, _say)


@dataclass(frozen=True, slots=True)
class _Owner:
    ground: Foundation
    connection: Connection


@contextlib.asynccontextmanager
async def _owner(settings: UpshotSettings) -> AsyncIterator[_Owner]:
    if settings.bus != "postgres":
        raise PermanentError("the log is on Kafka; only one in PostgreSQL has segments of ours (UPSHOT_BUS=postgres)")
    async with installed(settings) as ground:
        connection = await connect(ground.role(OWNER), application="upshot-log-segments")
        try:
            yield _Owner(ground, connection)
        finally:
            await connection.close()


async def _named(connection: Connection, names: Sequence[str]) -> list[Segment]:
    """All of them, before anything is done to the first."""
    return [await find_segment(connection, name) for name in names]


def _as_json(segment: Segment) -> dict[str, object]:
    return {
        "segment": segment.name,
        "state": segment.state,
        "first_offset": segment.first,
        "end_offset": segment.end,
        "records": segment.records,
        "table_bytes": segment.table_bytes,
        "file_bytes": segment.file_bytes,
        "partitions": len(segment.heads),
        "closed": sorted(segment.closed),
        "exported": sorted(segment.archived),
        "detached": sorted(segment.detached),
    }


def _say(line: str) -> None:
    print(line, flush=True)
