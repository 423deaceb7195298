"""The demo's log, and one with all that waits, moves from PostgreSQL to Kafka by the documented commands, and goes on there."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from services.foundation import foundation
from services.tenants import create_tenant
from shared.bus.topics import TOPICS
from shared.domain.plans import DEFAULT_PLAN
from shared.readmodel.connect import SERVICE, connect
from shared.runtime.settings import UpshotSettings
from shared.testing.bus.kafka import KafkaLog, fresh_log
from shared.testing.documents import tell, wait, workflow
from shared.testing.kafka import KafkaCluster
from shared.testing.markdown import snippets
from shared.testing.platform import REPOSITORY, CommandFailed, RunningPlatform, ended
from shared.testing.receivers import Receiver
from shared.testing.shell import Shell
from shared.testing.tenant_client import tenant_client
from shared.testing.workspace import Workspace

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

TO_KAFKA, GROWN, ANOTHER = [each.text for each in snippets(REPOSITORY) if each.kind == "sh move"]
PARTITIONS = {"UPSHOT_BUS_PARTITION_COUNT": "4", "UPSHOT_KAFKA_PARTITION_COUNT": "4"}
WAIT_SECONDS = 4.0


@pytest.mark.timeout(300)
async def test_the_demos_log_moves_and_everything_goes_on(
    space: Workspace, inbox: Receiver, kafka_broker: KafkaCluster, shell: Shell
) -> None:
    async with (
        fresh_log(kafka_broker, TOPICS) as first,
        fresh_log(kafka_broker, TOPICS) as second,
        not_started(space, "moved", _environment(first, inbox)) as platform,
    ):
        await shell.run(platform, "upshot demo --exit")  # a log of real deliveries
        await platform.start()
        async with tenant_client(platform, "mover") as tenant:
            # given: a run that waits for a time, one that waits for a person, and one that is over
            await tenant.make_endpoint("sink", inbox.url("/moved"))
            waiting = await tenant.make_workflow(workflow("Wait", "a.waited", wait(WAIT_SECONDS), tell("sink")))
            asking = await tenant.make_workflow(
                workflow("Ask", "a.asked", tell("sink"), approval={"when": "always", "roles": ["approve"]})
            )
            over = await tenant.make_workflow(workflow("Done", "a.done", wait(0)))
            await tenant.emit("a.early")
            await tenant.emit("a.done")
            before = await tenant.runs_of(over, 1, {"succeeded"})
            await tenant.emit("a.asked")
            await tenant.runs_of(asking, 1, {"pending_approval"})
            late = await tenant.make_workflow(workflow("Late", "a.early", wait(0)))

            with pytest.raises(CommandFailed, match=r"members of the log's groups are alive"):
                await platform.cli("log", "copy", "--to", "kafka")
            await tenant.emit("a.waited")
            await tenant.runs_of(waiting, 1, {"running"})
            await platform.stop()

            # when: killed in the middle, and called again
            copying = await platform.spawn_cli("log", "copy", "--to", "kafka")
            assert copying.stderr is not None
            while b"upshot.runs" not in await copying.stderr.readline():
                assert not copying.stderr.at_eof()
            copying.kill()
            await copying.communicate()
            told = await shell.run(platform, TO_KAFKA)
            events = next(line for line in told.splitlines() if "upshot.events: " in line and "in the copy" in line)
            assert int(events.split()[1]) == int(events.split()[-5]) > 0, "all were there from before"
            assert "equal; generation" in told
            assert "UPSHOT_BUS=kafka" in told

            # then: on Kafka it goes on
            await platform.start(UPSHOT_BUS="kafka")
            assert await tenant.runs_of(over, 1, {"succeeded"}) == before
            await tenant.runs_of(waiting, 1, {"succeeded"})
            (approval,) = await tenant.every("/api/v1/approvals?status=pending")
            boss = tenant.as_person("boss")
            (await boss.command("POST", f"/api/v1/approvals/{approval['id']}/grant", {"reason": "checked"})).expect(200)
            await tenant.runs_of(asking, 1, {"succeeded"})
            await tenant.emit("a.done")
            await tenant.runs_of(over, 2, {"succeeded"})
            await tenant.emit("a.early")
            assert len(await tenant.runs_of(late, 1, {"succeeded"})) == 1, (
                "what was matched before is not matched again"
            )
            assert len(inbox.received("/moved")) == 2, "the timer fired once, the approved step was sent once"
            await platform.stop()

            # and: with another number of partitions, to topics of another prefix
            told = await shell.run(platform, GROWN.replace("64", "3").replace("grown.", second.prefix))
            assert "equal; generation" in told
            assert "UPSHOT_KAFKA_PARTITION_COUNT=3" in told


async def test_a_log_moves_to_another_postgresql_with_the_keys_of_its_tenants(
    space: Workspace, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UPSHOT_POSTGRES_SYSTEM_DIR", str(space.system_dir))
    async with not_started(space, "leaving", {}) as platform:
        platform.data_dir.mkdir(mode=0o700)
        async with foundation(UpshotSettings(data_dir=platform.data_dir)) as ground:
            for name in ("one", "two", "three"):
                await create_tenant(ground, name, DEFAULT_PLAN)
            service = await connect(ground.role(SERVICE))
            key = ("one", "key-1", b"wrapped")
            await service.execute(
                "INSERT INTO keystore.data_keys (tenant_id, key_id, wrapped) VALUES ($1, $2, $3)", *key
            )
            await service.close()
            admin = await connect(ground.admin)
            await admin.execute("CREATE DATABASE other")
            await admin.close()
            it = ground.admin
            url = f"postgresql://{it.user}:{it.password}@/other?host={it.host}&port={it.port}"
            told = await shell.run(platform, ANOTHER, OTHER_DATABASE_URL=url)
            assert "upshot.definitions: 3 records in the copy, 0 of them from before" in told
            assert "equal; generation" in told
            other = await connect(replace(ground.role(SERVICE), database="other"))
            assert tuple(await other.fetchrow("SELECT tenant_id, key_id, wrapped FROM keystore.data_keys") or ()) == key
            await other.close()


def _environment(log: KafkaLog, inbox: Receiver) -> dict[str, str]:
    return {
        **PARTITIONS,
        "UPSHOT_EGRESS_ALLOW": inbox.authority,
        "UPSHOT_KAFKA_TOPIC_PREFIX": log.prefix,
        "UPSHOT_KAFKA_BOOTSTRAP_SERVERS": log.cluster.bootstrap_servers,
        "KAFKA": log.cluster.bootstrap_servers,
    }


@asynccontextmanager
async def not_started(space: Workspace, name: str, environment: Mapping[str, str]) -> AsyncIterator[RunningPlatform]:
    """A platform on a new data folder, for commands; ended on the way out where the test has started it."""
    platform = RunningPlatform(space.data_dir(name), space.system_dir, environment)
    try:
        yield platform
    finally:
        await ended(platform)
