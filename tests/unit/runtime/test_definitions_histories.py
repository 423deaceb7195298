"""A tenant's history read from the log: only its own facts, up to the end, going on where it was; a few are remembered."""

import pytest

from shared.bus import codec, facts
from shared.bus.adapters.memory import MemoryBus
from shared.bus.facts import Cause
from shared.bus.port import NewRecord
from shared.bus.topics import DEFINITIONS
from shared.domain.errors import TransientError
from shared.domain.records import Command, DefinitionsFact, TenantCreated, WorkflowDisabled, WorkflowSaved
from shared.runtime.clock import SystemClock
from shared.runtime.histories import BATCH_RECORDS, TENANTS_MAX, Histories

CLOCK = SystemClock()


def record(tenant_id: str, fact: DefinitionsFact) -> NewRecord:
    cause = Cause(causation_id=None, correlation_id=None)
    event = facts.envelop(fact, id=fact.command.id, tenant_id=tenant_id, source="/x", at=CLOCK.now(), cause=cause)
    return codec.encode(DEFINITIONS, event)


def command(command_id: str) -> Command:
    return Command(id=command_id, payload_hash="", actor="ann")


def made(tenant_id: str) -> NewRecord:
    return record(tenant_id, TenantCreated(name=tenant_id, plan="free", command=command(f"make-{tenant_id}")))


def saved(tenant_id: str, number: int) -> NewRecord:
    fact = WorkflowSaved(
        workflow_id=f"w{number}",
        base_revision=None,
        document={"name": f"W {number}"},
        steps=(),
        high_risk=False,
        command=command(f"save-{number}"),
    )
    return record(tenant_id, fact)


async def test_only_the_tenants_own_facts_count_and_later_ones_are_added() -> None:
    bus = MemoryBus(CLOCK, partition_count=1)
    histories = Histories(bus, timeout_seconds=5)
    assert (await histories.of("acme")).version == 0
    many = BATCH_RECORDS * 2 + 3
    await bus.append([made("acme"), made("other"), *(saved("acme", n) for n in range(many)), saved("other", 1)])

    history = await histories.of("acme")
    assert history.version == 1 + many
    await bus.append([record("acme", WorkflowDisabled(workflow_id="w1", command=command("off")))])
    history = await histories.of("acme")
    then, before = history.as_of(many + 2), history.as_of(many + 1)
    assert then is not None
    assert before is not None
    assert (then.workflows["w1"].enabled, before.workflows["w1"].enabled) == (False, True)
    assert (await histories.of("other")).version == 2


async def test_what_was_forgotten_is_read_again() -> None:
    bus = MemoryBus(CLOCK, partition_count=1)
    await bus.append([made(f"t{n}") for n in range(TENANTS_MAX + 2)])
    histories = Histories(bus, timeout_seconds=5)
    first = await histories.of("t0")
    for number in range(TENANTS_MAX + 2):
        assert (await histories.of(f"t{number}")).version == 1
    again = await histories.of("t0")
    assert again is not first
    assert again.version == 1


async def test_a_log_that_gives_nothing_in_time_is_trouble_that_may_pass() -> None:
    bus = MemoryBus(CLOCK, partition_count=1)
    await bus.append([made("acme")])
    unreadable = NewRecord(topic=DEFINITIONS, key=b"acme", headers=(), value=b"{}")
    await bus.append([unreadable])
    with pytest.raises(TransientError, match="offset 1 cannot be understood"):
        await Histories(bus, timeout_seconds=5).of("acme")
