"""After the last kill: wait until everything is level, then hold the platform to each of its promises.

The log is read by itself, beside the API: what the API shows must be what the log holds.
"""

from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import pytest

from services.foundation import Foundation, foundation
from shared.bus import codec
from shared.bus.topics import EVENTS
from shared.domain.envelope import Event
from shared.runtime.settings import UpshotSettings
from shared.testing.platform import RunningPlatform
from shared.testing.receivers import Receiver
from shared.testing.waiting import eventually
from tests.chaos.shops import Shop, grant_all

LEVEL_SECONDS = 90.0
OPEN_TOLD = 20
"""Of the things that are open when a shop is not level."""


async def until_level(shop: Shop) -> int:
    """Grant what waits, resolve what nobody knows, until every run has ended. Returns how many steps were unknown."""
    person = shop.tenant.as_person("boss@example.com")
    resolved: set[str] = set()
    open_things: list[str] = []

    async def nothing_is_open() -> bool:
        open_things.clear()
        if (await person.request("GET", "/api/v1/runs?limit=1")).status == 503:
            return False  # the last kill is still being mended: the answer says to come again
        await grant_all(shop, person)
        events = {each["id"] for each in await shop.tenant.every("/api/v1/events")}
        runs = await shop.tenant.every("/api/v1/runs")
        by_event = {(run["event_id"], run["workflow_id"]) for run in runs}
        for event_id, kind in shop.accepted.items():
            if event_id not in events:
                open_things.append(f"event {event_id} ({kind}) is not in the read model")
            elif (event_id, shop.workflows[kind]) not in by_event:
                open_things.append(f"event {event_id} ({kind}) has no run")
        started = sum(kind == "started" for kind in shop.accepted.values())
        passed = sum(run["workflow_id"] == shop.workflows["passed"] for run in runs)
        if passed < started:
            open_things.append(f"{started - passed} of {started} chains have not gone on")
        for run in runs:
            if run["ended_at"] is None:
                shown = await shop.tenant.run(run["id"])
                await _resolve(shop, shown, resolved)
                open_things.append(_told(shown))
        return not open_things

    await eventually(
        nothing_is_open,
        f"{shop.tenant.tenant_id} is level",
        timeout_seconds=LEVEL_SECONDS,
        interval_seconds=0.5,
        explain=lambda: f"{len(open_things)} things are open:\n" + "\n".join(open_things[:OPEN_TOLD]),
    )
    return len(resolved)


async def _resolve(shop: Shop, run: Any, resolved: set[str]) -> None:
    for step in run["steps"]:
        if step["status"] == "unknown":
            answer = await shop.tenant.request(
                "POST",
                f"/api/v1/runs/{run['id']}/steps/{step['id']}/resolve",
                json={"resolution": "succeeded", "reason": "the receiver's books", "number": step["number"]},
            )
            answer.expect(200, 202)
            resolved.add(run["id"])


def _told(run: Any) -> str:
    """A run that is open, with its history, for whoever has to find out why."""
    steps = [(step["id"], step["status"], step["number"]) for step in run["steps"]]
    history = [(each["recorded_at"], each["type"], each["position"]["offset"]) for each in run["timeline"]]
    return f"run {run['id']} of {run['workflow_name']}: {run['status']}, {steps}, {history}"


async def check_events(shop: Shop, logged: Mapping[str, int]) -> None:
    """Every accepted event is in the log at least once and in the read model exactly once."""
    lost = [event_id for event_id in shop.accepted if logged.get(event_id, 0) < 1]
    assert not lost, f"{len(lost)} accepted events are not in the log: {lost[:5]}"
    shown = Counter(each["id"] for each in await shop.tenant.every("/api/v1/events"))
    assert shop.accepted.keys() <= shown.keys()
    assert not [event_id for event_id, times in shown.items() if times != 1]


async def check_runs(shop: Shop) -> None:
    """Every accepted event has exactly one run of its workflow, and each has ended, once and well."""
    runs = await shop.tenant.every("/api/v1/runs")
    assert max(Counter(run["id"] for run in runs).values(), default=1) == 1
    by_workflow: dict[str, dict[str, Any]] = defaultdict(dict)
    for run in runs:
        key = run["event_id"] or run["id"]
        assert key not in by_workflow[run["workflow_id"]], f"event {key} has two runs of one workflow"
        by_workflow[run["workflow_id"]][key] = run
    for event_id, kind in shop.accepted.items():
        run = by_workflow[shop.workflows[kind]].get(event_id)
        assert run is not None, f"event {event_id} ({kind}) has no run"
        assert run["status"] == "succeeded", f"run {run['id']} ({kind}): {run['status']} {run['reason']}"
    passed, started = len(by_workflow[shop.workflows["passed"]]), sum(k == "started" for k in shop.accepted.values())
    assert passed == started, f"of {started} chains {passed} went on: each does, once"
    by_hand = by_workflow[shop.workflows["manual"]]
    assert shop.runs <= by_hand.keys()
    assert {run["status"] for run in runs} <= {"succeeded"}


async def check_effects(shop: Shop, inbox: Receiver, unknown: int) -> tuple[int, int]:
    """Deliveries repeat only with the same id and bytes; a charge never repeats. Returns (deliveries, repeated ones)."""
    bodies: dict[str, set[bytes]] = defaultdict(set)
    arrived = inbox.received(shop.path)
    for each in arrived:
        bodies[each.webhook_id].add(each.body)
    assert not [webhook_id for webhook_id, found in bodies.items() if len(found) > 1]
    told = sum(kind != "charged" for kind in shop.accepted.values())  # a chain tells once, of its second event
    assert len(bodies) == told, f"{len(bodies)} deliveries for {told} events"
    charges = Counter(each.headers["idempotency-key"] for each in inbox.received(shop.charge_path))
    twice = [key for key, times in charges.items() if times > 1]
    assert not twice, f"charged twice: {twice}"
    charged = sum(kind == "charged" for kind in shop.accepted.values())
    assert charged - unknown <= len(charges) <= charged
    return len(bodies), len(arrived) - len(bodies)


async def logged_events(platform: RunningPlatform) -> list[tuple[Event, datetime]]:
    """Every event in the log with the instant of its recording, read from the first offset on."""
    found: list[tuple[Event, datetime]] = []
    async with ground_of(platform) as ground:
        bus = ground.bus
        ends = {number: marks.high for number, marks in (await bus.watermarks(EVENTS)).items()}
        reader = bus.reader(EVENTS)
        reader.assign(dict.fromkeys(ends, 0))
        while any(reader.positions()[number] < end for number, end in ends.items()):
            for records in (await reader.poll(timeout_seconds=1.0, records_max=5000)).values():
                found += [(codec.decode(record), codec.recorded_at(record)) for record in records]
        await reader.close()
    return found


@asynccontextmanager
async def ground_of(platform: RunningPlatform) -> AsyncIterator[Foundation]:
    """What the platform's processes stand on: its log, wherever that is, and its tables."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in platform.environment.items():
            if name.startswith("UPSHOT_"):
                patch.setenv(name, value)
        async with foundation(UpshotSettings(data_dir=platform.data_dir)) as ground:
            yield ground
