"""Where the demo runs: all services in this process on PostgreSQL, or each in its own on a real Kafka.

Guarantee: on the way out everything that was started is ended; of a demo on Kafka nothing stays, as its broker's data does not
either, and should this process be killed, a watchdog of its own ends the rest. Next: `runner.py`, which plays on it.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from services.embedded import platform
from services.foundation import Foundation, foundation
from shared.domain.errors import PermanentError
from shared.runtime.clock import SystemRandomness
from shared.runtime.egress import EgressSettings
from shared.runtime.embedded_postgres import default_data_dir
from shared.runtime.settings import UpshotSettings
from shared.testing.kafka import BOOTSTRAP_VARIABLE, kafka_cluster
from shared.testing.kafka_jars import kafka_missing
from shared.testing.services import SERVICES, running_services
from shared.testing.workspace import Workspace, workspace

PORTS_TRIED = 100
PARTITIONS = 8
"""Of the demo's topics on Kafka: enough to see them divided, and quickly made."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """What the demo plays on. `tasks`: one that ends by itself is never right."""

    url: str
    ingest_url: str
    ground: Foundation
    tasks: Sequence[asyncio.Task[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """`open` starts the platform there."""

    data_dir: Path
    open: Callable[[UpshotSettings, EgressSettings], contextlib.AbstractAsyncContextManager[Running]]
    comes_back: bool
    """Whether the next start finds what this one leaves."""
    variables: str
    """What a command has to be told to work on it."""


@contextlib.asynccontextmanager
async def place(settings: UpshotSettings, say: Say) -> AsyncIterator[Place]:
    """As `UPSHOT_BUS` says. Raises PermanentError, which says why, where Kafka cannot run here."""
    if settings.bus == "postgres":
        chosen = settings.data_dir or default_data_dir(os.environ, os.getuid()) / "demo"
        chosen.mkdir(parents=True, exist_ok=True, mode=0o700)
        yield Place(
            data_dir=chosen.resolve(),
            open=lambda settings, egress: _in_one(settings, egress, say),
            comes_back=True,
            variables=f"UPSHOT_DATA_DIR='{chosen.resolve()}'",
        )
        return
    async with contextlib.AsyncExitStack() as stack:
        given = os.environ.get(BOOTSTRAP_VARIABLE) or None
        if given is None and (missing := kafka_missing()) is not None:
            why = missing.removeprefix("Kafka is not tested here: ")
            raise PermanentError(
                f"Apache Kafka cannot be started here: {why}. One that runs elsewhere: {BOOTSTRAP_VARIABLE}=host:port"
            )
        space = stack.enter_context(workspace())
        if given is None:
            say("starting Apache Kafka on this machine's Java")
            cluster = await stack.enter_async_context(kafka_cluster(space.folder / "kafka"))
            given = cluster.bootstrap_servers
        prefix = f"demo-{SystemRandomness().token_bytes(4).hex()}."
        # Also for this process, which reads the log for the trace.
        chosen_here = {
            "UPSHOT_BUS": "kafka",
            "UPSHOT_KAFKA_BOOTSTRAP_SERVERS": given,
            "UPSHOT_KAFKA_TOPIC_PREFIX": prefix,
            "UPSHOT_KAFKA_PARTITION_COUNT": os.environ.get("UPSHOT_KAFKA_PARTITION_COUNT", str(PARTITIONS)),
            "UPSHOT_POSTGRES_SYSTEM_DIR": str(space.system_dir),
        }
        os.environ.update(chosen_here)
        say(f"Kafka is at {given}; the log's topics are {prefix}upshot.events and three more")
        data_dir = space.data_dir("demo")
        data_dir.mkdir(mode=0o700)
        variables = {"UPSHOT_DATA_DIR": str(data_dir), **chosen_here}
        yield Place(
            data_dir=data_dir,
            open=lambda settings, egress: _apart(space, settings, egress, say),
            comes_back=False,
            variables=" ".join(f"{name}='{value}'" for name, value in variables.items()),
        )


@contextlib.asynccontextmanager
async def _in_one(settings: UpshotSettings, egress: EgressSettings, say: Say) -> AsyncIterator[Running]:
    async with platform(settings, egress) as it:
        say(f"PostgreSQL and all services run in this process; ready at {it.url}")
        yield Running(url=it.url, ingest_url=it.url, ground=it.ground, tasks=it.tasks)


@contextlib.asynccontextmanager
async def _apart(
    space: Workspace, settings: UpshotSettings, egress: EgressSettings, say: Say
) -> AsyncIterator[Running]:
    kafka = {name: value for name, value in os.environ.items() if name.startswith(("UPSHOT_KAFKA_", "UPSHOT_BUS"))}
    api_port = settings.http_port
    ports = {"api": api_port, "ingest": free_port(settings.http_host, api_port + 1 if api_port else 0)}
    secret = settings.jwt_secret.get_secret_value() if settings.jwt_secret is not None else ""
    environment = {
        **kafka,
        "UPSHOT_EGRESS_ALLOW": egress.allow,
        "UPSHOT_HTTP_HOST": settings.http_host,
        "UPSHOT_JWT_SECRET": secret,
        "UPSHOT_LOG_LEVEL": "WARNING",
    }
    say(f"starting {len(SERVICES)} services, each in a process of its own: {', '.join(SERVICES)}")
    async with (
        running_services(space, "demo", environment=environment, ports=ports) as services,
        foundation(settings.model_copy(update={"bus": "kafka"})) as ground,
    ):
        ingest = services.of("ingest")[0]
        pids = ", ".join(f"{name} {each.pid}" for name in SERVICES for each in services.of(name))
        say(f"ready: the API at {services.url}, ingest at {ingest.url}; processes {pids}")
        tasks = [asyncio.create_task(each.ended(), name=each.log_path.stem) for each in services.all]
        try:
            yield Running(url=services.url, ingest_url=ingest.url, ground=ground, tasks=tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def free_port(host: str, first: int) -> int:
    """The first free one from `first` on; 0 is left to the system. Raises PermanentError."""
    ports: Sequence[int] = range(first, first + PORTS_TRIED) if first else (0,)
    for port in ports:
        if not port or is_free(host, port):
            return port
    raise PermanentError(f"ports {ports[0]} to {ports[-1]} of {host} are all taken; name one: UPSHOT_HTTP_PORT")


def is_free(host: str, port: int) -> bool:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.create_server((host, port), family=family):
            return True
    except OSError:
        return False
