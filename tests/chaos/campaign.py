"""One campaign of faults, start to verdict: shared by the end-to-end suite (short) and the long forms beside this file.

Who breaks what is a `Breaker`: `killer.py` for one process on PostgreSQL, `faults.py` for services apart on Kafka. The
customers, and what they were promised, are the same.
"""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from random import Random, SystemRandom
from typing import Protocol

from shared.domain.envelope import Event
from shared.domain.errors import UpshotError
from shared.testing.platform import CommandFailed, RunningPlatform
from shared.testing.receivers import Receiver
from shared.testing.services import RunningServices
from shared.testing.tenant_client import tenant_client
from tests.chaos.lags import tell_lags
from tests.chaos.shops import Customers, Shop, open_shop
from tests.chaos.verdict import check_effects, check_events, check_runs, ground_of, logged_events, until_level
from tests.chaos.watches import Doors, check_told, check_watch, expected, open_watch, stop_schedule, until_settled

TENANTS = 4
WORKERS = 32
LOG_CHARACTERS = 2_000
"""Of each process, when a campaign has failed."""


def chosen_seed() -> int:
    """UPSHOT_KILL_SEED, else a new one; printed, so that a failure can be looked at again."""
    return int(os.environ.get("UPSHOT_KILL_SEED") or SystemRandom().randrange(1_000_000))


class Breaker(Protocol):
    """Breaks what a campaign runs on, again and again."""

    kinds: Sequence[str]
    least: int
    """Of each kind there are at least so many faults."""
    done: Counter[str]
    """How often each hit something that lived."""
    slowest_seconds: float
    """The longest time from a fault to a platform that is ready again."""

    async def campaign(self) -> None:
        """All faults; all is mended when it returns."""
        ...


async def run_campaign(
    platform: RunningPlatform,
    inbox: Receiver,
    breaking: Callable[[Random], Breaker],
    *,
    name: str,
    per_second: float,
) -> None:
    """Fails with the first promise that was not kept."""
    seed = chosen_seed()
    random = Random(seed)
    breaker = breaking(random)
    print(f"\nUPSHOT_KILL_SEED={seed}, at least {breaker.least} faults of each kind")
    async with AsyncExitStack() as stack:
        shops = [
            await open_shop(await stack.enter_async_context(tenant_client(platform, f"{name}-{number}")), inbox)
            for number in range(TENANTS)
        ]
        watch = await open_watch(await stack.enter_async_context(tenant_client(platform, f"{name}-watch")), inbox)
        customers = Customers(shops, random, per_second=per_second)
        doors = Doors(watch, random, customers.closing)
        begin = time.monotonic()
        sending = asyncio.create_task(_send_all(customers, doors))
        try:
            await _first_to_end(breaker.campaign(), sending)
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
            f"faults {dict(breaker.done)}, ready again after at most {breaker.slowest_seconds:.1f} s"
        )
        assert min(breaker.done[kind] for kind in breaker.kinds) >= breaker.least
        begin = time.monotonic()
        unknown = await until_all_level(platform, shops)
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
    assert min(wanted.completed.total(), len(wanted.unanswered), len(wanted.answered), repetitions) >= breaker.least
    assert accepted >= 100 * breaker.least, "too few events flowed for the faults to mean much"


async def until_all_level(platform: RunningPlatform, shops: Sequence[Shop]) -> list[int]:
    """As `until_level`, of each shop. Whoever is not level in the end is told, all of them, and why."""
    looks = await asyncio.gather(*map(until_level, shops), return_exceptions=True)
    failures = [each for each in looks if isinstance(each, BaseException)]
    if failures:
        await tell_why(platform)
        raise BaseExceptionGroup(f"{len(failures)} of {len(shops)} shops are not level", failures)
    return [each for each in looks if isinstance(each, int)]


async def tell_why(platform: RunningPlatform) -> None:
    """All that says who stands still: groups' lags, the matcher's in each partition, dead letters, and what each process logged
    last."""
    try:
        async with ground_of(platform) as ground:
            print("\n".join(await tell_lags(ground.bus)))
    except UpshotError as away:
        print(f"nobody tells the matcher's lag: {away}")
    for command in (("doctor",), ("deadletters", "list")):
        try:
            print(await platform.cli(*command))
        except CommandFailed as failed:
            print(failed)
    for each in platform.all if isinstance(platform, RunningServices) else (platform,):
        print(f"--- {each.log_path.name}\n{each.log_tail()[-LOG_CHARACTERS:]}")


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
