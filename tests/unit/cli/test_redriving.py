"""Dead letters on the log's port: found once each, redriven as the event that they always were, noted, and never twice new."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from services.cli import letter_originals
from services.cli.deadletters import Kept, Wanted, find_letters, redriven
from shared.bus import codec
from shared.bus.adapters.memory import MemoryBus
from shared.bus.copying import LogCopy
from shared.bus.deadletters import CARRIED_BYTES_MAX, dead_letter
from shared.bus.partitioner import partition_of
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
KEYS = (b"a", b"b", b"c", b"d", b"e")
OWN = Event(id="e-7", source="/upshot/matcher", type="upshot.schedule.fired", tenant_id="acme", data=b"{}")


class Log:
    """Partitions that others write to as well, and the matcher's letters about them."""

    def __init__(self, partition_count: int = 2) -> None:
        self.log = MemoryBus(SystemClock(), partition_count=partition_count)
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
        reader.assign(dict.fromkeys(range(self.bus.partition_count), 0))
        found = [each for records in (await reader.poll(timeout_seconds=0)).values() for each in records]
        return sorted((replace(each, origin=None) for each in found), key=lambda each: each.recorded_at)

    async def redrive(self, chosen: Sequence[Kept], *, dry_run: bool = False) -> list[tuple[str, str | None, str]]:
        told = redriven(self.bus, self.definitions, chosen, dry_run=dry_run)
        return [(kept.letter.id, event.id if event else None, reason) async for kept, event, reason in told]


def foreign(headers: Headers = HEADERS, value: bytes | None = b"{}", key: bytes = b"k") -> NewRecord:
    return NewRecord(topic=EVENTS, key=key, headers=headers, value=value)


def named(event_id: str) -> Headers:
    return tuple([(name, event_id.encode() if name == "ce_id" else value) for name, value in HEADERS])


def id_of(published: str) -> str:
    return published_event_id("acme", "/shop", published)


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(letter_originals, "READ_TIMEOUT_SECONDS", 0.01)


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


async def test_letters_of_a_copied_log_are_apart_from_those_told_since(log: Log) -> None:
    # given: a letter that was redriven, and one about a record too large for it, in a log that was then copied twice
    log.create_tenant()
    before = Log(1)
    zeroth, first = [next(key for key in KEYS if partition_of(key, 2) == partition) for partition in range(2)]
    await before.log.append([foreign(key=first)] * 9)
    old = await before.letter(foreign(named("old")), "old")
    (kept,) = await find_letters(before.bus, Wanted(ids=[old]))
    before.create_tenant()
    assert await before.redrive([kept]) == [(old, id_of("old"), "")]
    padded = (*named("padded"), ("x-trace", b"x" * CARRIED_BYTES_MAX))
    large = await before.letter(foreign(padded), "large")
    between = Log(3)
    for source, target, name in ((before, between, "first"), (between, log, "second")):
        for topic in (EVENTS, DEADLETTERS):
            await LogCopy(source.bus, target.bus, name, print).copy(topic)

    # when: a record becomes a letter at the very position of one of then
    new = ""
    while new != old:
        new = await log.letter(foreign(named("new"), key=zeroth), "new")

    # then
    found = {kept.letter.id: kept for kept in await find_letters(log.bus, Wanted())}
    assert found[new].letter.reason == "new"
    assert found[new].redriven is None
    assert found[f"first/{old}"].letter.reason == "old"
    assert found[f"first/{old}"].redriven is not None
    assert await log.redrive([found[f"first/{large}"]]) == [(f"first/{large}", id_of("padded"), "")]
    (kept,) = await find_letters(log.bus, Wanted(ids=[f"first/{large}"]))
    assert kept.redriven is not None


async def test_a_record_that_the_log_does_not_give_ends_nothing_else(log: Log) -> None:
    log.create_tenant()
    lost = await log.letter(foreign((*named("lost"), ("x-trace", b"x" * CARRIED_BYTES_MAX))))
    good = await log.letter(foreign(named("good")))
    chosen = await find_letters(log.bus, Wanted())
    log.log.log(EVENTS, 0).clear()
    log.log.log(EVENTS, 1).clear()
    (told, *others) = await log.redrive(chosen)
    assert told[:2] == (lost, None)
    assert "does not give offset" in told[2]
    assert others == [(good, id_of("good"), "")]


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
