"""Each service in a process of its own: what runs in one process runs so, too; members come and go, and others take over."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, cast

import aiohttp
import pytest
import pytest_asyncio

from shared.bus.topics import TOPICS
from shared.runtime.clock import SystemClock
from shared.telemetry.prometheus import CONTENT_TYPE
from shared.testing.bus.kafka import KafkaLog, fresh_log
from shared.testing.documents import call, cloud_event, tell, wait, workflow
from shared.testing.kafka import KafkaCluster
from shared.testing.platform import RunningPlatform, running_platform
from shared.testing.receivers import Hang, Receiver, Reply
from shared.testing.services import SERVICES, RunningServices, running_services
from shared.testing.tenant_client import TenantClient, tenant_client
from shared.testing.vendor_signing import sign_delivery
from shared.testing.waiting import eventually
from shared.testing.workspace import Workspace

pytestmark = pytest.mark.asyncio(loop_scope="session")

ANSWER = {"webhook": {"answer": {"wait_seconds": 20}}}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def on_postgres(space: Workspace, inbox: Receiver) -> AsyncIterator[RunningServices]:
    async with running_services(space, "apart-postgres", environment={"UPSHOT_EGRESS_ALLOW": inbox.authority}) as it:
        yield it


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def on_kafka(space: Workspace, inbox: Receiver, kafka_broker: KafkaCluster) -> AsyncIterator[RunningServices]:
    async with (
        fresh_log(kafka_broker, TOPICS) as log,
        running_services(space, "apart-kafka", environment=_on_kafka(log, inbox)) as it,
    ):
        yield it


@pytest.fixture(
    scope="module", params=["on_postgres", pytest.param("on_kafka", marks=pytest.mark.xdist_group("kafka"))]
)
def services(request: pytest.FixtureRequest) -> RunningServices:
    """One process of each, on a log of each kind."""
    return cast(RunningServices, request.getfixturevalue(request.param))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def tenant(services: RunningServices) -> AsyncIterator[TenantClient]:
    async with tenant_client(services, "apart") as it:
        yield it


async def test_an_event_goes_all_the_way(services: RunningServices, tenant: TenantClient, inbox: Receiver) -> None:
    await tenant.make_endpoint("sink", inbox.url(_path(services, "apart")))
    telling = await tenant.make_workflow(workflow("Tell", "shop.sold", tell("sink")))
    events = [cloud_event("shop.sold", event_id=str(number)) for number in range(5)]
    (await tenant.publish(*events)).expect(202)
    await tenant.runs_of(telling, 5, {"succeeded"})
    (await tenant.publish(*events)).expect(202)

    # then
    assert len(await tenant.runs_of(telling, 5, {"succeeded"})) == 5
    assert set(Counter(each.webhook_id for each in inbox.received(_path(services, "apart"))).values()) == {1}
    for each in services.all:
        assert (await _asked(each, "/healthz"))[0] == 200
        await _ready(each)
        assert "upshot_ready 1\n" in await _metrics(each)


@pytest.mark.parametrize(
    ("service", "topic"),
    [
        ("matcher", "events"),
        ("executor", "runs"),
        ("approvals", "runs"),
        ("projector", "runs"),
        ("projector", "events"),
        ("projector", "definitions"),
    ],
)
async def test_its_lag_goes_back_to_nothing(services: RunningServices, service: str, topic: str) -> None:
    (process,) = services.of(service)
    lag = re.compile(rf'upshot_lag_records{{topic="upshot.{topic}",group="{service}",partition="\d+"}} (\d+)')

    async def level() -> list[str] | None:
        found = lag.findall(await _metrics(process))
        return found if found and set(found) == {"0"} else None

    await eventually(level, f"the {service} has taken in all there is")


async def test_a_command_is_answered_with_its_verdict(tenant: TenantClient) -> None:
    document = workflow("Once", "shop.opened", wait(0))
    made = (await tenant.request("POST", "/api/v1/workflows", json=document)).expect(201)
    (await tenant.request("POST", "/api/v1/workflows", json=document)).expect(409)
    assert (await tenant.get(f"/api/v1/workflows/{made.body['id']}"))["name"] == "Once"


async def test_a_caller_of_a_hook_is_answered_with_what_became_of_its_event(
    services: RunningServices, tenant: TenantClient
) -> None:
    note = {"id": "note", "uses": "event.emit", "with": {"type": "test.noted", "data": {}}}
    document = {"name": "Asked", "trigger": ANSWER, "if": "event.data.raw.n > 1", "steps": [note]}
    hook = (await tenant.command("POST", "/api/v1/workflows", document)).expect(201).body["hooks"][0]
    assert hook["url"].startswith(services.of("ingest")[0].url)

    async def post(n: int) -> Any:
        body = json.dumps({"n": n}).encode()
        now = int(SystemClock().now().timestamp())
        headers = sign_delivery("standardwebhooks", hook["secret"], body, now, f"msg_{n}")
        path = hook["url"].removeprefix(services.url_for("/hooks"))
        return await tenant.request("POST", path, body=body, headers=headers, authorised=False)

    assert (await post(2)).expect(200).body["status"] == "succeeded"
    # That nothing became of it is known once the matcher, elsewhere, has committed what it matched.
    assert (await post(1)).expect(202).body["status"] == "not_started"


async def test_nobody_deciding_in_time_is_a_no(
    services: RunningServices, tenant: TenantClient, inbox: Receiver
) -> None:
    await tenant.make_endpoint("books", inbox.url(_path(services, "books")))
    held = {"when": "always", "expires_in_seconds": 1}
    asking = await tenant.make_workflow(workflow("Refund", "shop.refunded", tell("books"), approval=held))
    await tenant.emit("shop.refunded")
    assert (await tenant.run_of(asking))["status"] == "expired"
    assert inbox.received(_path(services, "books")) == []


async def test_a_draft_is_tried_on_the_past(tenant: TenantClient) -> None:
    for n in range(4):
        await tenant.emit("shop.tried", {"n": n})
    document = workflow("Tried", "shop.tried", wait(0))
    document["trigger"]["pattern"] = {"data": {"n": [{"numeric": [">=", 1]}]}}
    asked = {"since": (SystemClock().now() - timedelta(hours=1)).isoformat(), "workflow": document}
    started = (await tenant.request("POST", "/api/v1/backtests", json=asked)).expect(202)

    async def ended() -> Any:
        shown = await tenant.get(started.headers["Location"])
        return shown if shown["status"] != "running" else None

    shown = await eventually(ended, "the backtest has ended", timeout_seconds=60)
    assert shown["report"]["matches"] == 3, shown


async def test_runs_go_on_while_nothing_is_projected(
    services: RunningServices, tenant: TenantClient, inbox: Receiver
) -> None:
    await tenant.make_endpoint("blind", inbox.url(_path(services, "blind")))
    telling = await tenant.make_workflow(workflow("Blind", "shop.blind", tell("blind")))
    (projector,) = services.of("projector")
    projector.freeze()
    try:
        (await tenant.publish(*(cloud_event("shop.blind") for _ in range(10)))).expect(202)
        await inbox.wait_for(10, 20, path=_path(services, "blind"))
    finally:
        projector.thaw()
    assert len(await tenant.runs_of(telling, 10, {"succeeded"})) == 10
    assert len(inbox.received(_path(services, "blind"))) == 10


async def test_a_member_that_is_told_to_stop_ends_what_it_does_and_hands_over(
    services: RunningServices, tenant: TenantClient, inbox: Receiver
) -> None:
    charging = await tenant.make_workflow(
        workflow("Charge", "shop.charged", call(inbox.url(_path(services, "charge"))), approval={"when": "never"})
    )
    inbox.behave(_path(services, "charge"), Hang(), Reply())
    await tenant.emit("shop.charged")
    await inbox.wait_for(1, path=_path(services, "charge"))
    first = services.of("executor")[0]
    second = await services.add("executor")
    await _ready(second)

    # when: it is in the middle of a call that nobody may repeat
    first.process.terminate()
    await eventually(lambda: _says(first, "draining"), "/readyz says that it drains")
    inbox.release(_path(services, "charge"))
    assert await first.process.wait() == 0

    # then
    assert [each["status"] for each in await tenant.runs_of(charging, 1)] == ["succeeded"]
    for _ in range(4):
        await tenant.emit("shop.charged")
    await tenant.runs_of(charging, 5, {"succeeded"})
    assert len(inbox.received(_path(services, "charge"))) == 5


def _path(services: RunningServices, name: str) -> str:
    return f"/{services.data_dir.name}/{name}"


async def test_folding_the_log_anew_amounts_to_what_they_wrote(services: RunningServices) -> None:
    assert "equal to the live read model" in await services.cli("rebuild", "--verify")


async def test_told_to_stop_each_ends_in_order(services: RunningServices) -> None:
    """The last of this file: the next one would find nobody."""
    living = [each for each in services.all if each.alive]
    assert len(living) == len(SERVICES)
    assert await asyncio.gather(*(each.stop() for each in living)) == [0] * len(living)


async def test_all_in_one_process_on_kafka(space: Workspace, inbox: Receiver, kafka_broker: KafkaCluster) -> None:
    async with (
        fresh_log(kafka_broker, TOPICS) as log,
        running_platform(space, "together", environment=_on_kafka(log, inbox)) as it,
        tenant_client(it, "together") as own,
    ):
        await own.make_endpoint("sink", inbox.url("/together"))
        telling = await own.make_workflow(workflow("Tell", "shop.sold", tell("sink")))
        (await own.publish(*(cloud_event("shop.sold") for _ in range(5)))).expect(202)
        await own.runs_of(telling, 5, {"succeeded"})
        await _ready(it)
        assert len(inbox.received("/together")) == 5
        assert await it.stop() == 0


def _on_kafka(log: KafkaLog, inbox: Receiver) -> dict[str, str]:
    return {
        "UPSHOT_EGRESS_ALLOW": inbox.authority,
        "UPSHOT_BUS": "kafka",
        "UPSHOT_KAFKA_BOOTSTRAP_SERVERS": log.cluster.bootstrap_servers,
        "UPSHOT_KAFKA_TOPIC_PREFIX": log.prefix,
        "UPSHOT_KAFKA_PARTITION_COUNT": "4",
    }


async def _asked(process: RunningPlatform, path: str) -> tuple[int, Any]:
    async with aiohttp.ClientSession() as session, session.get(f"{process.url}{path}") as response:
        return response.status, await response.json()


async def _metrics(process: RunningPlatform) -> str:
    async with aiohttp.ClientSession() as session, session.get(f"{process.url}/metrics") as response:
        assert response.headers["Content-Type"] == CONTENT_TYPE
        return await response.text()


async def _ready(process: RunningPlatform) -> None:
    async def is_ready() -> bool:
        return (await _asked(process, "/readyz"))[0] == 200

    await eventually(is_ready, f"/readyz of {process.log_path.stem} answers 200")


async def _says(process: RunningPlatform, word: str) -> bool:
    status, body = await _asked(process, "/readyz")
    return status == 503 and word in body["detail"]
