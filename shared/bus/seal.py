"""Telling Upshot's own records in `upshot.events` from those that upstream services append themselves.

On a broker that others write to as well, nothing in a record proves its writer. So Upshot seals what it appends: the last
header is a keyed digest of all headers before it and of the value. What carries no seal is `foreign`, and can neither
start a schedule or an inbound URL, nor pose as a replay, nor say when it was recorded or where it lay, nor take another
event's id.
Upshot's other topics need none: there, access control refuses other writers (`upshot doctor` checks it).

The key follows from the master key. Two microseconds a record.
Next: `foreign.py`, how unsealed records are read.
"""

import hmac
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b

from shared.bus.codec import RECORDED_TIME
from shared.bus.copied import COPIED_FROM
from shared.bus.headers import Headers, columns_of
from shared.bus.passing import PassingBus, PassingReader
from shared.bus.port import Bus, NewRecord, Position, Reader, Record
from shared.bus.topics import EVENTS

SEAL_HEADER = "upshot_seal"
FOREIGN_HEADER = "upshot_foreign"
"""Under a seal: the record was foreign when Upshot copied it and vouches for nothing but the time of its recording."""

_CLAIMS = frozenset({RECORDED_TIME, COPIED_FROM})
"""What only a copy says of a record."""
_SEAL_BYTES = 16
_SHAPES_CACHED = 4096  # as in the PostgreSQL adapter's headers: a foreign writer could invent many


def seal_key(master_key: bytes) -> bytes:
    """The key that seals events."""
    return hmac.digest(master_key, b"upshot seal of events", "sha256")


class Seal:
    """Stamps and judges records of one installation."""

    def __init__(self, key: bytes) -> None:
        self._keyed = blake2b(key=key, digest_size=_SEAL_BYTES)

    def stamp(self, record: NewRecord) -> NewRecord:
        """The record as it is appended. An older seal in it goes: it was for other headers."""
        headers = columns_of(record.headers)
        if SEAL_HEADER in headers.names or FOREIGN_HEADER in headers.names:
            headers = columns_of([each for each in headers if each[0] not in (SEAL_HEADER, FOREIGN_HEADER)])
        if record.foreign:
            headers = headers.followed_by(FOREIGN_HEADER, b"1")
        return NewRecord(
            topic=record.topic,
            key=record.key,
            headers=headers.followed_by(SEAL_HEADER, self._digest(headers, record.value)),
            value=record.value,
            origin=record.origin,
            foreign=record.foreign,
        )

    def mark(self, records: Iterable[Record]) -> None:
        """Say of each record whether it is foreign. What stands behind a seal, as tools on the way add, is left out; so is
        what a foreign record claims of its past."""
        for record in records:
            if record.origin is not None:
                continue  # this process's own
            headers = record.headers
            if not headers or headers[-1][0] != SEAL_HEADER:
                headers = _up_to_the_seal(headers)
            if headers and self._holds(headers, record.value):
                record.headers = headers
                record.foreign = len(headers) > 1 and headers[-2][0] == FOREIGN_HEADER
                continue
            record.foreign = True
            if any(name in _CLAIMS for name, _ in record.headers):
                record.headers = tuple([each for each in record.headers if each[0] not in _CLAIMS])

    def _holds(self, headers: Headers, value: bytes | None) -> bool:
        return hmac.compare_digest(headers[-1][1], self._digest(headers[:-1], value))

    def _digest(self, headers: Headers, value: bytes | None) -> bytes:
        columns = columns_of(headers)
        values = columns.values
        digest = self._keyed.copy()
        digest.update(
            b"%b%b%b"
            % (
                _shape(columns.names, tuple(map(len, values))),
                b"None]" if value is None else b"%d]" % len(value),
                b"".join(values),
            )
        )
        if value is not None:
            digest.update(value)
        return digest.digest()


class SealedBus(PassingBus):
    """A `Bus` on which others append events, too: seals what goes in, marks what comes out."""

    def __init__(self, bus: Bus, seal: Seal) -> None:
        super().__init__(bus)
        self.seal = seal

    async def append(self, records: Sequence[NewRecord]) -> Sequence[Position]:
        stamp = self.seal.stamp
        return await self.beneath.append([stamp(each) if each.topic == EVENTS else each for each in records])

    def reader(self, topic: str) -> Reader:
        reader = self.beneath.reader(topic)
        return _MarkingReader(reader, self.seal) if topic == EVENTS else reader


def seal_of(bus: Bus) -> Seal | None:
    """What judges records of `upshot.events` that come by another way than a reader of `bus`; None where others cannot write
    to the log, and nothing needs judging."""
    if isinstance(bus, SealedBus):
        return bus.seal
    return seal_of(bus.beneath) if isinstance(bus, PassingBus) else None


class _MarkingReader(PassingReader):
    def __init__(self, reader: Reader, seal: Seal) -> None:
        super().__init__(reader)
        self._seal = seal

    async def poll(self, *, timeout_seconds: float, records_max: int = 1000) -> Mapping[int, Sequence[Record]]:
        batches = await super().poll(timeout_seconds=timeout_seconds, records_max=records_max)
        for records in batches.values():
            self._seal.mark(records)
        return batches


def _up_to_the_seal(headers: Headers) -> Headers:
    for index in range(len(headers) - 1, -1, -1):
        if headers[index][0] == SEAL_HEADER:
            return headers[: index + 1]
    return ()


@lru_cache(maxsize=_SHAPES_CACHED)
def _shape(names: tuple[str, ...], lengths: tuple[int, ...]) -> bytes:
    return f"{names!r}[{''.join(f'{each}, ' for each in lengths)}".encode()
