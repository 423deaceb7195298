"""One kill campaign, start to verdict: shared by the end-to-end suite (short) and `test_kill_long.py` (as long as you like)."""

import asyncio
import os
import time
from contextlib import AsyncExitStack
from random import Random, SystemRandom

import pytest

from shared.testing.platform import running_platform
from shared.testing.receivers import Receiver
from shared.testing.tenant_client import tenant_client
from shared.testing.workspace import Workspace
from tests.chaos.killer import WAYS, Killer
from tests.chaos.shops import Customers, open_shop
from tests.chaos.verdict import check_effects, check_events, check_runs, logged_events, until_level

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
        customers = Customers(shops, random, per_second=per_second)
        killer = Killer(platform, random)
        begin = time.monotonic()
        sending = asyncio.create_task(customers.send(WORKERS))
        try:
            await _first_to_end(killer.campaign(kills_of_each), sending)
            customers.closing.set()
            await sending
        finally:
            customers.closing.set()
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        accepted = sum(len(shop.accepted) for shop in shops)
        print(
            f"{accepted} events accepted in {time.monotonic() - begin:.0f} s, {sum(s.repeated for s in shops)} requests "
            f"repeated; kills {dict(killer.done)}, ready again after at most {killer.slowest_seconds:.1f} s"
        )
        assert all(killer.done[way] >= kills_of_each for way in WAYS)
        begin = time.monotonic()
        unknown = [await until_level(shop) for shop in shops]
        print(f"level {time.monotonic() - begin:.1f} s after the last request; {sum(unknown)} charges were unknown")
        logged = await logged_events(platform)
        told = repeated = 0
        for shop, steps in zip(shops, unknown, strict=True):
            await check_events(shop, logged)
            await check_runs(shop)
            deliveries, again = await check_effects(shop, inbox, steps)
            told, repeated = told + deliveries, repeated + again
        print(f"{told} deliveries, {repeated} of them repeated with the same id and bytes; no charge twice")
        print(await platform.cli("rebuild", "--verify", timeout_seconds=120))
        print(await platform.cli("rebuild", timeout_seconds=120))
        for shop in shops:
            await check_runs(shop)
    assert accepted >= 100 * kills_of_each, "too few events flowed for the kills to mean much"


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
