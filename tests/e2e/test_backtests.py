"""A workflow is tried on the past over HTTP: what the report says is what the stream did, while the log is being written, and
nothing comes of it."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psutil
import pytest

from services.foundation import Foundation, foundation
from shared.bus import codec, facts
from shared.bus.port import Bus
from shared.bus.ranges import BusRange
from shared.bus.topics import EVENTS, RUNS, TOPICS
from shared.domain.records import EventMatched
from shared.runtime.settings import UpshotSettings
from shared.testing.documents import call, cloud_event, emit, tell, wait, workflow
from shared.testing.platform import RunningPlatform
from shared.testing.receivers import Receiver
from shared.testing.tenant_client import TenantClient, tenant_client
from shared.testing.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")

PATH = "/api/v1/backtests"
TEST = "/api/v1/workflows/test"
ALWAYS = {"when": "always"}
StartPlatform = Callable[..., AbstractAsyncContextManager[RunningPlatform]]
DAY_AGO = (datetime.now(UTC) - timedelta(days=1)).isoformat()


async def backtest(tenant: TenantClient, **asked: Any) -> Any:
    """The whole answer of one that ran to its end: over exactly a day, so that it holds 24 full hours whenever it is asked."""
    now = datetime.now(UTC)
    a_day = {"since": (now - timedelta(days=1)).isoformat(), "until": now.isoformat()}
    started = (await tenant.request("POST", PATH, json={**a_day, **asked})).expect(202)
    return await ended(tenant, started.headers["Location"])


async def ended(tenant: TenantClient, location: str) -> Any:
    async def has_ended() -> Any:
        shown = await tenant.get(location)
        return shown if shown["status"] != "running" else None

    return await eventually(has_ended, f"{location} has ended", timeout_seconds=60)


async def test_a_draft_beside_the_live_revision(tenant: TenantClient, inbox: Receiver) -> None:
    await tenant.make_endpoint("sink", inbox.url("/draft"))
    document = workflow("Large", "shop.sold", tell("sink", body={"n": "{{ event.data.n }}"}))
    document["trigger"]["pattern"] = {"data": {"n": [{"numeric": [">=", 5]}]}}
    workflow_id = await tenant.make_workflow(document)
    event_ids = [await tenant.emit("shop.sold", {"n": n}) for n in range(10)]
    await tenant.emit("shop.returned", {"n": 9})
    await tenant.runs_of(workflow_id, 5)
    draft = json.loads(json.dumps(document))
    draft["trigger"]["pattern"]["data"]["n"] = [{"numeric": [">=", 3, "<", 8]}]
    draft["limits"] = {"max_runs_per_day": 4}

    report = (await backtest(tenant, workflow=draft, samples=2))["report"]

    assert (report["events"], report["matches"], report["admitted"]) == (11, 5, 4)
    assert report["held"] == {"runs_per_day": 1}
    assert sum(day["matches"] for day in report["matches_per_day"]) == 5
    assert len(report["matches_per_day"]) == 2
    difference = report["difference"]
    assert difference["both"] == 3
    assert [each["id"] for each in difference["newly_matching"]["events"]] == event_ids[3:5]
    assert [each["id"] for each in difference["no_longer_matching"]["events"]] == event_ids[8:]
    assert [each["event"]["id"] for each in report["samples"]] == event_ids[3:5]
    sent = report["samples"][0]["steps"][0]["sends"]
    assert (sent["url"], json.loads(sent["body"])["data"]) == (inbox.url("/draft"), {"n": 3})
    assert report["workflow"]["live_revision"] == 1
    past = {name: report["range"][name] for name in ("since", "until")}
    again = (await backtest(tenant, workflow=draft, samples=2, **past))["report"]
    assert again == report
    assert len(inbox.received("/draft")) == 5


async def test_the_live_revision_matched_exactly_what_its_backtest_finds_while_the_log_is_written(
    tenant: TenantClient, ground: Any, inbox: Receiver
) -> None:
    document = workflow("Live", "shop.sold", wait(0), **{"if": "event.data.n % 3 == 0"})
    workflow_id = await tenant.make_workflow(document)
    stop = asyncio.Event()

    async def write() -> None:
        number = 0
        while not stop.is_set():
            batch = [
                {"specversion": "1.0", "id": f"e{n}", "source": "/shop", "type": kind, "data": {"n": n}}
                for n, kind in ((number + k, ("shop.sold", "shop.seen")[k % 2]) for k in range(20))
            ]
            (await tenant.publish(*batch)).expect(202)
            number += 20

    writing = asyncio.create_task(write())
    try:
        await tenant.runs_of(workflow_id, 20)
        found = [await backtest(tenant, workflow_id=workflow_id, until=None) for _ in range(2)]
    finally:
        stop.set()
        await writing

    assert found[0]["range"]["to_offset"] < found[1]["range"]["to_offset"]
    for each in found:
        ids = await events_in(ground.bus, each["range"], tenant.tenant_id)
        assert each["report"]["events"] == len(ids)

        async def agrees(each: Any = each, ids: list[str] = ids) -> bool:
            matched = await matched_ids(ground.bus, tenant.tenant_id, workflow_id)
            return len(matched & set(ids)) == each["report"]["matches"]

        await eventually(agrees, "the matcher recorded as many matches as the backtest finds")


async def test_each_limit_says_whether_it_was_looked_at(tenant: TenantClient) -> None:
    shared = [{"tag": "t", "max_concurrent": 1, "max_runs_per_day": 5}]
    draft = workflow("Shared", "shop.sold", wait(0), tags=["t"], limits={"max_runs_per_day": 9, "shared": shared})
    looks = (await backtest(tenant, workflow=draft))["report"]["limits"]
    assert {each["limit"]: each["simulated"] for each in looks} == {
        "max_depth": "yes",
        "max_runs_per_day": "yes",
        "shared.t.max_runs_per_day": "estimated",
        "shared.t.max_concurrent": "no",
    }


async def test_what_the_clock_starts_and_what_does_not_follow_have_a_past(tenant: TenantClient) -> None:
    absence = {"after": {"event": "shop.sold"}, "of": {"event": "shop.paid"}, "within_seconds": 3600}
    triggers = [{"schedule": {"interval": {"hours": 1}}}, {"absence": absence}]
    draft = {**workflow("Clocked", "a.b", wait(0)), "trigger": triggers}
    await tenant.emit("shop.sold")
    report = (await backtest(tenant, workflow=draft))["report"]
    assert report["firings"] == report["matches"] == 24
    assert report["waits_open"] == 1
    assert report["range"]["warmed"]["since"] < report["range"]["since"]
    assert report["workflow"]["not_compared"] == "no workflow of this name is saved"


async def test_an_inbound_url_has_a_past(tenant: TenantClient) -> None:
    hooked = {**workflow("Hooked", "a.b", wait(0)), "trigger": {"webhook": {}}}
    assert (await backtest(tenant, workflow=hooked))["report"]["matches"] == 0


async def test_trying_has_no_effect(start_platform: StartPlatform, inbox: Receiver) -> None:
    """Every receiver, every append and the way out are watched, while risky steps are tried on one event and on the past."""
    async with start_platform() as platform, tenant_client(platform, "watched") as tenant:
        await tenant.make_endpoint("sink", inbox.url("/watched"))
        event_ids = [await tenant.emit("shop.sold", {"n": n}) for n in range(30)]

        async def all_are_shown() -> bool:
            return len(await tenant.every("/api/v1/events")) == 30

        await eventually(all_are_shown, "the events can be looked up")
        risky = workflow(
            "Risky",
            "shop.sold",
            call(inbox.url("/watched")),
            tell("sink"),
            emit("shop.echoed"),
            wait(0),
            approval=ALWAYS,
        )
        reckless = {**risky, "name": "Reckless", "approval": {"when": "never"}}
        async with watched_ground(platform) as ground:
            before = await log_ends(ground.bus)
            for draft in (risky, reckless):
                for on in ({"event_id": event_ids[0]}, {"event": {"type": "shop.sold", "data": {}}}):
                    tried = await tenant.request("POST", TEST, json={"workflow": draft, **on})
                    assert len(tried.expect(200).body["steps"]) == 4
                found = await backtest(tenant, workflow=draft, samples=20)
                assert found["report"]["matches"] == 30
                assert len(found["report"]["samples"]) == 20
            assert await log_ends(ground.bus) == before
        assert await tenant.every("/api/v1/runs") == []
        assert await tenant.every("/api/v1/approvals") == []
        assert inbox.received("/watched") == []


async def log_ends(bus: Bus) -> dict[tuple[str, int], int]:
    """Where each partition of each topic ends: an append anywhere shows."""
    return {
        (topic, partition): marks.high for topic in TOPICS for partition, marks in (await bus.watermarks(topic)).items()
    }


@asynccontextmanager
async def watched_ground(platform: RunningPlatform) -> AsyncIterator[Foundation]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UPSHOT_POSTGRES_SYSTEM_DIR", platform.environment["UPSHOT_POSTGRES_SYSTEM_DIR"])
        async with foundation(UpshotSettings(data_dir=platform.data_dir)) as it:
            yield it


async def test_one_is_followed_cancelled_bounded_and_forgotten(start_platform: StartPlatform) -> None:
    slow = {"UPSHOT_BACKTESTS_CPU_SHARE_MAX": "0.0001", "UPSHOT_BACKTESTS_BATCH_RECORDS": "10"}
    often = {"UPSHOT_BACKTESTS_PROGRESS_INTERVAL_SECONDS": "0.01"}
    async with start_platform(**slow, **often) as platform, tenant_client(platform, "slow") as tenant:
        for start in range(0, 200, 20):
            happened = [cloud_event("shop.sold", {"n": n}) for n in range(start, start + 20)]
            (await tenant.publish(*happened)).expect(202)
        draft = workflow("Slow", "shop.*", wait(0))
        started = (await tenant.request("POST", PATH, json={"since": DAY_AGO, "workflow": draft})).expect(202)
        location = started.headers["Location"]

        async def is_under_way() -> Any:
            shown = await tenant.get(location)
            return shown if shown["report"] is not None else None

        shown = await eventually(is_under_way, "it tells what it has found so far")
        assert shown["status"] == "running"
        assert 0 < shown["progress"]["events_read"] < shown["progress"]["of"] == 200
        assert shown["report"]["matches"] == shown["report"]["events"]
        refused = (await tenant.request("POST", PATH, json={"since": DAY_AGO, "workflow": draft})).expect(429)
        assert started.body["id"] in refused.body["detail"]
        assert refused.headers["Retry-After"]
        (worker,) = workers_of(platform)
        following = asyncio.create_task(tenant.request("GET", started.body["stream"]))
        ended_now = (await tenant.request("POST", f"{location}/cancel")).expect(200).body
        assert ended_now["status"] == "cancelled"
        assert not worker.is_running()
        stream = (await following).expect(200).body
        assert stream.rstrip().splitlines()[-2] == "event: report"
        assert json.loads(stream.rstrip().splitlines()[-1].removeprefix("data: "))["status"] == "cancelled"

        await tenant.request("POST", PATH, json={"since": DAY_AGO, "workflow": draft})
        await eventually(lambda: as_awaitable(workers_of(platform)), "another process works")
        (orphan,) = workers_of(platform)
        await platform.kill9()
        await eventually(lambda: as_awaitable(not orphan.is_running()), "it ends with the process that wanted it")
        await platform.restart()
        forgotten = (await tenant.request("GET", location)).expect(404).body
        assert "restart" in forgotten["detail"]


async def as_awaitable(value: Any) -> Any:
    return value


def workers_of(platform: RunningPlatform) -> list[psutil.Process]:
    """The processes of backtests that this one has started."""
    return [each for each in psutil.Process(platform.pid).children() if "services.backtest_worker" in each.cmdline()]


@pytest.mark.parametrize(
    ("asked", "status", "pointers"),
    [
        ({"workflow": workflow("W", "a.b", wait(1))}, 422, ["#/since"]),
        ({"workflow": workflow("W", "a.b", wait(1)), "since": "yesterday"}, 422, ["#/since"]),
        ({"workflow": workflow("W", "a.b", wait(1)), "since": "2999-01-01T00:00:00Z"}, 422, ["#/since"]),
        ({"workflow": workflow("W", "a.b", wait(1)), "since": "1999-01-01T00:00:00Z"}, 422, ["#/since"]),
        ({"workflow": workflow("W", "a.b", wait(1)), "since": DAY_AGO, "samples": 1000}, 422, ["#/samples"]),
        ({"workflow": workflow("W", "a.b", tell("none")), "since": DAY_AGO}, 422, ["#/workflow/steps/0/with/endpoint"]),
        (
            {"workflow": {**workflow("W", "a.b", wait(1)), "trigger": {"manual": {}}}, "since": DAY_AGO},
            422,
            ["#/workflow"],
        ),
        ({"workflow_id": "nobody's", "since": DAY_AGO}, 404, []),
    ],
)
async def test_an_unusable_request_says_where(
    tenant: TenantClient, asked: dict[str, object], status: int, pointers: list[str]
) -> None:
    problem = (await tenant.request("POST", PATH, json=asked)).expect(status).body
    assert [each["pointer"] for each in problem.get("errors", [])] == pointers


async def events_in(bus: Bus, looked_at: Any, tenant_id: str) -> list[str]:
    """Ids of a tenant's events in a range."""
    log = BusRange(bus, EVENTS, looked_at["partition"])
    ids, position = [], looked_at["from_offset"]
    while position < looked_at["to_offset"]:
        batch = await log.read(position, looked_at["to_offset"], records_max=1000)
        events = [codec.decode(record) for record in batch.records]
        ids += [event.id for event in events if event.tenant_id == tenant_id]
        position = batch.next_offset
    await log.close()
    return ids


async def matched_ids(bus: Bus, tenant_id: str, workflow_id: str) -> set[str]:
    """Ids of the events for which the matcher recorded a match of the workflow."""
    found: set[str] = set()
    async for event in everything(bus, RUNS):
        fact = facts.runs_fact(event)
        if isinstance(fact, EventMatched) and event.tenant_id == tenant_id:
            found.update(fact.event.id for each in fact.matches if each.workflow_id == workflow_id)
    return found


async def everything(bus: Bus, topic: str) -> AsyncIterator[Any]:
    """Every event of a topic."""
    for partition, marks in (await bus.watermarks(topic)).items():
        log = BusRange(bus, topic, partition)
        position = marks.low
        while position < marks.high:
            batch = await log.read(position, marks.high, records_max=1000)
            for record in batch.records:
                yield codec.decode(record)
            position = batch.next_offset
        await log.close()
