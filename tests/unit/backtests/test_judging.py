"""A backtest of the live revision finds exactly what the matcher matched, whatever the workflow and the events."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from services.backtests.service.asking import job_of
from services.backtests.service.protocol import Began, Ended, Failed, Job, Message
from services.backtests.service.worker import run_backtest
from services.backtests.settings import BacktestsSettings
from services.executor.actions import discover_actions
from services.matcher.service.matching import Matching
from services.matcher.settings import MatcherSettings
from services.matcher.triggers import discover_triggers
from services.previews import ActionPreviews
from shared.bus import codec, facts
from shared.bus.adapters.memory import MemoryBus
from shared.bus.partitioner import partition_of
from shared.bus.port import NewRecord, Record
from shared.bus.ranges import BusRange
from shared.bus.sizes import RECORD_BYTES_MAX_DEFAULT
from shared.bus.topics import EVENTS
from shared.domain.definitions import Change, Definitions, Tenant, Workflow
from shared.domain.envelope import Event
from shared.domain.records import EventMatched
from shared.domain.verdicts import Verdict
from shared.matching import event_from_value, matches, narrowed, parse_pattern
from shared.testing.documents import wait, workflow
from shared.testing.examples import examples
from shared.testing.workflows import save, tenant_with
from shared.workflows.catalogue import Catalogue

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
TENANT = "acme"
PARTITION = partition_of(TENANT.encode(), 32)
NEIGHBOUR = next(name for name in (f"shop-{n}" for n in range(1000)) if partition_of(name.encode(), 32) == PARTITION)
CATALOGUE = Catalogue(actions=discover_actions(), triggers=discover_triggers(), event_schemas={})
PREVIEWS = ActionPreviews(discover_actions())

# Few words, so that patterns and events meet often.
WORDS = st.sampled_from(["order.paid", "order.sent", "refund", "eu", "us", ""])
NUMBERS = st.sampled_from([0, 1, 7, 1.5, 12345678901234567890123])
TEXTS = st.one_of(
    st.sampled_from(["order.paid", "refund", "eu", "us", "/shop"]),
    st.just({"exists": True}),
    st.just({"exists": False}),
    st.just({"prefix": "or"}),
    st.just({"anything-but": ["eu", "refund"]}),
)
VALUES = st.one_of(WORDS, NUMBERS, st.just({"exists": False}), st.just({"numeric": [">", 0]}))


def clauses(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(leaves, min_size=1, max_size=2)


FIELDS = {
    "type": clauses(TEXTS),
    "source": clauses(TEXTS),
    "subject": clauses(TEXTS),
    "data": st.one_of(
        st.fixed_dictionaries({"a": clauses(VALUES)}),
        st.fixed_dictionaries({"b": st.fixed_dictionaries({"c": clauses(VALUES)})}),
    ),
}
# One or two fields: with more of them, next to nothing matches.
PATTERNS = st.sets(st.sampled_from(sorted(FIELDS)), min_size=1, max_size=2).flatmap(
    lambda names: st.fixed_dictionaries({name: FIELDS[name] for name in sorted(names)})
)
CONDITIONS = st.sampled_from(
    [None, "event.data.a == 1", "event.subject == 'eu'", "event.nothing", "workflow.revision == 1"]
)
DATA = st.one_of(
    st.none(),
    st.just(b"{broken"),
    st.fixed_dictionaries({}, optional={"a": st.one_of(WORDS, NUMBERS), "b": st.fixed_dictionaries({"c": WORDS})}),
)


@st.composite
def events(draw: st.DrawFn) -> Event:
    data = draw(DATA)
    return Event(
        id=f"event-{draw(st.integers(0, 40))}",
        source=draw(st.sampled_from(["eu", "us", "/shop"])),
        type=draw(st.sampled_from(["order.paid", "order.sent", "refund"])),
        tenant_id=draw(st.sampled_from([TENANT, TENANT, TENANT, NEIGHBOUR])),
        data=data if data is None or isinstance(data, bytes) else orjson.dumps(_within_64_bits(data)),
        subject=draw(st.sampled_from([None, "eu", "us"])),
        version=draw(st.sampled_from([1, 1, 1, 2])),
    )


def _within_64_bits(value: Any) -> Any:
    if isinstance(value, int) and value > 2**63:
        return orjson.Fragment(str(value))
    return {key: _within_64_bits(each) for key, each in value.items()} if isinstance(value, dict) else value


class Clock:
    """Each look is a second later."""

    def __init__(self) -> None:
        self.instant = START

    def now(self) -> datetime:
        self.instant += timedelta(seconds=1)
        return self.instant

    def monotonic(self) -> float:
        return self.instant.timestamp()


SETTINGS = BacktestsSettings(batch_records=7, cpu_share_max=1.0, nice=0, progress_interval_seconds=0.001)


def job(tenant: Tenant, candidate: Workflow, live: Workflow | None = None, **given: Any) -> Job:
    asked = job_of(
        tenant,
        candidate,
        live,
        SETTINGS,
        partition=partition_of(tenant.id.encode(), 32),
        since=START - timedelta(days=1),
        until=START + timedelta(days=1),
        samples=3,
        is_draft=False,
        saved_id=candidate.id,
    )
    return replace(asked, **given)


async def messages_of(bus: MemoryBus, asked: Job) -> list[Message]:
    told: list[Message] = []
    log = BusRange(bus, EVENTS, asked.partition)
    await run_backtest(asked, log, CATALOGUE, PREVIEWS, Clock(), lambda: 0.0, told.append)
    await log.close()
    return told


def matched_by_the_stream(tenant: Tenant, saved: Workflow, records: list[Record]) -> list[str]:
    """Ids of the events for which the matcher asks for a run, the first time that it does."""
    definitions = Definitions()
    definitions._tenants[tenant.id] = tenant
    matching = Matching(
        definitions,
        CATALOGUE,
        MatcherSettings(),
        Clock(),
        partition_count=32,
        record_bytes_max=RECORD_BYTES_MAX_DEFAULT,
        cpu_seconds=lambda: 0.0,
    )
    verdict = Verdict(command_id="c", payload_hash="", status=201, body={}, decided_at=START)
    matching.definition_changed(Change(tenant_id=tenant.id, entity=saved, verdict=verdict))
    found: list[str] = []
    for produced in matching.handle_batch(partition_of(tenant.id.encode(), 32), records).records:
        event = codec.decode(produced)
        if event.type == EventMatched.TYPE:
            fact = facts.runs_fact(event)
            assert isinstance(fact, EventMatched)
            found.append(fact.event.id)
    return list(dict.fromkeys(found))


COUNTS = st.sampled_from(
    [None, None, {"event": "order.paid", "times": 2, "within_seconds": 5, "key": "{{ event.subject }}"}]
)


@settings(max_examples=examples(150))
@given(pattern=PATTERNS, count=COUNTS, condition=CONDITIONS, happened=st.lists(events(), max_size=30))
def test_it_finds_what_the_stream_matched(
    pattern: Any, count: Any, condition: str | None, happened: list[Event]
) -> None:
    tenant = tenant_with()
    document = workflow("Live", "order.*", wait(0))
    document["trigger"] = {"pattern": pattern} if count is None else [{"pattern": pattern}, {"count": count}]
    if condition is not None:
        document["if"] = condition
    saved = save(tenant, document, CATALOGUE)

    async def both() -> tuple[list[str], list[Message]]:
        bus = MemoryBus(Clock())
        await bus.append([_record(event) for event in happened])
        told = await messages_of(bus, job(tenant, saved, samples_max=100))
        return matched_by_the_stream(tenant, saved, list(bus.log(EVENTS, PARTITION))), told

    expected, told = asyncio.run(both())
    ended = told[-1]
    assert isinstance(ended, Ended)
    assert ended.report.matches == len(expected)
    assert [sample.event.id for sample in ended.report.samples] == expected
    own_events = [event for event in happened if event.tenant_id == TENANT]
    assert ended.report.events == len(own_events)
    assert sum(day.matches for day in ended.report.matches_per_day) == ended.report.matches


def _record(event: Event) -> NewRecord:
    """As a reader in another process gets it."""
    return replace(codec.encode(EVENTS, event), origin=None)


@given(
    pattern=PATTERNS,
    data=DATA.map(lambda data: data if isinstance(data, dict) else {}),
    subject=st.sampled_from([None, "eu"]),
)
def test_a_narrowed_pattern_refuses_nothing_that_the_whole_one_matches(pattern: Any, data: Any, subject: Any) -> None:
    whole = parse_pattern(orjson.dumps(_within_64_bits_deep(pattern)))
    seen = {"type": "order.paid", "source": "eu", "data": data, **({"subject": subject} if subject else {})}
    event = event_from_value(seen)
    for paths in ({"type"}, {"type", "source", "subject"}, {"data.a"}, set(whole.paths)):
        narrow = narrowed(whole, paths)
        if narrow is not None and matches(whole, event):
            assert matches(narrow, event_from_value({**seen}))
    assert narrowed(whole, set()) is None
    assert narrowed(whole, whole.paths) == whole


def _within_64_bits_deep(value: Any) -> Any:
    if isinstance(value, list):
        return [_within_64_bits_deep(each) for each in value]
    if isinstance(value, dict):
        return {key: _within_64_bits_deep(each) for key, each in value.items()}
    return _within_64_bits(value)


def _happened(number: int, **given: Any) -> Event:
    shape = {"source": "/shop", "type": "order.paid", "tenant_id": TENANT, "data": b'{"n":%d}' % number, **given}
    return Event(id=f"e{number}", **shape)


async def test_the_range_is_fixed_at_the_start_and_gives_the_same_report_again() -> None:
    tenant, bus = tenant_with(), MemoryBus(Clock())
    saved = save(tenant, workflow("All", "order.*", wait(0)), CATALOGUE)
    await bus.append([_record(_happened(n)) for n in range(20)])
    asked = job(tenant, saved)
    told: list[Message] = []

    class Growing(BusRange):
        """Somebody goes on writing between two reads."""

        async def read(self, low: int, high: int, *, records_max: int, tenant_id: str | None = None) -> Any:
            await bus.append([_record(_happened(1000 + low))])
            return await super().read(low, high, records_max=records_max, tenant_id=tenant_id)

    growing = Growing(bus, EVENTS, asked.partition)
    await run_backtest(asked, growing, CATALOGUE, PREVIEWS, Clock(), lambda: 0.0, told.append)
    await growing.close()
    first, last = told[0], told[-1]
    assert isinstance(first, Began)
    assert isinstance(last, Ended)
    assert (first.range.from_offset, first.range.to_offset) == (0, 20)
    assert last.report.matches == 20
    again = (await messages_of(bus, replace(asked, until=first_instant_after(bus, asked, 20))))[-1]
    assert isinstance(again, Ended)
    assert (again.report.range.from_offset, again.report.range.to_offset) == (0, 20)
    same = {"range": again.report.range, "matches_per_day": again.report.matches_per_day}
    assert again.report == replace(last.report, **same)


def first_instant_after(bus: MemoryBus, asked: Job, offset: int) -> datetime:
    return bus.log(EVENTS, asked.partition)[offset].recorded_at


async def test_since_and_until_are_found_by_append_time() -> None:
    clock = Clock()
    tenant, bus = tenant_with(), MemoryBus(clock)
    saved = save(tenant, workflow("All", "order.*", wait(0)), CATALOGUE)
    for number in range(10):
        await bus.append([_record(_happened(number))])
    log = bus.log(EVENTS, partition_of(TENANT.encode(), 32))
    found = await messages_of(bus, job(tenant, saved, since=log[3].recorded_at, until=log[7].recorded_at))
    ended = found[-1]
    assert isinstance(ended, Ended)
    assert [sample.event.id for sample in ended.report.samples] == ["e3", "e4", "e5"]
    assert ended.report.matches == 4


async def test_limits_hold_in_log_time_as_the_fold_of_runs_holds_them() -> None:
    tenant, bus = tenant_with(), MemoryBus(Clock())
    cooldown = {"cooldown": {"seconds": 3, "key": "{{ event.subject }}"}, "max_runs_per_day": 4}
    saved = save(tenant, workflow("Held", "order.*", wait(0), limits=cooldown, approval={"when": "always"}), CATALOGUE)
    for number in range(12):
        await bus.append([_record(_happened(number, subject="left" if number % 2 else "right"))])
    await bus.append([_record(_happened(99))])
    ended = (await messages_of(bus, job(tenant, saved)))[-1]
    assert isinstance(ended, Ended)
    report = ended.report
    assert (report.matches, report.admitted, report.approvals) == (13, 4, 4)
    assert report.held == {"cooldown": 4, "cooldown_key": 1, "runs_per_day": 4}
    assert report.matches == report.admitted + sum(report.held.values())


async def test_counts_are_kept_from_one_event_to_the_next() -> None:
    tenant, bus = tenant_with(), MemoryBus(Clock())
    document = workflow("Third", "order.*", wait(0))
    document["trigger"] = {
        "count": {"event": "order.paid", "times": 3, "within_seconds": 60, "key": "{{ event.subject }}"}
    }
    saved = save(tenant, document, CATALOGUE)
    for number in range(12):
        await bus.append([_record(_happened(number, subject="left" if number % 2 else "right"))])
    ended = (await messages_of(bus, job(tenant, saved, live=saved)))[-1]
    assert isinstance(ended, Ended)
    assert [sample.event.id for sample in ended.report.samples] == ["e4", "e5", "e10"]
    assert ended.report.difference is not None
    assert (ended.report.matches, ended.report.difference.both) == (4, 4)


async def test_how_often_the_condition_failed_is_told_with_its_reasons() -> None:
    tenant, bus = tenant_with(), MemoryBus(Clock())
    saved = save(tenant, workflow("Large", "order.*", wait(0), **{"if": "event.data.n > 3"}), CATALOGUE)
    for number, data in enumerate((b'{"n":7}', b"{}", b'{"n":"7"}', b'{"n":1}', b"{}")):
        await bus.append([_record(_happened(number, data=data))])
    await bus.append([_record(_happened(1, data=b"{}"))])
    ended = (await messages_of(bus, job(tenant, saved)))[-1]
    assert isinstance(ended, Ended)
    errors = ended.report.condition_errors
    assert (ended.report.matches, errors.count, ended.report.repeated) == (1, 3, 1)
    assert [(each.event.id, each.error.split(";")[0]) for each in errors.events] == [
        ("e1", "event.data.n is missing"),
        ("e2", errors.events[1].error),
        ("e4", "event.data.n is missing"),
    ]
    assert "does not take" in errors.events[1].error


async def test_no_reason_in_a_report_quotes_what_is_secret() -> None:
    tenant, bus = tenant_with(), MemoryBus(Clock())
    cooldown = {"cooldown": {"seconds": 60, "key": "{{ event.data.auth | json }}"}}
    condition = "event.subject == 'held' || {'a': true}[event.data.auth.map(k, event.data.auth[k])[0]]"
    saved = save(tenant, workflow("Held", "order.*", wait(0), limits=cooldown, **{"if": condition}), CATALOGUE)
    for number, subject in enumerate(("held", "held", "failed")):
        data = b'{"auth":{"password":"hunter2secret","pin_code":4711}}'
        await bus.append([_record(_happened(number, subject=subject, data=data))])
    hidden, told = [
        (await messages_of(bus, job(tenant, saved, hidden_names=names)))[-1] for names in (("password",), ("pin",))
    ]
    assert isinstance(hidden, Ended)
    assert (hidden.report.held, hidden.report.condition_errors.count) == ({"cooldown": 1}, 1)
    assert "hunter2secret" not in repr(hidden.report)
    assert repr(hidden.report).count("(hidden)") == 2
    assert isinstance(told, Ended)
    assert "4711" not in repr(told.report)


async def test_how_many_run_at_once_is_estimated_by_the_waits_of_the_steps() -> None:
    tenant, bus = tenant_with(), MemoryBus(Clock())
    steps = (wait(2, "first"), {**wait(3, "then"), "needs": ["first"]}, {**wait(1, "beside"), "needs": []})
    bound = {"limits": {"max_concurrent": 1, "max_queued": 1}}
    saved = save(tenant, workflow("One", "order.*", *steps, **bound), CATALOGUE)
    for number in range(8):
        await bus.append([_record(_happened(number))])
    ended = (await messages_of(bus, job(tenant, saved, samples_max=8)))[-1]
    assert isinstance(ended, Ended)
    report = ended.report
    # One a second, five seconds each: e0 runs, e1 waits; e5 takes the place in line that e1 leaves.
    held = [each.event.id for each in report.samples if each.held is not None]
    assert held == ["e2", "e3", "e4", "e6", "e7"]
    assert (report.admitted, report.queued, report.held) == (3, 2, {"queue_full": 5})
    look = next(each for each in report.limits if each.limit == "max_concurrent")
    assert (look.simulated, "at most 5 s" in look.why) == ("estimated", True)
    asking = save(tenant, workflow("Asks", "order.*", *steps, approval={"when": "always"}, **bound), CATALOGUE)
    ended = (await messages_of(bus, job(tenant, asking)))[-1]
    assert isinstance(ended, Ended)
    look = next(each for each in ended.report.limits if each.limit == "max_concurrent")
    assert (look.simulated, "a person" in look.why, ended.report.held) == ("no", True, {})


async def test_the_overlap_of_a_schedule_is_a_limit_too() -> None:
    tenant, bus = tenant_with(), MemoryBus(Clock())
    document = {**workflow("Clocked", "a.b", wait(90)), "trigger": {"schedule": {"cron": "* * * * *"}}}
    asked = job(tenant, save(tenant, document, CATALOGUE), since=START, until=START + timedelta(minutes=10))
    ended = (await messages_of(bus, asked))[-1]
    assert isinstance(ended, Ended)
    assert (ended.report.firings, ended.report.admitted, ended.report.held) == (10, 5, {"queue_full": 5})
    assert [each.limit for each in ended.report.limits] == ["max_depth", "schedule.overlap"]


async def test_what_is_waited_after_is_bounded_in_memory() -> None:
    tenant, bus = tenant_with(), MemoryBus(Clock())
    absence = {"after": {"event": "order.paid"}, "of": {"event": "x"}, "within_seconds": 3600, "key": "{{ event.id }}"}
    saved = save(tenant, {**workflow("Waits", "a.b", wait(0)), "trigger": {"absence": absence}}, CATALOGUE)
    for number in range(5):
        await bus.append([_record(_happened(number, data=orjson.dumps("x" * 1_000)))])
    failed = (await messages_of(bus, job(tenant, saved, waits_bytes_max=5_000)))[-1]
    assert isinstance(failed, Failed)
    assert "UPSHOT_BACKTESTS_WAITS_BYTES_MAX" in failed.detail


async def test_an_event_that_was_appended_twice_happened_once() -> None:
    tenant, bus = tenant_with(), MemoryBus(Clock())
    saved = save(tenant, workflow("All", "order.*", wait(0)), CATALOGUE)
    await bus.append([_record(_happened(1)), _record(_happened(2)), _record(_happened(1))])
    ended = (await messages_of(bus, job(tenant, saved)))[-1]
    assert isinstance(ended, Ended)
    assert (ended.report.events, ended.report.matches, ended.report.repeated) == (3, 2, 1)


async def test_what_the_stream_cannot_read_is_counted_and_matches_nothing() -> None:
    tenant, bus = tenant_with(), MemoryBus(Clock())
    document = workflow("All", "order.*", wait(0))
    document["trigger"]["pattern"] = {"data": {"n": [{"exists": True}]}}
    saved = save(tenant, document, CATALOGUE)
    await bus.append([_record(_happened(1, data=b"{broken")), _record(_happened(2))])
    ended = (await messages_of(bus, job(tenant, saved)))[-1]
    assert isinstance(ended, Ended)
    assert (ended.report.events, ended.report.unreadable, ended.report.matches) == (2, 1, 1)


async def test_samples_are_bounded_in_bytes() -> None:
    tenant, bus = tenant_with("sink"), MemoryBus(Clock())
    step = {"id": "tell", "uses": "notify.webhook", "with": {"endpoint": "sink", "body": "{{ event.data.text }}"}}
    saved = save(tenant, workflow("All", "order.*", step), CATALOGUE)
    long = orjson.dumps({"text": "x" * 5_000})
    await bus.append([_record(_happened(n, data=long if n else b'{"text":""}')) for n in range(3)])
    ended = (await messages_of(bus, job(tenant, saved, samples_bytes_max=3_000)))[-1]
    assert isinstance(ended, Ended)
    assert ([sample.event.id for sample in ended.report.samples], ended.report.samples_left_out) == (["e0"], 2)


async def test_a_revision_that_no_longer_compiles_is_told() -> None:
    tenant, bus = tenant_with(), MemoryBus(Clock())
    saved = save(tenant, workflow("All", "order.*", wait(0)), CATALOGUE)
    unusable = replace(saved, revisions=(replace(saved.newest, document={**saved.newest.document, "if": "("}),))
    (told,) = await messages_of(bus, job(tenant, unusable))
    assert isinstance(told, Failed)
