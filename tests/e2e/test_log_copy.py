"""The demo's log, and one with all that waits, moves from PostgreSQL to Kafka by the documented commands, and goes on there."""

import asyncio
import os
import sys

import pytest

from services.foundation import foundation
from shared.readmodel.connect import connect
from shared.runtime.clock import draw_token
from shared.runtime.settings import UpshotSettings
from shared.testing.documents import tell, wait, workflow
from shared.testing.kafka import KafkaCluster
from shared.testing.markdown import snippets
from shared.testing.platform import REPOSITORY, CommandFailed, RunningPlatform, running_platform
from shared.testing.receivers import Receiver
from shared.testing.tenant_client import tenant_client
from shared.testing.workspace import Workspace

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

TO_KAFKA, GROWN, ANOTHER = [each.text for each in snippets(REPOSITORY) if each.kind == "sh move"]
PARTITIONS = {"UPSHOT_BUS_PARTITION_COUNT": "4", "UPSHOT_KAFKA_PARTITION_COUNT": "4"}
WAIT_SECONDS = 8.0


async def test_the_demos_log_moves_and_everything_goes_on(
    space: Workspace, inbox: Receiver, kafka_broker: KafkaCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UPSHOT_POSTGRES_SYSTEM_DIR", str(space.system_dir))
    monkeypatch.setenv("UPSHOT_BUS_PARTITION_COUNT", PARTITIONS["UPSHOT_BUS_PARTITION_COUNT"])
    environment = {
        **PARTITIONS,
        "UPSHOT_EGRESS_ALLOW": inbox.authority,
        "UPSHOT_KAFKA_TOPIC_PREFIX": f"moved-{draw_token(4)}.",
        "KAFKA": kafka_broker.bootstrap_servers,
        "UPSHOT_KAFKA_BOOTSTRAP_SERVERS": kafka_broker.bootstrap_servers,
    }
    async with running_platform(space, "moved", environment=environment) as platform:
        await platform.stop()
        await shell(platform, "upshot demo --exit")  # a log of real deliveries
        await platform.restart()
        async with tenant_client(platform, "mover") as tenant:
            # given: a run that waits for a time, one that waits for a person, and one that is over
            await tenant.make_endpoint("sink", inbox.url("/moved"))
            waiting = await tenant.make_workflow(workflow("Wait", "a.waited", wait(WAIT_SECONDS), tell("sink")))
            asking = await tenant.make_workflow(
                workflow("Ask", "a.asked", tell("sink"), approval={"when": "always", "roles": ["approve"]})
            )
            over = await tenant.make_workflow(workflow("Done", "a.done", wait(0)))
            await tenant.emit("a.done")
            before = await tenant.runs_of(over, 1, {"succeeded"})
            await tenant.emit("a.asked")
            await tenant.runs_of(asking, 1, {"pending_approval"})
            await tenant.emit("a.waited")
            await tenant.runs_of(waiting, 1, {"running"})

            with pytest.raises(CommandFailed, match=r"members of the log's groups are alive"):
                await platform.cli("log", "copy", "--to", "kafka")
            await platform.stop()

            # when: to another PostgreSQL, and to Kafka, killed in the middle, and called again
            told = await shell(platform, ANOTHER, OTHER_DATABASE_URL=await another_database(platform))
            assert "equal; generation" in told
            copying = await platform.spawn_cli("log", "copy", "--to", "kafka")
            assert copying.stderr is not None
            while b"upshot.runs" not in await copying.stderr.readline():
                assert not copying.stderr.at_eof()
            copying.kill()
            await copying.communicate()
            told = await shell(platform, TO_KAFKA)
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
            assert len(inbox.received("/moved")) == 2, "the timer fired once, the approved step was sent once"
            await platform.stop()

            # and: with another number of partitions, to topics of another prefix
            told = await shell(platform, GROWN.replace("64", "3").replace("grown", f"grown-{draw_token(4)}"))
            assert "equal; generation" in told
            assert "UPSHOT_KAFKA_PARTITION_COUNT=3" in told


async def another_database(platform: RunningPlatform) -> str:
    """Of the same server: its address, for an administrator."""
    async with foundation(UpshotSettings(data_dir=platform.data_dir)) as ground:
        admin = await connect(ground.admin)
        await admin.execute("CREATE DATABASE other")
        await admin.close()
        it = ground.admin
        return f"postgresql://{it.user}:{it.password}@/other?host={it.host}&port={it.port}"


async def shell(platform: RunningPlatform, commands: str, **environment: str) -> str:
    """What they print; they must end well."""
    upshot = f'upshot() {{ "{sys.executable}" -m services "$@"; }}\n'
    process = await asyncio.create_subprocess_exec(
        *("bash", "-euc", upshot + commands),
        cwd=REPOSITORY,
        env={**os.environ, **platform.environment, "UPSHOT_HTTP_PORT": "0", **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()
