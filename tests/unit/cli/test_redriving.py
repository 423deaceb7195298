"""Dead letters on the log's port: found once each, redriven as the event that they always were, noted, and never twice new."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from services.cli.deadletters import Kept, Wanted, find_letters, redriven
from shared.bus import codec
from shared.bus.adapters.memory import MemoryBus
from shared.bus.deadletters import CARRIED_BYTES_MAX, dead_letter
from shared.bus.passing import PassingBus
from shared.bus.port import AppendInDoubt, Headers, NewRecord, Position, Record
from shared.bus.seal import Seal, SealedBus, seal_key
from shared.bus.topics import DEADLETTERS, EVENTS
from shared.domain.definitions import Definitions
from shared.domain.envelope import Event
from shared.domain.ids import published_event_id
from shared.domain.records import Command, TenantCreated
from shared.runtime.clock import SystemClock

HEADERS: Headers = (
    ("ce_specversion", b"1.0"),
    ("ce_id", b"o-1"),
    ("ce_source", b"/shop"),
    ("ce_type", b"shop.opened"),
    ("ce_tenantid", b"acme"),
)
OWN = Event(id="e-7", source="/upshot/matcher", type="upshot.schedule.fired", tenant_id="acme", data=b"{}")


class Log:
    """Two partitions that others write to as well, and the matcher's letters about them."""

    def __init__(self) -> None:
        self.log = MemoryBus(SystemClock(), partition_count=2)
        self.bus = SealedBus(self.log, Seal(seal_key(b"master")))
        self.definitions = Definitions()

    def create_tenant(self) -> None:
        command = Command(id="c", payload_hash="", actor="ann")
        self.definitions.apply("acme", TenantCreated(name="acme", plan="free", command=command), SystemClock().now())

    async def letter(self, new: NewRecord, reason: str = "no tenant", *, times: int = 1) -> str:
        await self.log.append([new])
        record = (await self.all_of(EVENTS))[-1]
        for _ in range(times):
            await self.bus.append([dead_letter(record, reason)])
        return f"{EVENTS}/{record.partition}/{record.offset}"

    async def all_of(self, topic: str) -> list[Record]:
        reader = self.bus.reader(topic)
        reader.assign({0: 0, 1: 0})
        found = [each for records in (await reader.poll(timeout_seconds=0)).values() for each in records]
        return sorted((replace(each, origin=None) for each in found), key=lambda each: each.recorded_at)

    async def redrive(self, chosen: Sequence[Kept], *, dry_run: bool = False) -> list[tuple[str, str | None, str]]:
        told = redriven(self.bus, self.definitions, chosen, dry_run=dry_run)
        return [(kept.letter.id, event.id if event else None, reason) async for kept, event, reason in told]


def foreign(headers: Headers = HEADERS, value: bytes | None = b"{}") -> NewRecord:
    return NewRecord(topic=EVENTS, key=b"k", headers=headers, value=value)


@pytest.fixture
def log() -> Log:
    return Log()


async def test_a_letter_becomes_the_event_that_it_always_was_and_says_so(log: Log) -> None:
    letter_id = await log.letter(foreign(), times=2)
    event_id = published_event_id("acme", "/shop", "o-1")
    (kept,) = await find_letters(log.bus, Wanted())
    assert await log.redrive([kept]) == [(letter_id, None, "there is no tenant 'acme'")]

    log.create_tenant()
    assert await log.redrive([kept], dry_run=True) == [(letter_id, event_id, "")]
    assert len(await log.all_of(EVENTS)) == 1
    for _ in range(2):
        assert await log.redrive([kept]) == [(letter_id, event_id, "")]

    first, *again = await log.all_of(EVENTS)
    assert [codec.decode(each).id for each in (first, *again)] == [event_id] * 3
    assert codec.decode(again[0]).time == first.recorded_at
    assert [each.foreign for each in (first, *again)] == [True, False, False]
    (kept,) = await find_letters(log.bus, Wanted(ids=[letter_id]))
    assert kept.redriven is not None
    assert kept.redriven.event_id == event_id


class EventsAway(PassingBus):
    """As where brokers lead different topics, and the one of events does not answer."""

    async def append(self, records: Sequence[NewRecord]) -> Sequence[Position]:
        positions = await self.beneath.append([each for each in records if each.topic != EVENTS])
        if len(positions) < len(records):
            raise AppendInDoubt("no answer to an append to upshot.events")
        return positions


async def test_a_letter_is_not_done_with_where_its_event_was_lost(log: Log) -> None:
    log.create_tenant()
    await log.letter(foreign())
    (kept,) = await find_letters(log.bus, Wanted())
    with pytest.raises(AppendInDoubt):
        _ = [each async for each in redriven(EventsAway(log.bus), log.definitions, [kept], dry_run=False)]
    (kept,) = await find_letters(log.bus, Wanted())
    assert kept.redriven is None


async def test_what_upshot_itself_wrote_stays_its_own_and_a_forgery_stays_one(log: Log) -> None:
    log.create_tenant()
    ours = log.bus.seal.stamp(codec.encode(EVENTS, OWN))
    own = await log.letter(replace(ours, origin=None))
    forged = await log.letter(foreign(codec.encode(EVENTS, OWN).headers))
    told = {letter: event for letter, event, _ in await log.redrive(await find_letters(log.bus, Wanted()))}
    assert told == {own: "e-7", forged: None}


async def test_what_was_too_large_for_a_letter_is_read_where_it_lies(log: Log) -> None:
    log.create_tenant()
    padded = (*HEADERS, ("x-trace", b"x" * CARRIED_BYTES_MAX))
    letter_id = await log.letter(foreign(padded))
    (kept,) = await find_letters(log.bus, Wanted())
    assert kept.letter.omitted_bytes
    assert await log.redrive([kept]) == [(letter_id, published_event_id("acme", "/shop", "o-1"), "")]


async def test_letters_are_found_by_what_an_operator_knows(log: Log) -> None:
    first = await log.letter(foreign(), "no ce_id")
    second = await log.letter(foreign(), "There is no TENANT 'x'")
    found = {
        reason: [kept.letter.id for kept in await find_letters(log.bus, Wanted(reason=reason))]
        for reason in ("", "tenant")
    }
    assert found == {"": [first, second], "tenant": [second]}
    partition = int(first.split("/")[1])
    assert len(await find_letters(log.bus, Wanted(topic=EVENTS, partitions=(partition, partition)))) == 2
    assert await find_letters(log.bus, Wanted(partitions=(partition + 1, 99))) == []
    assert await find_letters(log.bus, Wanted(topic=DEADLETTERS)) == []
    assert await find_letters(log.bus, Wanted(since=SystemClock().now())) == []
