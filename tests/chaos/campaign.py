"""One kill campaign, start to verdict: shared by the end-to-end suite (short) and `test_kill_long.py` (as long as you like)."""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from random import Random, SystemRandom

import pytest

from shared.domain.envelope import Event
from shared.testing.platform import running_platform
from shared.testing.receivers import Receiver
from shared.testing.tenant_client import tenant_client
from shared.testing.workspace import Workspace
from tests.chaos.killer import WAYS, Killer
from tests.chaos.shops import Customers, open_shop
from tests.chaos.verdict import check_effects, check_events, check_runs, logged_events, until_level
from tests.chaos.watches import Doors, check_told, check_watch, expected, open_watch, stop_schedule, until_settled

TENANTS = 4
WORKERS = 32


def chosen_seed() -> int:
    """UPSHOT_KILL_SEED, else a new one; printed, so that a failure can be looked at again."""
    return int(os.environ.get("UPSHOT_KILL_SEED") or SystemRandom().randrange(1_000_000))


async def run_campaign(
    space: Workspace,
    inbox: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    *,
    name: str,
    kills_of_each: int,
    per_second: float,
) -> None:
    """Fails with the first promise that was not kept."""
    seed = chosen_seed()
    print(f"\nUPSHOT_KILL_SEED={seed}, {kills_of_each} kills of each of {', '.join(WAYS)}")
    random = Random(seed)
    environment = {"UPSHOT_EGRESS_ALLOW": inbox.authority, "UPSHOT_LOG_LEVEL": "WARNING"}
    monkeypatch.setenv("UPSHOT_POSTGRES_SYSTEM_DIR", str(space.system_dir))
    async with AsyncExitStack() as stack:
        platform = await stack.enter_async_context(running_platform(space, name, environment=environment))
        shops = [
            await open_shop(await stack.enter_async_context(tenant_client(platform, f"{name}-{number}")), inbox)
            for number in range(TENANTS)
        ]
        watch = await open_watch(await stack.enter_async_context(tenant_client(platform, f"{name}-watch")), inbox)
        customers = Customers(shops, random, per_second=per_second)
        doors = Doors(watch, random, customers.closing)
        killer = Killer(platform, random)
        begin = time.monotonic()
        sending = asyncio.create_task(_send_all(customers, doors))
        try:
            await _first_to_end(killer.campaign(kills_of_each), sending)
            customers.closing.set()
            await sending
        finally:
            customers.closing.set()
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        accepted = sum(len(shop.accepted) for shop in shops)
        repeated = sum(each.tally.repeated for each in (*shops, watch))
        print(
            f"{accepted} events accepted in {time.monotonic() - begin:.0f} s, {repeated} requests repeated; "
            f"kills {dict(killer.done)}, ready again after at most {killer.slowest_seconds:.1f} s"
        )
        assert all(killer.done[way] >= kills_of_each for way in WAYS)
        begin = time.monotonic()
        unknown = [await until_level(shop) for shop in shops]
        print(f"level {time.monotonic() - begin:.1f} s after the last request; {sum(unknown)} charges were unknown")
        await stop_schedule(watch)
        records = await logged_events(platform)
        logged = Counter(event.id for event, _ in records)
        first = _first_of_each(records, watch.tenant.tenant_id)
        wanted = expected(first)
        await until_settled(watch, wanted)
        await check_watch(watch, first, wanted)
        await check_told(watch, inbox, wanted)
        repetitions = sum(logged[event_id] - 1 for event_id in first)
        print(
            f"of {len(first)} events ({repetitions} recorded again) {wanted.completed.total()} counts were completed, "
            f"{len(wanted.unanswered)} things did not follow, {len(wanted.answered)} did, {len(wanted.planned)} instants came"
        )
        told = resent = 0
        for shop, steps in zip(shops, unknown, strict=True):
            await check_events(shop, logged)
            await check_runs(shop)
            deliveries, again = await check_effects(shop, inbox, steps)
            told, resent = told + deliveries, resent + again
        print(f"{told} deliveries, {resent} of them repeated with the same id and bytes; no charge twice")
        print(await platform.cli("rebuild", "--verify", timeout_seconds=120))
        print(await platform.cli("rebuild", timeout_seconds=120))
        for shop in shops:
            await check_runs(shop)
        await check_watch(watch, first, wanted)
    assert min(wanted.completed.total(), len(wanted.unanswered), len(wanted.answered), repetitions) >= kills_of_each
    assert accepted >= 100 * kills_of_each, "too few events flowed for the kills to mean much"


async def _send_all(customers: Customers, doors: Doors) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(customers.send(WORKERS))
        group.create_task(doors.send())


def _first_of_each(records: Sequence[tuple[Event, datetime]], tenant_id: str) -> dict[str, tuple[Event, datetime]]:
    found: dict[str, tuple[Event, datetime]] = {}
    for event, recorded_at in records:
        if event.tenant_id == tenant_id:
            found.setdefault(event.id, (event, recorded_at))
    return found


async def _first_to_end(campaign: object, sending: asyncio.Task[None]) -> None:
    """The campaign to its end; but a sender's failure ends it at once."""
    assert asyncio.iscoroutine(campaign)
    killing = asyncio.create_task(campaign)
    try:
        await asyncio.wait({killing, sending}, return_when=asyncio.FIRST_COMPLETED)
        if sending.done():
            sending.result()
        await killing
    finally:
        killing.cancel()
        await asyncio.gather(killing, return_exceptions=True)
