"""The record that a dead letter is about, as it was read: from the letter, or where it was too large for it, from the log.

In a copied log a record lies elsewhere than its letter says, and says itself where it lay.
Next: `deadletters.py` shows and redrives them.
"""

from services.api.service.log_reader import LogReader
from shared.bus.copied import Place, places_of
from shared.bus.deadletters import DeadLetter, omitted_bytes
from shared.bus.partitioner import partition_of
from shared.bus.port import Bus, Record
from shared.bus.ranges import BusRange, first_at_or_after
from shared.bus.seal import seal_of
from shared.domain.errors import PermanentError

READ_TIMEOUT_SECONDS = 10.0
_BATCH_RECORDS = 1000


async def original(bus: Bus, letter: DeadLetter) -> Record:
    """Raises PermanentError where the record is not in the log, TransientError where the log does not give it."""
    if letter.omitted_bytes:
        return await _copy_of(bus, letter) if letter.log_id else await _lying_there(bus, letter)
    record = letter.original()
    seal = seal_of(bus)
    if seal is not None:
        seal.mark([record])
    return record


async def _lying_there(bus: Bus, letter: DeadLetter) -> Record:
    (record,) = await LogReader(bus, READ_TIMEOUT_SECONDS).at(letter.topic, letter.partition, [letter.offset])
    if omitted_bytes(record) != letter.omitted_bytes:
        raise PermanentError(f"another record lies at {letter.id} by now: was the log copied?")
    return record


async def _copy_of(bus: Bus, letter: DeadLetter) -> Record:
    """Most often in its key's partition (a letter may have the beginning of the key only), among the first that were recorded
    when it was (or before: in a log that is a copy of a copy)."""
    wanted = Place(letter.log_id, letter.partition, letter.offset)
    first = partition_of(letter.key, bus.partition_count)
    for partition in sorted(range(bus.partition_count), key=lambda each: each != first):
        log = BusRange(bus, letter.topic, partition)
        try:
            marks = await log.watermarks()
            since = marks.low
            if letter.recorded_at is not None:
                since = await first_at_or_after(log, letter.recorded_at, marks.low, marks.high)
            for low, high in ((since, marks.high), (marks.low, since)):
                if (record := await _copied_from(wanted, log, low, high)) is not None:
                    return record
        finally:
            await log.close()
    raise PermanentError(f"no record of this log was copied from {letter.id}")


async def _copied_from(wanted: Place, log: BusRange, low: int, high: int) -> Record | None:
    while low < high:
        batch = await log.read(low, high, records_max=_BATCH_RECORDS)
        for record in batch.records:
            if wanted in places_of(record.headers):
                return record
        low = batch.next_offset
    return None
