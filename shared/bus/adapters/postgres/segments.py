"""Segments as an operator sees them: which offsets of a topic, how large, and where their records lie.

A partition has closed a segment when its next offset lies behind it: nothing in there ever changes again. Tenants are not
spread evenly, so a segment is exported and detached partition by partition. Next: `archiving.py` does both.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from shared.bus.adapters.postgres.link import Connection
from shared.domain.errors import PermanentError

_TOPICS = "select topic, partition_count, segment_records from log.topics order by topic"
_HEADS = "select partition, next from log.heads where topic = $1 order by partition"
_ARCHIVED = """
select topic, segment, partition, folder, file, records, bytes, sha256, detached from log.archived
where topic = $1 order by segment, partition
"""
_TABLES = """
select substr(relname, length($1::text) + 2)::bigint as segment, pg_total_relation_size(c.oid) as bytes
from pg_inherits join pg_class c on c.oid = inhrelid where inhparent = format('log.%I', $1::text)::regclass
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivedFile:
    """One partition of a segment that was exported."""

    partition: int
    folder: str
    file: str
    records: int
    bytes: int
    sha256: str
    detached: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Offsets `first` to `end` of every partition of a topic."""

    topic: str
    number: int
    first: int
    end: int
    table_bytes: int | None
    """None: it has no table any more."""
    heads: Mapping[int, int]
    archived: Mapping[int, ArchivedFile]

    @property
    def name(self) -> str:
        """As it is called on the command line, and as its table is."""
        return f"{self.topic}.{self.number}"

    @property
    def closed(self) -> frozenset[int]:
        """Partitions that will never append to it again."""
        return frozenset(partition for partition, head in self.heads.items() if head >= self.end)

    @property
    def detached(self) -> frozenset[int]:
        """Partitions that are read from files."""
        return frozenset(partition for partition, each in self.archived.items() if each.detached)

    @property
    def records(self) -> int:
        """In all partitions, wherever they lie."""
        return self.records_of(self.heads.keys())

    def records_of(self, partitions: Collection[int]) -> int:
        """In these partitions."""
        return sum(min(max(self.heads[each] - self.first, 0), self.end - self.first) for each in partitions)

    @property
    def file_bytes(self) -> int:
        return sum(each.bytes for each in self.archived.values())

    @property
    def state(self) -> str:
        """open: every partition still writes there; closed: some do not, and could be exported; exported: those are; and
        detached: they are read from files."""
        if not self.closed:
            return "open"
        if self.closed > self.archived.keys():
            return "closed"
        return "detached" if self.detached >= self.closed else "exported"


async def list_segments(connection: Connection, topic: str | None = None) -> list[Segment]:
    """All segments that hold something, by topic and number."""
    found = []
    for name, _, size in await connection.fetch(_TOPICS):
        if topic is not None and name != topic:
            continue
        heads = {row["partition"]: row["next"] for row in await connection.fetch(_HEADS, name)}
        tables = {row["segment"]: row["bytes"] for row in await connection.fetch(_TABLES, name)}
        archived: dict[int, dict[int, ArchivedFile]] = {}
        for row in await connection.fetch(_ARCHIVED, name):
            fields = {key: value for key, value in row.items() if key not in ("topic", "segment")}
            archived.setdefault(row["segment"], {})[row["partition"]] = ArchivedFile(**fields)
        for number in range(-(-max(heads.values(), default=0) // size)):
            segment = Segment(
                topic=name,
                number=number,
                first=number * size,
                end=(number + 1) * size,
                table_bytes=tables.get(number),
                heads=heads,
                archived=archived.get(number, {}),
            )
            found.append(segment)
    return found


async def find_segment(connection: Connection, name: str) -> Segment:
    """Raises PermanentError where there is none of that name, and says which there are."""
    topic, _, number = name.rpartition(".")
    for each in await list_segments(connection, topic):
        if str(each.number) == number:
            return each
    known = ", ".join(each.name for each in await list_segments(connection)) or "none: the log is empty"
    raise PermanentError(f"there is no segment {name}; there are: {known}")
