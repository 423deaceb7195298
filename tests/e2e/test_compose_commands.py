"""What docker-compose.yml starts, started without an engine: every service's command with its variables, on a Kafka with its."""

import asyncio
import sys
from pathlib import Path

import aiohttp
import pytest
import yaml

from services.processes import PROCESSES
from shared.testing.compose import read_compose
from shared.testing.kafka import KafkaCluster, kafka_cluster
from shared.testing.kafka_jars import kafka_missing
from shared.testing.platform import RunningPlatform, ended
from shared.testing.ports import free_port
from shared.testing.postgres import embedded_postgres
from shared.testing.waiting import eventually
from shared.testing.workspace import Workspace

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = read_compose(ROOT / "docker-compose.yml")
COLLECTOR = yaml.safe_load((ROOT / "deploy" / "otel-collector.yaml").read_text(encoding="utf-8"))
SCRAPED: str = COLLECTOR["receivers"]["prometheus"]["config"]["scrape_configs"][0]["metrics_path"]
GIVEN = {
    "POSTGRES_PASSWORD": "secret",
    "UPSHOT_MASTER_KEY": "a master key for all of them",
    "UPSHOT_JWT_SECRET": "a secret of tokens for all of them",
}
_OF_THE_CONTAINER = ("listener", "controller", "node.id", "process.roles", "log.dirs")
"""Kafka's settings that name addresses and folders: here the cluster has others."""


def kafka_settings() -> dict[str, str]:
    """What the compose file tells its Kafka, by Kafka's own names."""
    written = COMPOSE.environment("kafka", GIVEN)
    named = {name[6:].lower().replace("_", "."): value for name, value in written.items() if name.startswith("KAFKA_")}
    return {name: value for name, value in named.items() if not any(part in name for part in _OF_THE_CONTAINER)}


def started(service: str, space: Workspace, kafka: KafkaCluster, database_url: str) -> RunningPlatform:
    """The container's command in a process: a folder and a port of its own, and where the others are here."""
    command: list[str] = COMPOSE.services[service]["command"]
    assert command[0] == "upshot"
    environment = COMPOSE.environment(service, GIVEN) | {
        "UPSHOT_HTTP_HOST": "127.0.0.1",
        "UPSHOT_DATABASE_URL": database_url,
        "UPSHOT_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "UPSHOT_KAFKA_PARTITION_COUNT": "4",  # 32 take a small machine longer than the test is about
    }
    return RunningPlatform(
        space.data_dir(f"compose-{service}"),
        space.system_dir,
        environment,
        name=service,
        command=(sys.executable, "-m", "services", *command[1:]),
        port=free_port(),
        warm=False,
    )


async def is_healthy(process: RunningPlatform, service: str) -> bool:
    """By the container's own health check."""
    _cmd, _python, *arguments = COMPOSE.services[service]["healthcheck"]["test"]
    asked = [each.replace(":8080/", f":{process.port}/") for each in arguments]
    check = await asyncio.create_subprocess_exec(sys.executable, *asked, stderr=asyncio.subprocess.DEVNULL)
    return await check.wait() == 0


@pytest.mark.slow
async def test_every_command_of_the_compose_file_becomes_healthy_and_ends_in_order(
    space: Workspace, tmp_path: Path
) -> None:
    if (missing := kafka_missing()) is not None:
        pytest.skip(missing)
    async with (
        kafka_cluster(space.folder / "compose-kafka", overrides=kafka_settings()) as kafka,
        embedded_postgres(tmp_path) as server,
        aiohttp.ClientSession() as session,
    ):
        processes = {name: started(name, space, kafka, server.connection.dsn()) for name in PROCESSES}
        try:
            await asyncio.gather(*(process.start() for process in processes.values()))
            for name, process in processes.items():

                async def healthy(process: RunningPlatform = process, name: str = name) -> bool:
                    return await is_healthy(process, name)

                await eventually(healthy, f"{name} is healthy", explain=process.log_tail)
                for path in ("/healthz", SCRAPED):
                    async with session.get(f"{process.url}{path}") as answer:
                        assert answer.status == 200, f"{name} {path}"
            assert "acme" in await processes["api"].cli("tenant", "create", "acme")
            assert set(await asyncio.gather(*(process.stop() for process in processes.values()))) == {0}
        finally:
            await asyncio.gather(*(ended(process) for process in processes.values()))
