"""What a running backtest costs live deliveries: `python tests/bench/bench_beside_backtest.py [a second]`.

A real platform in processes of its own; events are published at a steady rate, each leads to one signed delivery, and what is
measured is the time from publishing to arrival. Stretches without a backtest and beside one take turns in one run, so that what
else the machine does falls on both. The backtest is of the same tenant, takes the default share of a core, and is started again
whenever it has ended.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson

_ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(_ROOT))

from shared.runtime.clock import SystemClock  # noqa: E402  the path above comes first
from shared.testing.documents import cloud_event, tell, wait, workflow  # noqa: E402
from shared.testing.platform import running_platform  # noqa: E402
from shared.testing.receivers import Receiver, receiver  # noqa: E402
from shared.testing.tenant_client import TenantClient, tenant_client  # noqa: E402
from shared.testing.workspace import workspace  # noqa: E402

A_SECOND = 200
STRETCH_SECONDS = 7
STRETCHES = 3
"""Of each kind."""
PAST = 40_000
"""Events that the backtest goes over; its condition is asked of every one."""


async def stretch(tenant: TenantClient, inbox: Receiver, a_second: int) -> list[float]:
    """Milliseconds from publishing to arrival, each."""
    before = len(inbox.received("/live"))
    count = a_second * STRETCH_SECONDS
    began = time.monotonic()
    publishing = []
    for number in range(count):
        await asyncio.sleep(max(0.0, began + number / a_second - time.monotonic()))
        publishing.append(asyncio.create_task(tenant.emit("live.sold", {"at": time.monotonic()})))
    await asyncio.gather(*publishing)
    while len(inbox.received("/live")) - before < count:
        await asyncio.sleep(0.05)
    arrived = inbox.received("/live")[before:]
    return [1000 * (each.at_seconds - orjson.loads(each.body)["data"]["at"]) for each in arrived]


@asynccontextmanager
async def backtests(tenant: TenantClient, speeds: list[float]) -> AsyncIterator[None]:
    """One after the other, for as long as this is open; how many events a second each went over."""
    draft = workflow("Past", "old.seen", wait(0), **{"if": "event.data.n < 0"})
    since = (datetime.now(UTC) - timedelta(days=1)).isoformat()

    async def again_and_again() -> None:
        while True:
            started = await tenant.request("POST", "/api/v1/backtests", json={"since": since, "workflow": draft})
            location = started.expect(202).headers["Location"]
            while (shown := await tenant.get(location))["status"] == "running":
                await asyncio.sleep(0.25)
            speeds.append(shown["progress"]["events_per_second"])

    task = asyncio.create_task(again_and_again())
    await asyncio.sleep(1.5)  # it is under way
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await _end_all(tenant, draft, since)


async def _end_all(tenant: TenantClient, draft: object, since: str) -> None:
    while True:
        started = await tenant.request("POST", "/api/v1/backtests", json={"since": since, "workflow": draft})
        if started.status == 202:
            await tenant.request("POST", f"{started.headers['Location']}/cancel")
            return
        await asyncio.sleep(0.2)


async def main(a_second: int) -> None:
    """Print both figures."""
    async with receiver(SystemClock()) as inbox:
        with workspace() as space:
            environment = {
                "UPSHOT_EGRESS_ALLOW": inbox.authority,
                "UPSHOT_INGEST_TENANT_EVENTS_PER_SECOND": "100000",
                "UPSHOT_INGEST_TENANT_BURST_EVENTS": "100000",
            }
            async with (
                running_platform(space, "beside", environment=environment) as platform,
                tenant_client(platform, "live") as tenant,
            ):
                await tenant.make_endpoint("sink", inbox.url("/live"))
                await tenant.make_workflow(workflow("L", "live.sold", tell("sink", body={"at": "{{ event.data.at }}"})))
                for start in range(0, PAST, 500):
                    events = [cloud_event("old.seen", {"n": n, "text": "x" * 200}) for n in range(start, start + 500)]
                    (await tenant.publish(*events)).expect(202)
                await stretch(tenant, inbox, a_second)  # warm
                without: list[float] = []
                beside: list[float] = []
                speeds: list[float] = []
                for _ in range(STRETCHES):
                    without += _told("without", await stretch(tenant, inbox, a_second))
                    async with backtests(tenant, speeds):
                        beside += _told("beside", await stretch(tenant, inbox, a_second))
                print(f"{a_second} a second, {STRETCHES} stretches of {STRETCH_SECONDS} s each")
                _told("without a backtest", without)
                _told("beside a backtest", beside)
                print(f"the backtest: {', '.join(f'{speed:,.0f}' for speed in speeds)} events a second")


def _told(name: str, found: list[float]) -> list[float]:
    found.sort()
    p50, p90, p99 = (found[int(len(found) * share)] for share in (0.5, 0.9, 0.99))
    print(f"  {name:<20} p50 {p50:7.1f}  p90 {p90:7.1f}  p99 {p99:7.1f} ms  ({len(found):,})", flush=True)
    return found


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else A_SECOND))
