"""What nobody could understand, kept: the record's own bytes, where it lay, when, and why. Pure.

A dead letter is the record as it was (headers, value) with headers of ours behind its own; it is keyed by the topic and
partition that it lay in. It is named by its position (`upshot.events/7/1234`), so told of twice it is the same letter; in a
copied log, by the log that it was told in and the position there, since another record may have that position here. What is
too large to be carried along is left out and said so: the log keeps the original for ever at that position.
A redriven letter is followed by a note that names it; letters are never changed.
Next: `services/cli/deadletters.py` lists, shows and redrives them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson

from shared.bus.codec import RECORDED_TIME
from shared.bus.copied import places_of
from shared.bus.headers import Headers
from shared.bus.port import NewRecord, Record
from shared.bus.sizes import RECORD_BYTES_MAX_DEFAULT, record_bytes
from shared.bus.topics import DEADLETTERS
from shared.domain import rfc3339
from shared.domain.errors import Flaw

CARRIED_BYTES_MAX = 786_432
"""Of a record's headers and value, also where the log takes more. A broker takes 1 MiB by default, our own headers included."""
REASON_CHARACTERS_MAX = 2000
KEY_BYTES_MAX = 2000
"""Of the record's key; of a longer one the beginning is kept."""
SHORT = 100
"""So much of a reason (characters) and a key (bytes) goes into any log that there can be, which takes 1 KiB."""
_HEADER_BYTES = 8
"""What adapters add to a header at most, or nearly: lengths."""
FLAWS_MAX = 20

_REASON, _TOPIC, _PARTITION, _OFFSET = "upshot_reason", "upshot_topic", "upshot_partition", "upshot_offset"
_KEY, _RECORDED_AT, _FLAWS, _OMITTED = "upshot_key", "upshot_recorded_at", "upshot_flaws", "upshot_omitted_bytes"
_HEADERS = "upshot_headers"
_REDRIVEN, _LOG = "upshot_redriven", "upshot_log"
_OWN_BEFORE_COUNTED = (
    4  # letters of the first version end with four headers of ours, and do not say how many are theirs
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """`headers` and `value` are the record's own; `omitted_bytes`: of what was too large to be carried along. `log_id`: the
    log that it was told in, and that its position is of; empty: this one."""

    topic: str
    partition: int
    offset: int
    reason: str
    flaws: tuple[Flaw, ...]
    key: bytes
    recorded_at: datetime | None
    headers: Headers
    value: bytes | None
    omitted_bytes: int
    told_at: datetime
    log_id: str = ""

    @property
    def id(self) -> str:
        return _letter_id(self.log_id, self.topic, self.partition, self.offset)

    def original(self) -> Record:
        """The record as it was read; whether it is foreign is for the seal to say."""
        return Record(
            topic=self.topic,
            partition=self.partition,
            offset=self.offset,
            recorded_at=self.recorded_at or self.told_at,
            key=self.key,
            headers=self.headers,
            value=self.value,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Redriven:
    """The note that a letter became an event."""

    letter_id: str
    event_id: str
    at: datetime


def dead_letter(
    record: Record, reason: str, flaws: Sequence[Flaw] = (), *, record_bytes_max: int = RECORD_BYTES_MAX_DEFAULT
) -> NewRecord:
    """The letter to append, small enough for a log that takes records of `record_bytes_max`: without the record itself where
    that is too much, and where that is still too much without flaws, of key and reason the beginning."""
    if record_bytes(record) - len(record.key) <= CARRIED_BYTES_MAX:
        whole = _letter(record, record.key[:KEY_BYTES_MAX], reason, flaws, carries=True)
        if _taken(whole) <= record_bytes_max:
            return whole
    named = _letter(record, record.key[:KEY_BYTES_MAX], reason, flaws, carries=False)
    if _taken(named) <= record_bytes_max:
        return named
    return _letter(record, record.key[:SHORT], reason[:SHORT], (), carries=False)


def _letter(record: Record, key: bytes, reason: str, flaws: Sequence[Flaw], *, carries: bool) -> NewRecord:
    theirs = record.headers if carries else ()
    ours = [
        (_HEADERS, b"%d" % len(theirs)),
        (_KEY, key),
        (_RECORDED_AT, rfc3339.render(record.recorded_at).encode()),
        (_FLAWS, orjson.dumps([{"pointer": each.pointer, "detail": each.detail} for each in _bounded(flaws)])),
    ]
    if not carries:
        ours.append((_OMITTED, b"%d" % omitted_bytes(record)))
    ours += [
        (_REASON, reason[:REASON_CHARACTERS_MAX].encode(errors="replace")),
        (_TOPIC, record.topic.encode()),
        (_PARTITION, b"%d" % record.partition),
        (_OFFSET, b"%d" % record.offset),
    ]
    return NewRecord(
        topic=DEADLETTERS,
        key=letter_key(record.topic, record.partition),
        headers=(*theirs, *ours),
        value=record.value if carries else None,
    )


def _taken(letter: NewRecord) -> int:
    return record_bytes(letter) + _HEADER_BYTES * len(letter.headers)


def omitted_bytes(record: Record) -> int:
    """What a letter says of the size of a record that it leaves out. Of headers' names it counts characters, for ever: letters
    are compared by it with what lies in the log."""
    return len(record.value or b"") + sum(len(name) + len(value) for name, value in record.headers)


def redriven_note(letter: DeadLetter, event_id: str) -> NewRecord:
    """What is appended together with the event that the letter has become."""
    headers = (
        (_REDRIVEN, event_id.encode()),
        (_TOPIC, letter.topic.encode()),
        (_PARTITION, b"%d" % letter.partition),
        (_OFFSET, b"%d" % letter.offset),
        *([(_LOG, letter.log_id.encode())] if letter.log_id else []),
    )
    return NewRecord(topic=DEADLETTERS, key=letter_key(letter.topic, letter.partition), headers=headers, value=None)


def letter_key(topic: str, partition: int) -> bytes:
    """Letters of one partition lie in one order."""
    return f"{topic}/{partition}".encode()


def read_letter(record: Record) -> DeadLetter | Redriven | None:
    """What a record of `upshot.deadletters` is; None where it is nothing of ours."""
    theirs = carried_headers(record.headers)
    own = dict(record.headers[theirs:])
    try:
        topic, partition, offset = own[_TOPIC].decode(), int(own[_PARTITION]), int(own[_OFFSET])
        places = places_of(record.headers[theirs:])
        log_id = own[_LOG].decode() if _LOG in own else places[0].log_id if places else ""
        told_at = _told_at(record, own)
        if _REDRIVEN in own:
            letter_id = _letter_id(log_id, topic, partition, offset)
            return Redriven(letter_id=letter_id, event_id=own[_REDRIVEN].decode(), at=told_at)
        return DeadLetter(
            topic=topic,
            partition=partition,
            offset=offset,
            reason=own[_REASON].decode(),
            flaws=tuple(Flaw(**each) for each in orjson.loads(own.get(_FLAWS, b"[]"))),
            key=own.get(_KEY, b""),
            recorded_at=rfc3339.parse(own[_RECORDED_AT].decode()) if _RECORDED_AT in own else None,
            headers=record.headers[:theirs],
            value=record.value,
            omitted_bytes=int(own.get(_OMITTED, b"0")),
            told_at=told_at,
            log_id=log_id,
        )
    except (KeyError, ValueError, TypeError, IndexError):
        return None


def carried_headers(headers: Headers) -> int:
    """How many of a letter's headers are those of the record that it is about; ours stand behind them, and whoever copied the
    log put some behind ours."""
    names = [name for name, _ in headers]
    for index in range(len(headers) - 1, -1, -1):
        if headers[index] == (_HEADERS, b"%d" % index):
            return index
    # Letters of the first version do not count; notes have nothing of the record.
    return len(names) - 1 - names[::-1].index(_REASON) if _REASON in names else 0


def _letter_id(log_id: str, topic: str, partition: int, offset: int) -> str:
    return "/".join(filter(None, (log_id, topic, str(partition), str(offset))))


def _told_at(record: Record, own: Mapping[str, bytes]) -> datetime:
    """When the first log took it."""
    try:
        return rfc3339.parse(own[RECORDED_TIME].decode()) if RECORDED_TIME in own else record.recorded_at
    except ValueError:
        return record.recorded_at


def _bounded(flaws: Sequence[Flaw]) -> list[Flaw]:
    return [Flaw(pointer=each.pointer[:500], detail=each.detail[:500]) for each in flaws[:FLAWS_MAX]]
