"""The whole platform on Kafka, and upstream services beside it: from their records to runs, from dead letters back to events."""

import asyncio
import json
import shlex
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from typer.testing import CliRunner

from services.cli.commands import app
from shared.domain.ids import published_event_id
from shared.testing.documents import cloud_event, wait, workflow
from shared.testing.kafka import KafkaCluster
from shared.testing.markdown import snippets
from shared.testing.platform import RunningPlatform, running_platform
from shared.testing.tenant_client import tenant_client
from shared.testing.waiting import eventually
from shared.testing.workspace import Workspace

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.skipif(
        shutil.which("kcat") is None, reason="kcat is not installed: clients of librdkafka were not tested"
    ),
]

ROOT = Path(__file__).resolve().parents[2]
PREFIX = "upstreams."
TOPIC = f"{PREFIX}upshot.events"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def upstreamed(space: Workspace, kafka_broker: KafkaCluster) -> AsyncIterator[RunningPlatform]:
    environment = {
        "UPSHOT_BUS": "kafka",
        "UPSHOT_KAFKA_BOOTSTRAP_SERVERS": kafka_broker.bootstrap_servers,
        "UPSHOT_KAFKA_TOPIC_PREFIX": PREFIX,
        "UPSHOT_KAFKA_PARTITION_COUNT": "4",
    }
    async with running_platform(space, "upstreams", environment=environment) as it:
        with pytest.MonkeyPatch.context() as patch:
            found = {"UPSHOT_DATA_DIR": str(it.data_dir), "UPSHOT_POSTGRES_SYSTEM_DIR": str(space.system_dir)}
            for name, value in (environment | found).items():
                patch.setenv(name, value)
            yield it


async def upshot(*words: str) -> str:
    """What the command prints; in this process, because starting one costs ten times as much as what it does."""
    done = await asyncio.to_thread(CliRunner().invoke, app, list(words))
    assert done.exit_code == 0, done.output
    return done.stdout


async def kcat(cluster: KafkaCluster, tenant: str, event_id: str, *options: str, data: str = "{}") -> None:
    """With librdkafka's own partitioner, CRC32."""
    attributes = {"specversion": "1.0", "id": event_id, "source": "/shop", "type": "shop.opened", "tenantid": tenant}
    headers = [option for name, value in attributes.items() for option in ("-H", f"ce_{name}={value}")]
    process = await asyncio.create_subprocess_exec(
        *("kcat", "-P", "-b", cluster.bootstrap_servers, "-t", TOPIC, "-k", tenant, *headers, *options),
        stdin=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(30):
        await process.communicate(data.encode())
    assert process.returncode == 0


async def letters() -> list[dict[str, object]]:
    return [json.loads(line) for line in (await upshot("deadletters", "list", "--json")).splitlines()]


async def test_an_upstreams_event_is_the_same_event_by_kafka_and_by_http(
    upstreamed: RunningPlatform, kafka_broker: KafkaCluster
) -> None:
    async with tenant_client(upstreamed, "acme") as acme:
        telling = await acme.make_workflow(workflow("Note", "shop.opened", wait(0)))
        await kcat(kafka_broker, "acme", "o-1")
        await kcat(kafka_broker, "acme", "o-1", "-X", "topic.partitioner=murmur2_random")
        await kcat(kafka_broker, "acme", "o-2", "-H", "replayid=again", "-H", "ce_replayid=again")
        runs = await acme.runs_of(telling, 2, {"succeeded"})
        posted = {**cloud_event("shop.opened", event_id="o-1"), "source": "/shop"}
        (await acme.publish(posted)).expect(202)

        # then
        expected = {published_event_id("acme", "/shop", each) for each in ("o-1", "o-2")}
        assert {each["event_id"] for each in runs} == expected
        listed = await acme.every("/api/v1/events?type=shop.opened")
        assert {each["id"] for each in listed} == expected
        explained = await acme.get(f"/api/v1/events/{published_event_id('acme', '/shop', 'o-1')}/explain")
        assert explained["items"][0]["matches"]
        assert len(await acme.runs_of(telling, 2)) == 2
    examined = (await upshot("doctor")).splitlines()
    assert [line for line in examined if line.startswith("fail")] == []
    assert any("group matcher on upshot.events" in line and line.endswith("1 live") for line in examined)
    assert any(line.startswith("warn  the brokers have no authorizer") for line in examined)


@pytest.mark.usefixtures("upstreamed")
async def test_a_dead_letter_is_told_of_and_becomes_its_event_once_its_tenant_is_there(
    kafka_broker: KafkaCluster,
) -> None:
    await kcat(kafka_broker, "initech", "late", "-z", "gzip", data='{"n": 1}')
    await kcat(kafka_broker, "globex", "sick", data='{"n":')

    async def told() -> list[dict[str, object]]:
        found = await letters()
        return found if len(found) >= 2 else []

    found = await eventually(told, "both are dead letters")
    by_reason = {str(each["reason"]): str(each["id"]) for each in found}
    sick = next(letter for reason, letter in by_reason.items() if "cannot be taken" in reason)
    shown = json.loads(await upshot("deadletters", "show", sick, "--json"))
    assert (shown["key"], shown["value"]) == ("globex", '{"n":')
    assert {"name": "ce_id", "value": "sick"} in shown["headers"]

    # when: the documented commands
    (snippet,) = [each for each in snippets(ROOT) if each.kind == "sh letters"]
    said = [await upshot(*_words(line)) for line in snippet.text.splitlines()]

    # then
    event_id = published_event_id("initech", "/shop", "late")
    assert f"would become event {event_id} of initech" in said[2]
    assert f"became event {event_id} of initech" in said[3]
    redriven = {each["id"]: each["event_id"] for each in await letters() if each["redriven_at"]}
    assert list(redriven.values()) == [event_id]
    assert sick not in redriven


def _words(line: str) -> list[str]:
    program, *words = shlex.split(line)
    assert program == "upshot"
    return words
