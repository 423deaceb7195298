"""How much a record takes, and a long append in pieces: one call is never split over commits, so its length has bounds."""

from collections.abc import Iterator, Sequence

from shared.bus.headers import columns_of
from shared.bus.port import NewRecord, Record

RECORD_BYTES_MAX_DEFAULT = 4 * 1024 * 1024


def record_bytes(record: NewRecord | Record) -> int:
    """Key, headers and value, as bytes; what adapters hold against `record_bytes_max`, but for some bytes a header."""
    headers = columns_of(record.headers)
    names = len("".join(headers.names).encode())
    return len(record.key) + names + sum(map(len, headers.values)) + len(record.value or b"")


def pieces(records: Sequence[NewRecord], *, records_max: int, bytes_max: int) -> Iterator[Sequence[NewRecord]]:
    """The records in order, in as few pieces as hold at most so many records and bytes; a larger record is one alone."""
    start = size = 0
    for index, record in enumerate(records):
        more = record_bytes(record)
        if index > start and (index - start >= records_max or size + more > bytes_max):
            yield records[start:index]
            start, size = index, 0
        size += more
    if start < len(records):
        yield records[start:]
