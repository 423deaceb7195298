"""`upshot deadletters …`: lists, shows and redrives what the matcher could not understand. For operators: the letters of all
tenants, and of nobody, lie in one topic.

Redriving reads a letter's record again with today's code and definitions, and appends it to `upshot.events` as an event of
the id that it always had, together with a note in `upshot.deadletters`: doing it twice is doing it once.
"""

import base64
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson

from services.cli.letter_originals import READ_TIMEOUT_SECONDS, original
from services.foundation import installed
from shared.bus import codec
from shared.bus.codec import UndecodableRecord
from shared.bus.deadletters import DeadLetter, Redriven, letter_key, read_letter, redriven_note
from shared.bus.partitioner import partition_of
from shared.bus.port import Bus, Record
from shared.bus.topics import DEADLETTERS, EVENTS
from shared.domain import rfc3339
from shared.domain.definitions import Definitions
from shared.domain.envelope import Event
from shared.domain.errors import Flaw, InvalidInput, PermanentError, TransientError
from shared.runtime.definitions import DefinitionsFollower
from shared.runtime.settings import UpshotSettings
from shared.workflows.decide import fields_of

APPENDED_TOGETHER = 100
"""Letters redriven in one append; so many may be done twice where the log is lost in the middle, which changes nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which letters; what is None or empty does not narrow. `reason` is looked for anywhere in theirs, in any case.
    `partitions`: first and last."""

    ids: Sequence[str] = ()
    topic: str | None = None
    partitions: tuple[int, int] | None = None
    reason: str = ""
    since: datetime | None = None

    def admits(self, letter: DeadLetter) -> bool:
        low, high = self.partitions if self.partitions is not None else (letter.partition, letter.partition)
        return (
            (not self.ids or letter.id in self.ids)
            and (self.topic is None or letter.topic == self.topic)
            and low <= letter.partition <= high
            and self.reason.lower() in letter.reason.lower()
            and (self.since is None or letter.told_at >= self.since)
        )


@dataclass(slots=True)
class Kept:
    """A letter, and the note that it was redriven, if it was."""

    letter: DeadLetter
    redriven: Redriven | None = None


async def list_letters(settings: UpshotSettings, wanted: Wanted, *, limit: int, waiting: bool, in_json: bool) -> None:
    """Print a line each, oldest first. `waiting`: only what was not redriven."""
    async with installed(settings) as ground:
        found = await find_letters(ground.bus, wanted)
    shown = [each for each in found if not (waiting and each.redriven)]
    for each in shown[:limit]:
        print(orjson.dumps(_summary(each)).decode() if in_json else _line(each))
    if len(shown) > limit and not in_json:
        print(f"{len(shown) - limit} more: narrow by --since, --reason, --partitions, or raise --limit")
    if not shown and not in_json:
        print("no dead letters")


async def show_letter(settings: UpshotSettings, letter_id: str, *, in_json: bool) -> None:
    """Print all there is of one. Raises `InvalidInput` where there is none of this id."""
    async with installed(settings) as ground:
        (kept,) = await _named(ground.bus, [letter_id])
        record = await original(ground.bus, kept.letter)
    print(orjson.dumps(_whole(kept, record)).decode() if in_json else _text(kept, record))


async def redrive(settings: UpshotSettings, wanted: Wanted, *, limit: int, dry_run: bool, in_json: bool) -> int:
    """Print what became of each; 1 where some cannot be understood today either. Letters that are named are redriven
    again; by a filter only those that never were."""
    async with installed(settings) as ground:
        definitions = DefinitionsFollower(ground.bus)
        await definitions.start()
        try:
            if wanted.ids:
                chosen = await _named(ground.bus, wanted.ids)
            else:
                chosen = [each for each in await find_letters(ground.bus, wanted) if each.redriven is None]
            failed = 0
            async for kept, event, reason in redriven(
                ground.bus, definitions.definitions, chosen[:limit], dry_run=dry_run
            ):
                failed += event is None
                print(_outcome(kept.letter, event, reason, dry_run=dry_run, in_json=in_json), flush=True)
            if len(chosen) > limit and not in_json:
                print(f"{len(chosen) - limit} more: run it again, or raise --limit")
        finally:
            await definitions.close()
    return 1 if failed else 0


async def find_letters(bus: Bus, wanted: Wanted) -> list[Kept]:
    """In the order of their being told; a letter told of twice is one, the first."""
    found: dict[str, Kept] = {}
    async for record in _all_of(bus, wanted):
        told = read_letter(record)
        if isinstance(told, Redriven) and told.letter_id in found:
            found[told.letter_id].redriven = told
        elif isinstance(told, DeadLetter) and wanted.admits(told):
            found.setdefault(told.id, Kept(told))
    return sorted(found.values(), key=lambda kept: (kept.letter.told_at, kept.letter.partition, kept.letter.offset))


async def _all_of(bus: Bus, wanted: Wanted) -> AsyncIterator[Record]:
    """The records of the topic as far as it reaches now: of the partitions that hold the letters that are named, or all."""
    partitions: list[int] | None = None
    if wanted.ids:
        keys = {letter_key(*_place(letter_id)) for letter_id in wanted.ids}
        partitions = sorted({partition_of(key, bus.partition_count) for key in keys})
    marks = await bus.watermarks(DEADLETTERS, partitions)
    ends = {partition: each.high for partition, each in marks.items() if each.high > each.low}
    reader = bus.reader(DEADLETTERS)
    try:
        reader.assign({partition: marks[partition].low for partition in ends})
        while any(at < ends[partition] for partition, at in reader.positions().items()):
            before = dict(reader.positions())
            batches = await reader.poll(timeout_seconds=READ_TIMEOUT_SECONDS)
            if not batches and reader.positions() == before:  # a poll may only pass what is no record
                raise TransientError(f"{DEADLETTERS} does not give all that it holds")
            for records in batches.values():
                for record in records:
                    yield record
    finally:
        await reader.close()


async def _named(bus: Bus, letter_ids: Sequence[str]) -> list[Kept]:
    found = await find_letters(bus, Wanted(ids=letter_ids))
    missing = [each for each in letter_ids if each not in {kept.letter.id for kept in found}]
    if missing:
        flaws = [
            Flaw(pointer=each, detail="there is no such letter; `upshot deadletters list` names them")
            for each in missing
        ]
        raise InvalidInput("no such dead letter", flaws)
    return found


def _place(letter_id: str) -> tuple[str, int]:
    parts = letter_id.split("/")
    topic, partition, offset = parts[-3:] if len(parts) in (3, 4) else ("", "", "")
    if not (topic and partition.isdecimal() and offset.isdecimal()):
        detail = "an id is topic/partition/offset, such as upshot.events/7/1234, or in a copied log as listed"
        raise InvalidInput("not the id of a dead letter", [Flaw(pointer=letter_id, detail=detail)])
    return topic, int(partition)


async def redriven(
    bus: Bus, definitions: Definitions, chosen: Sequence[Kept], *, dry_run: bool
) -> AsyncIterator[tuple[Kept, Event | None, str]]:
    """Each letter with the event that it became, or why it is none."""
    for start in range(0, len(chosen), APPENDED_TOGETHER):
        judged: list[tuple[Kept, Event | None, str]] = []
        for kept in chosen[start : start + APPENDED_TOGETHER]:
            try:
                judged.append((kept, _understood(await original(bus, kept.letter), definitions), ""))
            except (UndecodableRecord, InvalidInput, PermanentError, TransientError) as error:
                judged.append((kept, None, str(error)))
        taken = [(kept, event) for kept, event, _ in judged if event is not None]
        if taken and not dry_run:
            # One after the other: a note whose event is lost would hide the letter for good.
            await bus.append([codec.encode(EVENTS, event) for _, event in taken])
            await bus.append([redriven_note(kept.letter, event.id) for kept, event in taken])
        for each in judged:
            yield each


def _understood(record: Record, definitions: Definitions) -> Event:
    """Raises `UndecodableRecord`, `InvalidInput`: what the matcher would make a dead letter of."""
    if record.topic != EVENTS:
        raise UndecodableRecord(f"only records of {EVENTS} can be redriven")
    event = codec.decode(record)
    fields_of(event)
    if definitions.tenant(event.tenant_id) is None:
        raise InvalidInput(f"there is no tenant {event.tenant_id[:100]!r}")
    return event


def _outcome(letter: DeadLetter, event: Event | None, reason: str, *, dry_run: bool, in_json: bool) -> str:
    if in_json:
        became = {"event_id": event.id, "tenant_id": event.tenant_id} if event is not None else {"reason": reason}
        return orjson.dumps({"id": letter.id, "redriven": event is not None and not dry_run, **became}).decode()
    if event is None:
        return f"{letter.id}  is still no event: {reason}"
    return f"{letter.id}  {'would become' if dry_run else 'became'} event {event.id} of {event.tenant_id}"


def _line(kept: Kept) -> str:
    letter = kept.letter
    state = f"  [redriven {_moment(kept.redriven.at)} as {kept.redriven.event_id}]" if kept.redriven else ""
    reason = letter.reason if len(letter.reason) <= 160 else letter.reason[:159] + "…"
    return f"{_moment(letter.told_at)}  {letter.id}  {_printable(reason)}{state}"


def _summary(kept: Kept) -> dict[str, object]:
    letter, redriven = kept.letter, kept.redriven
    return {
        "id": letter.id,
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "log": letter.log_id or None,
        "reason": letter.reason,
        "flaws": [{"pointer": each.pointer, "detail": each.detail} for each in letter.flaws],
        "recorded_at": _moment(letter.recorded_at) if letter.recorded_at is not None else None,
        "told_at": _moment(letter.told_at),
        "redriven_at": _moment(redriven.at) if redriven is not None else None,
        "event_id": redriven.event_id if redriven is not None else None,
    }


def _whole(kept: Kept, record: Record) -> dict[str, object]:
    return {
        **_summary(kept),
        "key": _shown(record.key),
        "headers": [{"name": name, "value": _shown(value)} for name, value in record.headers],
        "value": _shown(record.value) if record.value is not None else None,
    }


def _text(kept: Kept, record: Record) -> str:
    letter = kept.letter
    lines = [
        f"dead letter  {letter.id}",
        f"recorded     {_moment(letter.recorded_at) if letter.recorded_at is not None else 'unknown'}",
        f"told         {_moment(letter.told_at)}",
        f"reason       {_printable(letter.reason)}",
        *(f"             {_printable(each.pointer)}: {_printable(each.detail)}" for each in letter.flaws),
        f"redriven     {_moment(kept.redriven.at)} as {kept.redriven.event_id}" if kept.redriven else "redriven     no",
        f"key          {_printable(_readable(record.key))}",
        *(f"header       {_printable(name)}: {_printable(_readable(value))}" for name, value in record.headers),
        f"value        {_printable(_readable(record.value)) if record.value is not None else 'none (a tombstone)'}",
    ]
    return "\n".join(lines)


def _shown(value: bytes) -> object:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode()}


def _readable(value: bytes) -> str:
    shown = _shown(value)
    return shown if isinstance(shown, str) else f"(not UTF-8) {value!r}"


def _printable(text: str) -> str:
    """Whoever wrote it, it does not command the terminal."""
    return "".join(each if each.isprintable() or each == " " else repr(each)[1:-1] for each in text)


def _moment(at: datetime) -> str:
    return rfc3339.render(at)
