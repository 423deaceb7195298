"""From an event in the log to a signed delivery at a real receiver: matcher, fold, executor and approvals together."""

import asyncio
import contextlib
import gc
import weakref
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import orjson
import pytest
import yaml

from services.approvals.service import Approvals
from services.approvals.settings import ApprovalsSettings
from services.executor.actions import Action, Attempt, Prepared, Scene, Tools, discover_actions
from services.executor.actions.wait import Wait
from services.executor.core.outcome import Outcome
from services.executor.service import Executor
from services.executor.service.carrying import Carrier
from services.executor.settings import ExecutorSettings
from services.matcher.service import Matcher, Matching
from services.matcher.settings import MatcherSettings
from services.matcher.triggers import discover_triggers
from shared.bus import codec, facts
from shared.bus.adapters.memory import MemoryBus
from shared.bus.deadletters import DeadLetter, read_letter
from shared.bus.facts import Cause
from shared.bus.port import NewRecord, Position
from shared.bus.sizes import RECORD_BYTES_MAX_DEFAULT
from shared.bus.topics import DEADLETTERS, DEFINITIONS, EVENTS, RUNS
from shared.domain.envelope import Event
from shared.domain.errors import TransientError
from shared.domain.ids import delivered_event_id
from shared.domain.records import (
    ApprovalDecided,
    Command,
    DefinitionsFact,
    EndpointCreated,
    RunCancelled,
    RunsFact,
    TenantCreated,
    WorkflowSaved,
)
from shared.domain.retry import NO_RETRY, RetryPolicy
from shared.domain.runs.delta import RunsDelta
from shared.domain.runs.state import Run
from shared.expressions.limits import Meter
from shared.runtime.clock import SystemClock, SystemRandomness
from shared.runtime.definitions import DefinitionsFollower
from shared.runtime.egress import EgressSettings, OutgoingClient
from shared.runtime.shard import Shard
from shared.runtime.shards import RunsFollower
from shared.testing.folds import NothingRemembered
from shared.testing.receivers import Hang, Receiver, Reply, Reset, receiver
from shared.testing.waiting import eventually
from shared.workflows.catalogue import Catalogue
from shared.workflows.check import check_document
from shared.workflows.document import parse_document

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
LONG_AGO = datetime(2026, 3, 1, tzinfo=UTC)
CATALOGUE = Catalogue(actions=discover_actions(), triggers=discover_triggers(), event_schemas={})


@pytest.fixture(params=["4194304", "0"], ids=["parsed", "as-text"])
def held(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """However runs are held that are not carried out just now."""
    monkeypatch.setenv("UPSHOT_RUNS_PARSED_BYTES_MAX", request.param)


class Watch:
    """An actor that only looks: wakes whoever waits for a run's state."""

    def __init__(self) -> None:
        self.runs: dict[str, Run] = {}
        self._changed = asyncio.Condition()

    def restored(self, shard: Shard) -> None:
        self.runs.update(shard.fold.runs)

    def folded(self, shard: Shard, delta: RunsDelta) -> None:
        self.runs.update(delta.runs)
        self._task = asyncio.ensure_future(self._notify())

    def revoked(self, shard: Shard) -> None:
        pass

    def halted(self, shard: Shard) -> None:
        pass

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def until_status(self, *statuses: str, count: int = 1) -> list[Run]:
        async with asyncio.timeout(30), self._changed:
            while True:
                found = [run for run in self.runs.values() if run.status in statuses]
                if len(found) >= count:
                    return found
                await self._changed.wait()


@dataclass
class Platform:
    bus: MemoryBus
    watch: Watch
    receiver: Receiver
    clock: SystemClock
    follower: RunsFollower
    executor: Executor
    approvals: Approvals
    number: int = 0

    async def waits_for(self, count: int) -> None:
        """So many instants in the executor, and so many deadlines."""

        async def waits() -> bool:
            return (self.executor.timers, self.approvals.pending) == (count, count)

        await eventually(waits, f"{count} timers and deadlines")

    async def define(self, fact: DefinitionsFact) -> None:
        await self._append(DEFINITIONS, fact)

    async def tell(self, fact: RunsFact) -> None:
        await self._append(RUNS, fact)

    async def _append(self, topic: str, fact: DefinitionsFact | RunsFact) -> None:
        self.number += 1
        cause = Cause(causation_id=None, correlation_id=None)
        event = facts.envelop(
            fact, id=f"c{self.number}", tenant_id="acme", source="/test", at=self.clock.now(), cause=cause
        )
        await self.bus.append([codec.encode(topic, event)])

    async def save(self, text: str) -> None:
        checked = check_document(parse_document(yaml.safe_load(text)), CATALOGUE)
        self.number += 1
        await self.define(
            WorkflowSaved(
                workflow_id=f"w{self.number}",
                base_revision=None,
                document=checked.document,
                steps=checked.steps,
                high_risk=checked.high_risk,
                command=command(self.number),
            )
        )

    async def happen(
        self, delivery: str, data: object, type_: str = "order.refunded", time: datetime = LONG_AGO
    ) -> None:
        event = Event(
            id=delivered_event_id("acme", "s1", delivery, 0),
            source="/upshot/sources/s1",
            type=type_,
            tenant_id="acme",
            data=orjson.dumps(data),
            time=time,
            causation_id=delivery,
        )
        await self.bus.append([codec.encode(EVENTS, event)])


def command(number: int, actor: str = "ann", roles: tuple[str, ...] = ()) -> Command:
    return Command(id=f"command-{number}-{actor}", payload_hash="", actor=actor, roles=roles)


@contextlib.asynccontextmanager
async def running(
    *,
    record_bytes_max: int = RECORD_BYTES_MAX_DEFAULT,
    append_records_max: int = 1000,
    actions: Mapping[str, Action] | None = None,
) -> AsyncIterator[Platform]:
    clock = SystemClock()
    bus = MemoryBus(clock, partition_count=4, record_bytes_max=record_bytes_max)
    settings = MatcherSettings(append_records_max=append_records_max)
    async with contextlib.AsyncExitStack() as stack:
        target = await stack.enter_async_context(receiver(clock))
        outgoing = await stack.enter_async_context(
            await OutgoingClient.open(EgressSettings(allow=target.authority), clock=clock)
        )
        definitions = DefinitionsFollower(bus)
        matching = Matching(
            definitions.definitions,
            CATALOGUE,
            settings,
            clock,
            partition_count=bus.partition_count,
            record_bytes_max=bus.record_bytes_max,
        )
        definitions.listen(matching.definition_changed)
        await definitions.start()
        stack.push_async_callback(definitions.close)

        async def unseal(tenant_id: str, sealed: str) -> str:
            return sealed

        async def publish(event: Event) -> None:
            await bus.append([codec.encode(EVENTS, event)])

        carrier = Carrier(
            bus=bus,
            definitions=definitions,
            actions=actions or discover_actions(),
            tools=Tools(outgoing=outgoing, unseal=unseal, publish=publish, clock=clock, response_bytes_max=1000),
            settings=ExecutorSettings(),
            clock=clock,
            randomness=SystemRandomness(),
        )
        executor = Executor(carrier, ExecutorSettings(bug_pause_seconds=0.01, bug_pause_seconds_max=0.02), clock)
        approvals = Approvals(bus, ApprovalsSettings(), clock)
        watch = Watch()
        follower = RunsFollower(bus, NothingRemembered(), [executor, approvals, watch], group="runs", member_id="m1")
        matcher = Matcher(
            bus,
            definitions,
            matching,
            settings,
            member_id="m1",
            snapshots=NothingRemembered(),
            clock=clock,
        )
        tasks = [asyncio.create_task(each.run()) for each in (executor, approvals, follower, matcher)]
        platform = Platform(bus, watch, target, clock, follower, executor, approvals)
        await platform.define(TenantCreated(name="acme", plan="free", command=command(0)))
        await platform.define(
            EndpointCreated(
                endpoint_id="e1", name="finance", url=target.url("/hook"), secrets=(SECRET,), command=command(1)
            )
        )
        try:
            yield platform
        finally:
            await executor.drain(1)
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            await bus.close()
            for result in results:
                if isinstance(result, Exception):
                    raise result


REFUNDS = """
name: refunds
trigger: {event: order.refunded, pattern: {data: {amount_minor: [{numeric: [">", 100]}]}}}
if: "event.data.currency == 'EUR'"
steps:
  - id: tell
    uses: notify.webhook
    with: {endpoint: finance, body: {text: "Refund of {{ event.data.amount_minor }}", amount: "{{ event.data.amount_minor }}"}}
"""


@pytest.mark.usefixtures("held")
async def test_an_event_becomes_one_signed_delivery() -> None:
    async with running() as it:
        await it.save(REFUNDS)
        await it.happen("d1", {"amount_minor": 5000, "currency": "EUR"})
        await it.happen("d1", {"amount_minor": 5000, "currency": "EUR"})
        await it.happen("d2", {"amount_minor": 50, "currency": "EUR"})
        await it.happen("d3", {"amount_minor": 5000, "currency": "USD"})
        runs = await it.watch.until_status("succeeded")
        await it.receiver.wait_for(1)
        assert len(runs) == 1
        assert len(it.receiver.requests) == 1
        assert orjson.loads(it.receiver.requests[0].body)["data"] == {"text": "Refund of 5000", "amount": 5000}


@pytest.mark.usefixtures("held")
async def test_integers_beyond_64_bits_reach_the_receiver_digit_by_digit() -> None:
    async with running() as it:
        await it.save("""
name: precise
trigger: {event: order.refunded}
steps: [{id: tell, uses: notify.webhook, with: {endpoint: finance}}]
""")
        await it.happen("d1", orjson.Fragment(b'{"n":123456789012345678901234567890}'))
        await it.watch.until_status("succeeded")
        assert b"123456789012345678901234567890" in it.receiver.requests[0].body


@pytest.mark.usefixtures("held")
async def test_a_failed_attempt_is_repeated_with_the_same_bytes() -> None:
    async with running() as it:
        it.receiver.behave("/hook", Reply(status=500), Reply(status=200))
        await it.save(REFUNDS + "    retry: {max_attempts: 3, initial_seconds: 0.01}\n")
        await it.happen("d1", {"amount_minor": 5000, "currency": "EUR"})
        await it.watch.until_status("succeeded")
        first, second = it.receiver.requests
        assert first.body == second.body
        assert first.headers["webhook-id"] == second.headers["webhook-id"]


@pytest.mark.usefixtures("held")
async def test_steps_follow_each_other_and_see_what_came_before() -> None:
    async with running() as it:
        it.receiver.behave(
            "/ask", Reply(status=200, body=b'{"vip": true}', headers={"content-type": "application/json"})
        )
        await it.save(f"""
name: steps
trigger: {{event: order.refunded}}
approval: {{when: never}}
steps:
  - {{id: ask, uses: http.request, with: {{url: "{it.receiver.url("/ask")}", body: {{a: 1}}}}}}
  - {{id: pause, uses: wait, with: {{seconds: 0.05}}}}
  - {{id: never, uses: wait, if: "steps.ask.output.body.vip == false", with: {{seconds: 100}}}}
  - id: emit
    uses: event.emit
    if: steps.ask.output.body.vip
    with: {{type: acme.seen, data: {{vip: "{{{{ steps.ask.output.body.vip }}}}"}}}}
""")
        await it.save("""
name: chained
trigger: {pattern: {type: [acme.seen], data: {vip: [true]}}}
steps: [{id: tell, uses: notify.webhook, with: {endpoint: finance}}]
""")
        await it.happen("d1", {})
        runs = await it.watch.until_status("succeeded", "failed", count=2)
        assert [run.status for run in runs] == ["succeeded", "succeeded"], [run.reason for run in runs]
        assert {step.id: step.status for step in runs[0].steps.values()}["never"] == "skipped"
        assert runs[1].event is not None
        assert runs[1].event.causal_chain == (runs[0].match.workflow_id,)


@pytest.mark.usefixtures("held")
@pytest.mark.parametrize(("decision", "ends"), [("granted", "succeeded"), ("denied", "denied")])
async def test_a_risky_run_waits_for_a_person(decision: str, ends: str) -> None:
    async with running() as it:
        await it.save(f"""
name: risky
trigger: {{event: order.refunded}}
steps: [{{id: call, uses: http.request, with: {{url: "{it.receiver.url("/risky")}"}}}}]
""")
        await it.happen("d1", {"n": 12345678901234567890, "f": 1.10})
        (run,) = await it.watch.until_status("pending_approval")
        assert not it.receiver.requests
        rule = run.match.approval
        assert rule is not None
        await it.tell(
            ApprovalDecided(
                run_id=run.id,
                decision="granted" if decision == "granted" else "denied",
                reason="",
                subject_hash=rule.subject_hash,
                command=command(9, "ben", ("automation:approve",)),
            )
        )
        (run,) = await it.watch.until_status(ends)
        assert len(it.receiver.requests) == (1 if ends == "succeeded" else 0)


async def test_an_approval_of_more_than_can_be_shown_starts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """An earlier version asked for such: it bounded each step alone."""
    async with running() as it:
        steps = "".join(
            f"""
  - {{id: s{number}, uses: event.emit, with: {{type: acme.seen, data: {{it: "{{{{ event.data.text }}}}"}}}}}}"""
            for number in range(12)
        )
        await it.save(f"""
name: much
trigger: {{event: order.refunded}}
approval: {{when: always}}
steps:{steps}
""")
        with monkeypatch.context() as earlier:
            earlier.setattr("shared.workflows.subject.shared_meter", Meter)
            await it.happen("d1", {"text": "x" * 100_000})
            (run,) = await it.watch.until_status("pending_approval")
        assert run.match.approval is not None
        decided = ApprovalDecided(
            run_id=run.id,
            decision="granted",
            reason="",
            subject_hash=run.match.approval.subject_hash,
            command=command(9, "ben", ("automation:approve",)),
        )
        await it.tell(decided)
        (run,) = await it.watch.until_status("failed")
        assert "cannot be shown" in str(run.reason)


@pytest.mark.usefixtures("held")
async def test_a_partition_that_is_restored_anew_goes_on_with_what_waits() -> None:
    async with running() as it:
        await it.save("""
name: patient
trigger: {event: order.refunded}
steps:
  - {id: pause, uses: wait, with: {seconds: 1.6}}
  - {id: tell, uses: notify.webhook, with: {endpoint: finance}}
""")
        await it.happen("d1", {})
        await it.watch.until_status("running")
        for partition in list(it.follower.shards):
            await it.follower.restore_again(partition)
        await it.watch.until_status("succeeded")
        assert len(it.receiver.requests) == 1


@pytest.mark.parametrize("on_unknown", ["ask", "fail", "retry"])
async def test_a_call_under_way_while_its_partition_is_restored_anew_is_neither_unknown_nor_repeated(
    on_unknown: str,
) -> None:
    async with running() as it:
        it.receiver.behave("/charge", Hang())
        await it.save(f"""
name: charging
trigger: {{event: order.refunded}}
approval: {{when: never}}
steps: [{{id: charge, uses: http.request, on_unknown: {on_unknown}, with: {{url: "{it.receiver.url("/charge")}"}}}}]
""")
        await it.happen("d1", {})
        await it.receiver.wait_for(1)
        former = dict(it.follower.shards)
        for partition in former:
            await it.follower.restore_again(partition)

        async def anew() -> bool:
            shards = it.follower.shards
            return it.follower.level and all(shards[partition] is not each for partition, each in former.items())

        await eventually(anew, "all is restored anew")
        await it.save("""
name: behind
trigger: {event: order.created}
steps: [{id: tell, uses: notify.webhook, with: {endpoint: finance}}]
""")
        await it.happen("d2", {}, "order.created")
        await it.watch.until_status("succeeded", "failed")
        it.receiver.release("/charge")
        await it.watch.until_status("succeeded", "failed", count=2)
        (charged,) = (run for run in it.watch.runs.values() if "charge" in run.steps)
        assert [attempt.outcome for attempt in charged.steps["charge"].attempts] == ["succeeded"]
        assert (charged.status, len(charged.positions)) == ("succeeded", 3), (
            "nothing was said about it but what became of it"
        )
        assert sum(each.path_qs == "/charge" for each in it.receiver.requests) == 1


async def test_an_expiry_that_the_log_is_slow_to_take_is_not_given_to_it_again_and_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("UPSHOT_APPROVALS_RECHECK_SECONDS", "0.05")
    async with running() as it:
        await it.save("""
name: held
trigger: {event: order.refunded}
approval: {when: always, expires_in_seconds: 1}
steps: [{id: tell, uses: notify.webhook, with: {endpoint: finance}}]
""")
        await it.happen("d1", {})
        (run,) = await it.watch.until_status("pending_approval")
        append, given = it.bus.append, 0

        async def slowly(records: Sequence[NewRecord]) -> Sequence[Position]:
            nonlocal given
            given += 1
            if given == 1:
                raise TransientError("not now")
            await asyncio.sleep(0.5)
            return await append(records)

        monkeypatch.setattr(it.bus, "append", slowly)
        await it.watch.until_status("expired")
        assert (run.status, given) == ("expired", 2)


@pytest.mark.parametrize("how", ["denied", "cancelled", "taken away"])
async def test_what_has_ended_or_is_carried_on_elsewhere_is_not_kept_until_it_would_have_been_due(how: str) -> None:
    async with running() as it:
        await it.save("""
name: held
trigger: {event: order.refunded}
approval: {when: always}
steps: [{id: tell, uses: notify.webhook, with: {endpoint: finance}}]
""")
        await it.save("""
name: patient
trigger: {event: order.refunded}
steps: [{id: pause, uses: wait, with: {seconds: 1000000}}]
""")
        await it.happen("d1", {})
        (patient,) = await it.watch.until_status("running")
        (held,) = await it.watch.until_status("pending_approval")
        rule = held.match.approval
        assert rule is not None
        await it.waits_for(1)
        shards = [weakref.ref(shard) for shard in it.follower.shards.values()]
        if how == "taken away":
            for partition in list(it.follower.shards):
                await it.follower.restore_again(partition)
            await it.happen("d2", {})
            await it.watch.until_status("pending_approval", count=2)
            await it.waits_for(2)
            gc.collect()
            assert not any(shard() for shard in shards)
            return
        if how == "denied":
            word = ApprovalDecided(
                run_id=held.id,
                decision="denied",
                reason="",
                subject_hash=rule.subject_hash,
                command=command(9, "ben", ("automation:approve",)),
            )
            await it.tell(word)
        else:
            await it.tell(RunCancelled(run_id=held.id, reason="", command=command(8)))
        await it.tell(RunCancelled(run_id=patient.id, reason="", command=command(9)))
        await it.watch.until_status("cancelled", "denied", count=2)
        await it.waits_for(0)


ABSENCE = """
name: unpaid
trigger:
  absence:
    after: {event: order.created}
    of: {event: order.paid}
    within_seconds: 1
    lateness_seconds: 1
    key: "{{ event.data.order }}"
if: "event.data.total > 10"
steps: [{id: tell, uses: notify.webhook, with: {endpoint: finance, body: {order: "{{ event.data.order }}"}}}]
"""


async def test_what_was_not_followed_in_time_starts_a_run_about_what_it_should_have_followed() -> None:
    async with running() as it:
        await it.save(ABSENCE)
        now = it.clock.now() + timedelta(seconds=1)
        await it.happen("a", {"order": "paid", "total": 100}, "order.created", now)
        await it.happen("b", {"order": "unpaid", "total": 100}, "order.created", now)
        await it.happen("b", {"order": "unpaid", "total": 100}, "order.created", now)
        await it.happen("c", {"order": "small", "total": 1}, "order.created", now)
        await it.happen("d", {"order": "paid"}, "order.paid", now)
        await it.happen("e", {"order": "other"}, "order.paid", now)
        (run,) = await it.watch.until_status("succeeded", "failed")
        (request,) = it.receiver.requests
        assert orjson.loads(request.body)["data"] == {"order": "unpaid"}
        assert run.event is not None
        assert (run.event.type, run.status) == ("order.created", "succeeded")


async def test_so_many_events_of_one_key_start_one_run() -> None:
    async with running() as it:
        await it.save("""
name: burst
trigger: {count: {event: authz.denied, times: 3, within_seconds: 60, key: "{{ event.data.user }}"}}
steps: [{id: tell, uses: notify.webhook, with: {endpoint: finance, body: {n: "{{ event.data.n }}"}}}]
""")
        now = it.clock.now()
        for number, user in enumerate("abaabaaab"):
            await it.happen(f"{user}{number}", {"user": user, "n": number}, "authz.denied", now)
            await it.happen(f"{user}{number}", {"user": user, "n": number}, "authz.denied", now)
        runs = await it.watch.until_status("succeeded", "failed", count=3)
        told = sorted(orjson.loads(each.body)["data"]["n"] for each in it.receiver.requests)
        assert told == [3, 7, 8], runs


WAITING = """
name: waiting
trigger: {event: order.refunded}
steps: [{id: note, uses: wait, with: {seconds: 0}}]
"""


async def test_a_batch_that_leads_to_much_is_matched_and_appended_in_pieces() -> None:
    async with running(append_records_max=2) as it:
        await it.save(WAITING)
        await asyncio.gather(*(it.happen(f"d{number}", {}) for number in range(25)))
        await it.watch.until_status("succeeded", count=25)


async def test_an_event_too_large_to_be_matched_is_a_dead_letter_and_the_next_one_is_not_kept_waiting() -> None:
    async with running(record_bytes_max=20_000) as it:
        await it.save(WAITING)
        await it.happen("d1", {"text": "x" * 15_000})
        await it.happen("d2", {})
        await it.watch.until_status("succeeded")
        reader = it.bus.reader(DEADLETTERS)
        reader.assign(dict.fromkeys(range(4), 0))
        ((letter,),) = (await reader.poll(timeout_seconds=10)).values()
        told = read_letter(letter)
        assert isinstance(told, DeadLetter)
        assert "too large to be matched" in told.reason


async def test_a_step_that_renders_to_more_than_a_record_fails_and_says_so() -> None:
    async with running(record_bytes_max=20_000) as it:
        text = "{{ event.data.text }}"
        await it.save(f"""
name: inflating
trigger: {{event: order.refunded}}
steps:
  - id: tell
    uses: notify.webhook
    with: {{endpoint: finance, body: ["{text}", "{text}", "{text}", "{text}"]}}
""")
        await it.happen("d1", {"text": "x" * 6_000})
        (run,) = await it.watch.until_status("failed")
        problem = run.steps["tell"].problem
        assert problem is not None
        assert (problem.kind, it.receiver.requests) == ("too_large", [])


class Broken(Wait):
    """A plug-in with a bug."""

    def __init__(self, *, where: str) -> None:
        self.where = where
        self.performed = 0

    def prepare(self, config: Mapping[str, object], scene: Scene, now: datetime) -> Prepared:
        if self.where == "prepare":
            raise TypeError("a bug")
        return super().prepare(config, scene, now)

    async def perform(self, attempt: Attempt, tools: Tools) -> Outcome:
        self.performed += 1
        raise TypeError("a bug")


@pytest.mark.parametrize("where", ["prepare", "perform"])
async def test_a_bug_in_an_action_fails_its_step_and_says_so(where: str) -> None:
    broken = Broken(where=where)
    async with running(actions={**discover_actions(), "wait": broken}) as it:
        await it.save(WAITING)
        await it.happen("d1", {})
        (run,) = await it.watch.until_status("failed")
    problem = run.steps["note"].problem
    assert problem is not None
    assert (problem.kind, problem.detail) == ("internal", "TypeError: a bug")
    assert broken.performed == (where == "perform")


class Stumbling(Wait):
    """A bug outside what an action does, that goes away."""

    def __init__(self) -> None:
        self.asked = 0

    @property
    def policy(self) -> RetryPolicy:  # type: ignore[override]  # a plain attribute elsewhere
        self.asked += 1
        if self.asked < 5:
            raise TypeError("a bug")
        return NO_RETRY


async def test_work_that_meets_a_bug_of_ours_is_taken_up_again_until_it_is_mended_and_holds_up_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stumbling = Stumbling()
    async with running(actions={**discover_actions(), "wait": stumbling}) as it:
        await it.save(WAITING)
        await it.save(REFUNDS)
        await it.happen("d1", {"amount_minor": 5000, "currency": "EUR"})
        await it.watch.until_status("succeeded", count=2)
    assert stumbling.asked == 5
    pauses = [each.getMessage().rsplit("again in ", 1)[1] for each in caplog.records if "a bug of ours" in each.msg]
    assert pauses == ["0.01 s", "0.02 s", "0.02 s", "0.02 s"]


@pytest.mark.parametrize("depth", [150, 300, 1010])
async def test_an_answer_nested_too_deep_is_kept_as_a_text(depth: int) -> None:
    async with running() as it:
        body = b"[" * depth + b"]" * depth
        it.receiver.behave("/hook", Reply(status=200, headers={"Content-Type": "application/json"}, body=body))
        await it.save(REFUNDS)
        await it.happen("d1", {"amount_minor": 5000, "currency": "EUR"})
        (run,) = await it.watch.until_status("succeeded")
    output = run.steps["tell"].output
    assert isinstance(output, Mapping)
    assert str(output["body"]).startswith("[" * 150)
    assert len(it.receiver.requests) == 1


async def test_a_retry_after_that_is_no_number_is_passed_over() -> None:
    async with running() as it:
        headers = {"Retry-After": "\N{SUPERSCRIPT TWO}".encode().decode("latin-1")}
        it.receiver.behave("/hook", Reply(status=503, headers=headers))
        await it.save(REFUNDS + "    retry: {max_attempts: 1}\n")
        await it.happen("d1", {"amount_minor": 5000, "currency": "EUR"})
        await it.watch.until_status("failed")
    assert len(it.receiver.requests) == 1


@pytest.mark.parametrize("until", ["9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+14:00"])
async def test_a_wait_until_an_instant_that_is_none_in_utc_fails(until: str) -> None:
    async with running() as it:
        await it.save(WAITING.replace("seconds: 0", 'until: "{{ event.data.until }}"'))
        await it.happen("d1", {"until": until})
        (run,) = await it.watch.until_status("failed")
    problem = run.steps["note"].problem
    assert problem is not None
    assert problem.kind == "config"
    assert "years 1 to 9999" in problem.detail


async def test_an_event_that_records_could_not_hold_is_a_dead_letter_and_stops_nobody() -> None:
    async with running() as it:
        await it.save(WAITING)
        await it.happen("d1", orjson.Fragment(b'{"a":' + b"1" * 5000 + b"e-4900}"))
        for depth in range(185, 215):
            await it.happen(f"deep {depth}", orjson.Fragment(b"[" * depth + b"]" * depth))
        await it.happen("d3", {})

        async def the_last() -> Run | None:
            return next(
                (run for run in it.watch.runs.values() if run.event and run.event.data == {} and run.closed), None
            )

        await eventually(the_last, "the run of the last event has ended")
        assert it.follower.halted == {}


async def test_what_cannot_be_tried_is_told_as_what_it_is_and_as_no_bug(caplog: pytest.LogCaptureFixture) -> None:
    async with running() as it:
        text = "{{ event.data.text }}"
        await it.save(REFUNDS.replace("Refund of {{ event.data.amount_minor }}", text))
        await it.happen("d1", {"amount_minor": 5000, "currency": "EUR", "text": "x" * 262_100})
        (run,) = await it.watch.until_status("failed")
    problem = run.steps["tell"].problem
    assert problem is not None
    assert problem.kind == "too_large"
    assert "a bug" not in caplog.text


class Talkative(Wait):
    """Gives more than a record holds, or asks for what nobody could read."""

    def __init__(self, *, deep: bool) -> None:
        self.deep = deep

    def prepare(self, config: Mapping[str, object], scene: Scene, now: datetime) -> Prepared:
        request: object = 1
        for _ in range(230 if self.deep else 1):
            request = [request]
        return Prepared(request={"nested": request})

    async def perform(self, attempt: Attempt, tools: Tools) -> Outcome:
        return Outcome(status="succeeded", output={"text": "x" * 30_000})


async def test_an_output_that_no_record_holds_is_left_out_and_the_step_has_ended_all_the_same() -> None:
    async with running(record_bytes_max=20_000, actions={**discover_actions(), "wait": Talkative(deep=False)}) as it:
        await it.save(WAITING)
        await it.happen("d1", {})
        (run,) = await it.watch.until_status("succeeded")
    assert run.steps["note"].output is None


async def test_a_request_that_nobody_could_read_back_fails_its_step_before_it_is_made() -> None:
    async with running(actions={**discover_actions(), "wait": Talkative(deep=True)}) as it:
        await it.save(WAITING)
        await it.happen("d1", {})
        (run,) = await it.watch.until_status("failed")
        assert it.follower.halted == {}
    problem = run.steps["note"].problem
    assert problem is not None
    assert problem.kind == "unreadable"


COUNTING = """
name: counting {number}
trigger: {{count: {{event: order.refunded, times: 5, within_seconds: 60}}}}
steps: [{{id: note, uses: wait, with: {{seconds: 0}}}}]
"""


async def test_one_event_that_leads_to_more_than_one_append_is_appended_in_pieces() -> None:
    async with running(append_records_max=2) as it:
        for number in range(5):
            await it.save(COUNTING.format(number=number))
        await it.save(WAITING)
        await it.happen("d1", {}, time=it.clock.now())
        await it.watch.until_status("succeeded")
        await it.happen("d2", {}, time=it.clock.now())
        await it.watch.until_status("succeeded", count=2)
        reader = it.bus.reader(RUNS)
        reader.assign(dict.fromkeys(range(4), 0))
        records = [each for batch in (await reader.poll(timeout_seconds=10)).values() for each in batch]
        counted = [each for each in records if dict(each.headers)["ce_type"] == b"window.counted"]
        assert len(counted) >= 5


async def test_a_call_that_breaks_off_is_repeated_as_often_as_its_step_says_and_then_has_failed() -> None:
    async with running() as it:
        it.receiver.behave("/charge", Reset())
        await it.save(f"""
name: impatient
trigger: {{event: order.refunded}}
approval: {{when: never}}
steps:
  - id: charge
    uses: http.request
    on_unknown: retry
    retry: {{max_attempts: 2, initial_seconds: 0.01}}
    with: {{url: "{it.receiver.url("/charge")}"}}
""")
        await it.happen("d1", {})
        (run,) = await it.watch.until_status("failed")
        assert (len(it.receiver.requests), run.steps["charge"].number) == (2, 2)
