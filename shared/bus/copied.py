"""What a copied record says of where it lay, and what a copy has put into its target so far. Pure.

Next: `copying.py` copies; `deadletters.py` keeps letters apart that were told in different logs.
"""

from dataclasses import dataclass
from typing import Self

from shared.bus.headers import Headers
from shared.bus.port import Record
from shared.domain.errors import PermanentError

COPIED_FROM = "copiedfrom"
"""Header of a copied record: `<log it lay in>/<partition>/<offset>`; one for each time that it was copied, in order. No `ce_`
prefix, so that no event can set it."""

COPYING_BYTES_MAX = 1024
"""What copying adds to a record at most: time, place, and on a log that others write to, a mark and a seal."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record lies, or lay, among those of its topic."""

    log_id: str
    partition: int
    offset: int

    @classmethod
    def read(cls, value: bytes) -> Self | None:
        """What a header's value says; None where that is no place."""
        log_id, _, place = value.decode(errors="replace").partition("/")
        partition, _, offset = place.partition("/")
        if not (partition.isdecimal() and offset.isdecimal()):
            return None
        return cls(log_id, int(partition), int(offset))

    def header(self) -> tuple[str, bytes]:
        """As a copied record has it."""
        return COPIED_FROM, f"{self.log_id}/{self.partition}/{self.offset}".encode()


def places_of(headers: Headers) -> list[Place]:
    """Where the record lay, log after log: the last one is what this log was copied from."""
    found = [Place.read(value) for name, value in headers if name == COPIED_FROM]
    return [place for place in found if place is not None]


def place_of(headers: Headers) -> Place | None:
    """Where the record was copied from; None where it was not."""
    for name, value in reversed(headers):
        if name == COPIED_FROM and (place := Place.read(value)) is not None:
            return place
    return None


class Copied:
    """What a copy of one topic has already put into the target."""

    def __init__(self, source_id: str) -> None:
        self.records = 0
        self.by_source: dict[int, int] = {}
        """How many records of each partition of the source."""
        self._source_id = source_id
        self._last: dict[tuple[int, int], int] = {}  # by partition of the source and of the target, the last offset

    def note(self, record: Record) -> None:
        """Raises PermanentError for a record that no copy of this source put there."""
        place = place_of(record.headers)
        at = f"{record.topic}/{record.partition} at offset {record.offset}"
        if place is None:
            raise PermanentError(f"the target is in use: nobody copied its record in {at}. Copy into an empty log.")
        if place.log_id != self._source_id:
            raise PermanentError(
                f"the target holds a copy of another log, {place.log_id}, in {at}, and not of {self._source_id}. Copy into an "
                "empty log, also where an earlier version began the copy: it did not tell logs of several clusters apart."
            )
        key = (place.partition, record.partition)
        self._last[key] = max(place.offset, self._last.get(key, -1))
        self.by_source[place.partition] = self.by_source.get(place.partition, 0) + 1
        self.records += 1

    def has(self, record: Record, partition: int) -> bool:
        """Whether the record, which belongs into that partition of the target, is there: one partition's records lie in
        another in their order, and an append that breaks off keeps of each partition the first ones."""
        return record.offset <= self._last.get((record.partition, partition), -1)
