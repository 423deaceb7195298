"""Detached segments of the log, read from the files that they were exported to, as if they still were in their tables.

What is detached stands in `log.archived`; this process learns of it when its query finds a hole, and reads files from then
on, in a thread. A file that is missing or damaged keeps back its own partition only, by an error that names it.
Next: `segments.py` exports and detaches, `segment_file.py` is the format.
"""

import asyncio
import logging
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from shared.bus.adapters.postgres.header_bytes import unpack_headers
from shared.bus.adapters.postgres.link import Connection
from shared.bus.adapters.postgres.segment_file import BrokenSegmentFile, SegmentFile, StoredRecord
from shared.bus.port import PartitionUnreadable, Record

_log = logging.getLogger(__name__)

ARCHIVED = "SELECT topic, segment, partition, folder, file FROM log.archived WHERE detached"
_OPEN_FILES_MAX = 64
"""Each keeps one decompressed block: about a megabyte."""
RETRY_SECONDS = 0.25

Place = tuple[str, int]
"""(topic, segment)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Archived:
    """Where the records of one partition of a segment are."""

    topic: str
    segment: int
    partition: int
    folder: str
    file: str

    def path(self, moved_to: Path | None) -> Path:
        """`moved_to`: the folder of all exported segments, where it is not the one they were exported to."""
        return (moved_to or Path(self.folder)) / f"{self.topic}.{self.segment}" / self.file


async def fetch_archived(connection: Connection) -> Sequence[Archived]:
    """All that is detached."""
    rows = await connection.fetch(ARCHIVED)
    return [Archived(topic=t, segment=s, partition=p, folder=folder, file=file) for t, s, p, folder, file in rows]


class Archive:
    """What this process knows to be detached, and the files that it has open."""

    def __init__(self, moved_to: Path | None) -> None:
        self._moved_to = moved_to
        self._detached: dict[Place, dict[int, Archived]] = {}
        self._open: OrderedDict[Path, SegmentFile] = OrderedDict()
        self._told: set[str] = set()
        self._lock = asyncio.Lock()
        self._reading = threading.Lock()

    def take_in(self, detached: Sequence[Archived]) -> None:
        """This, and nothing else, is detached now."""
        self._detached = {}
        for each in detached:
            self._detached.setdefault((each.topic, each.segment), {})[each.partition] = each

    def of(self, topic: str, segment: int) -> Mapping[int, Archived]:
        """The partitions of a segment that are to be read from files."""
        return self._detached.get((topic, segment), {})

    async def read(self, archived: Archived, offset: int, records_max: int) -> list[Record]:
        """Records from `offset` on, at least one. Raises `PartitionUnreadable`."""
        rows = await self.rows(archived, offset, records_max)
        return [
            Record(
                topic=archived.topic,
                partition=archived.partition,
                offset=number,
                recorded_at=recorded_at,
                key=key,
                headers=unpack_headers(headers),
                value=value,
            )
            for number, (recorded_at, key, headers, value) in enumerate(rows, offset)
        ]

    async def rows(self, archived: Archived, offset: int, records_max: int) -> Sequence[StoredRecord]:
        """As they are stored. Raises `PartitionUnreadable`."""
        path = archived.path(self._moved_to)
        try:
            async with self._lock:  # one thread is enough
                return await asyncio.to_thread(self._read, path, offset, records_max)
        except (OSError, BrokenSegmentFile) as error:
            self._open.pop(path, None)
            reason = f"{type(error).__name__}: {error}" if isinstance(error, OSError) else str(error)
            detail = (
                f"{archived.topic}/{archived.partition} from offset {offset} was detached and cannot be read from its "
                f"file {path}: {reason}. Put it back, or name its folder in UPSHOT_BUS_ARCHIVE_DIR."
            )
            if detail not in self._told:
                self._told.add(detail)
                _log.critical("%s", detail)
            raise PartitionUnreadable(
                detail, partitions=frozenset({archived.partition}), retry_after_seconds=RETRY_SECONDS
            ) from error

    def close(self) -> None:
        """Close the files."""
        for file in self._open.values():
            file.close()
        self._open.clear()

    def _read(self, path: Path, offset: int, records_max: int) -> Sequence[StoredRecord]:
        with self._reading:  # a file has one position; whoever was called off in the midst of a read still reads
            file = self._open.pop(path, None) or SegmentFile(path)
            self._open[path] = file
            while len(self._open) > _OPEN_FILES_MAX:
                self._open.popitem(last=False)[1].close()
            return file.read(offset, records_max)
