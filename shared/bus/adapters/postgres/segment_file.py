"""The file that one partition of a segment is exported to: compressed, checksummed, read from any offset.

    MAGIC | blocks | footer (JSON, compressed) | footer's position u64, length u32, CRC-32 u32 | MAGIC

A block is some contiguous records, compressed together, at most about `BLOCK_BYTES_MAX` before; the footer says of each
block its first offset, its place and its CRC-32. A record: time in microseconds since 1970 (i64), lengths of key and
headers (u32), of the value (i32, -1: null), then their bytes, headers as the log stores them (`header_bytes.py`).
The format never changes: another one gets another magic. Next: `segments.py` writes these, `archive.py` reads them.
"""

import hashlib
import json
import os
import zlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from struct import Struct, error
from typing import Self

MAGIC = b"UPSHOTSEGMENT 1\n"
BLOCK_BYTES_MAX = 1024 * 1024
BLOCK_RECORDS_MAX = 2_000
"""A read of a few records decompresses one block: a millisecond or a few."""
_LEVEL = 6

_RECORD = Struct("<qIIi")
_TRAILER = Struct("<QII")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

StoredRecord = tuple[datetime, bytes, bytes, bytes | None]
"""Recorded at, key, headers as stored, value."""


class BrokenSegmentFile(ValueError):
    """The file is not, or not whole, what was exported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What a file holds. `contents`: SHA-256 over its records before compression; `sha256`: over the file."""

    first: int
    records: int
    bytes: int
    sha256: str
    contents: str


@dataclass(frozen=True, slots=True)
class _Block:
    first: int
    position: int
    length: int
    crc: int


class SegmentWriter:
    """Writes one file, front to back. `close` makes it durable; without it the file is of no use."""

    def __init__(self, path: Path, first: int) -> None:
        self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
        self._first = self._next = self._block_first = first
        self._blocks: list[_Block] = []
        self._parts: list[bytes] = []
        self._part_bytes = 0
        self._position = 0
        self._sha256 = hashlib.sha256()
        self._contents = hashlib.sha256()
        self._write(MAGIC)

    def add(self, record: StoredRecord) -> None:
        """The next one."""
        packed = _packed(record)
        self._contents.update(packed)
        self._parts.append(packed)
        self._part_bytes += len(packed)
        self._next += 1
        if self._part_bytes >= BLOCK_BYTES_MAX or self._next - self._block_first >= BLOCK_RECORDS_MAX:
            self._end_block()

    def close(self) -> Written:
        """Write what is left, and wait for the disk."""
        self._end_block()
        blocks = [[each.first, each.position, each.length, each.crc] for each in self._blocks]
        footer = zlib.compress(json.dumps({"first": self._first, "end": self._next, "blocks": blocks}).encode())
        trailer = _TRAILER.pack(self._position, len(footer), zlib.crc32(footer))
        self._write(footer + trailer + MAGIC)
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return Written(
            first=self._first,
            records=self._next - self._first,
            bytes=self._position,
            sha256=self._sha256.hexdigest(),
            contents=self._contents.hexdigest(),
        )

    def abandon(self) -> None:
        """Let go of the file as it is. Harmless after `close`."""
        self._file.close()

    def _end_block(self) -> None:
        if not self._parts:
            return
        compressed = zlib.compress(b"".join(self._parts), _LEVEL)
        self._blocks.append(_Block(self._block_first, self._position, len(compressed), zlib.crc32(compressed)))
        self._write(compressed)
        self._parts.clear()
        self._part_bytes = 0
        self._block_first = self._next

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self._sha256.update(data)
        self._position += len(data)


class SegmentFile:
    """One file, open for reading. Raises OSError and `BrokenSegmentFile`."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        try:
            self.first, self.end, self._blocks = self._index()
        except BaseException:
            self._file.close()
            raise
        self._firsts = [each.first for each in self._blocks]
        self._kept: tuple[int, Sequence[StoredRecord]] = (-1, ())

    def read(self, offset: int, records_max: int) -> Sequence[StoredRecord]:
        """Records from `offset` on, at least one and at most those of one block."""
        number = bisect_right(self._firsts, offset) - 1
        if number < 0 or offset >= self.end:
            raise BrokenSegmentFile(f"it holds offsets {self.first} to {self.end}, not {offset}")
        if self._kept[0] != number:
            self._kept = (number, tuple(self._unpacked(self._blocks[number])))
        start = offset - self._firsts[number]
        return self._kept[1][start : start + records_max]

    def records(self) -> Iterator[StoredRecord]:
        """All of them."""
        for block in self._blocks:
            yield from self._unpacked(block)

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _index(self) -> tuple[int, int, Sequence[_Block]]:
        size = self._file.seek(0, os.SEEK_END)
        tail = _TRAILER.size + len(MAGIC)
        if size < len(MAGIC) + tail or self._at(0, len(MAGIC)) != MAGIC:
            raise BrokenSegmentFile("it is no exported segment, or of a later version of the format")
        trailer = self._at(size - tail, tail)
        position, length, crc = _TRAILER.unpack_from(trailer)
        if trailer[_TRAILER.size :] != MAGIC or position + length + tail != size:
            raise BrokenSegmentFile("it is cut short")
        footer = self._at(position, length)
        if zlib.crc32(footer) != crc:
            raise BrokenSegmentFile("its index is damaged")
        index = json.loads(zlib.decompress(footer))
        return index["first"], index["end"], [_Block(*each) for each in index["blocks"]]

    def _unpacked(self, block: _Block) -> Iterator[StoredRecord]:
        compressed = self._at(block.position, block.length)
        if zlib.crc32(compressed) != block.crc:
            raise BrokenSegmentFile(f"the block of offset {block.first} is damaged")
        data = zlib.decompress(compressed)
        position = 0
        while position < len(data):
            try:
                at, key_bytes, header_bytes, value_bytes = _RECORD.unpack_from(data, position)
            except error:
                raise BrokenSegmentFile(f"the block of offset {block.first} is cut short") from None
            key_end = position + _RECORD.size + key_bytes
            headers_end = key_end + header_bytes
            position = headers_end + max(value_bytes, 0)
            value = None if value_bytes < 0 else data[headers_end:position]
            yield _EPOCH + at * _MICROSECOND, data[key_end - key_bytes : key_end], data[key_end:headers_end], value

    def _at(self, position: int, length: int) -> bytes:
        self._file.seek(position)
        return self._file.read(length)


def contents_of(records: Iterable[StoredRecord]) -> tuple[int, str]:
    """How many, and what `Written.contents` is for them."""
    digest, count = hashlib.sha256(), 0
    for record in records:
        digest.update(_packed(record))
        count += 1
    return count, digest.hexdigest()


def sha256_of(path: Path) -> str:
    """Of the whole file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _packed(record: StoredRecord) -> bytes:
    at, key, headers, value = record
    lengths = len(key), len(headers), -1 if value is None else len(value)
    return b"".join((_RECORD.pack((at - _EPOCH) // _MICROSECOND, *lengths), key, headers, value or b""))
