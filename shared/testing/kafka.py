"""A real Apache Kafka for tests: one node or three on this machine's Java, which can be killed, frozen and started again.

`async with kafka_cluster(nodes=3) as cluster:` gives one whose metadata is complete. Its processes run in a workspace of
tests: whatever ends their owner ends them. Next: `kafka_node.py`, `kafka_properties.py`, `proxy.py`.
"""

import asyncio
import base64
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from shared.runtime.clock import SystemRandomness
from shared.testing.kafka_jars import prepare
from shared.testing.kafka_metadata import ClusterMetadata, ask_metadata
from shared.testing.kafka_node import QUICK_JVM, SILENT_JVM, KafkaNode, java_command
from shared.testing.kafka_properties import (
    ADMIN,
    HOST,
    SCRAM_MECHANISMS,
    BrokerOptions,
    NodePorts,
    Security,
    client_properties,
    node_properties,
    render,
)
from shared.testing.ports import free_port
from shared.testing.tls import write_certificates
from shared.testing.workspace import workspace

BOOTSTRAP_VARIABLE = "KAFKA_BOOTSTRAP_SERVERS"
USERS: Mapping[str, str] = {ADMIN: "admin-secret", "upshot": "upshot-secret", "upstream": "upstream-secret"}
"""Of every cluster with SASL, by PLAIN and by SCRAM. Only `ADMIN` may do anything before ACLs are given."""

TOOLS: Mapping[str, str] = {
    "topics": "org.apache.kafka.tools.TopicCommand",
    "console-producer": "org.apache.kafka.tools.ConsoleProducer",
    "console-consumer": "org.apache.kafka.tools.consumer.ConsoleConsumer",
    "consumer-groups": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    "acls": "org.apache.kafka.tools.AclCommand",
    "configs": "kafka.admin.ConfigCommand",
}
"""Kafka's own command-line tools, by the name of their shell script without `kafka-` and `.sh`."""

_TOOL_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Detour:
    """Nothing listens on `advertised` until a test puts a proxy there that forwards to `target`. Both on 127.0.0.1."""

    advertised: int
    target: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaCluster:
    """`nodes` is empty for a cluster that somebody else runs (KAFKA_BOOTSTRAP_SERVERS); `certificates` holds ca.pem."""

    bootstrap_servers: str
    nodes: Sequence[KafkaNode] = ()
    options: BrokerOptions = field(default_factory=BrokerOptions)
    certificates: Path = Path()

    @property
    def detours(self) -> tuple[Detour, ...]:
        """Of each node. A client that begins with `detour_servers` meets only these, also after it read the metadata."""
        return tuple(Detour(advertised=node.ports.detour, target=node.ports.detour_target) for node in self.nodes)

    @property
    def detour_servers(self) -> str:
        return ",".join(f"{HOST}:{detour.advertised}" for detour in self.detours)

    async def ready(self) -> None:
        """Returns when every node sees every other."""
        await asyncio.gather(*(node.ready(len(self.nodes)) for node in self.nodes))

    async def metadata(self) -> ClusterMetadata:
        """As a node that runs sees it. Only of a cluster of ours."""
        for node in self.nodes:
            if node.is_running and (found := await ask_metadata(HOST, node.ports.internal)) is not None:
                return found
        raise RuntimeError("no node of the cluster answers")

    async def tool(self, name: str, *arguments: str, given: str = "", user: str = ADMIN) -> str:
        """What one of `TOOLS` prints; RuntimeError with what it complains if it fails. `given` is its standard input."""
        node = self.nodes[0]
        properties = node.folder / f"client-{user}.properties"
        properties.write_text(render(client_properties(self.options, self.certificates, user)))
        command = [
            *java_command(node.jars, heap_mb=128, temporary=node.folder),
            TOOLS[name],
            "--bootstrap-server",
            self.bootstrap_servers,
            "--command-config",
            str(properties),
            *arguments,
        ]
        done = await asyncio.to_thread(
            subprocess.run,
            command,
            input=given,
            capture_output=True,
            text=True,
            check=False,
            timeout=_TOOL_SECONDS,
            cwd=node.folder,
        )
        if done.returncode:
            raise RuntimeError(f"kafka-{name} ended with {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout


@asynccontextmanager
async def kafka_cluster(
    folder: Path | None = None,
    *,
    nodes: int = 1,
    security: Security = "plaintext",
    message_max_bytes: int = 1_048_588,
    heap_mb: int = 320,
    jvm: Sequence[str] = QUICK_JVM,
    first_port: int | None = None,
    overrides: Mapping[str, str] | None = None,
) -> AsyncIterator[KafkaCluster]:
    """A running cluster of `nodes`; `folder` is one inside a `Workspace`, or a workspace of its own is made. Clients find the
    nodes on ports from `first_port` on, as far as those are free.

    Raises KafkaUnavailableError where Kafka cannot run, AssertionError with the log's end if a node does not start.
    """
    jars = prepare()
    options = BrokerOptions(
        security=security,
        message_max_bytes=message_max_bytes,
        users=USERS if security in ("sasl", "sasl_tls") else {},
        overrides=overrides or {},
    )
    with _place(folder) as place:
        certificates = place / "certificates"
        if options.is_encrypted:
            write_certificates(certificates, host=HOST)
        ports = [_draw_ports(None if first_port is None else first_port + each) for each in range(nodes)]
        cluster_id = _draw_id()
        members = []
        for number, own in enumerate(ports, 1):
            home = place / f"node-{number}"
            home.mkdir()
            properties = node_properties(number, ports, home / "data", options, certificates)
            (home / "server.properties").write_text(render(properties))
            members.append(KafkaNode(number=number, ports=own, folder=home, jars=jars, heap_mb=heap_mb, jvm=jvm))
        await asyncio.to_thread(_format, members, options, cluster_id)
        cluster = KafkaCluster(
            bootstrap_servers=",".join(node.address for node in members),
            nodes=members,
            options=options,
            certificates=certificates,
        )
        try:
            for node in members:
                node.launch()
            await cluster.ready()
            yield cluster
        finally:
            await asyncio.gather(*(_end(node) for node in members))


async def train() -> None:
    """Start a node once and keep what its start makes, for all later ones: it halves their time and their memory."""
    jars = prepare()
    if jars.class_archive.exists():
        return
    arriving = jars.state / f"arriving-{os.getpid()}.jsa"
    async with kafka_cluster(jvm=(*QUICK_JVM, f"-XX:ArchiveClassesAtExit={arriving}", *SILENT_JVM)) as cluster:
        await cluster.nodes[0].stop()
    arriving.rename(jars.class_archive)


@contextmanager
def _place(folder: Path | None) -> Iterator[Path]:
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
        return
    with workspace() as space:
        yield space.folder


async def _end(node: KafkaNode) -> None:
    """Killed, not stopped: its data goes with it."""
    if node.is_running:
        await node.kill()


def _format(members: Sequence[KafkaNode], options: BrokerOptions, cluster_id: str) -> None:
    """Every node starts from the same metadata, which Kafka's storage tool writes; without users it is always the same."""
    first = members[0]
    known = first.jars.bootstrap
    if known.exists() and not options.has_users:
        bootstrap = known.read_bytes()
    else:
        bootstrap = _bootstrap_by_tool(first, options, cluster_id)
        if not options.has_users:
            arriving = known.with_name(f"{known.name}.{os.getpid()}")
            arriving.write_bytes(bootstrap)
            arriving.rename(known)  # whole or not at all: others read it meanwhile
    for node in members:
        data = node.folder / "data"
        data.mkdir()
        (data / "bootstrap.checkpoint").write_bytes(bootstrap)
        identity = {"version": "1", "cluster.id": cluster_id, "node.id": str(node.number), "directory.id": _draw_id()}
        (data / "meta.properties").write_text(render(identity))


def _bootstrap_by_tool(node: KafkaNode, options: BrokerOptions, cluster_id: str) -> bytes:
    scram = [
        argument
        for name, password in options.users.items()
        for mechanism in SCRAM_MECHANISMS
        for argument in ("--add-scram", f"{mechanism}=[name={name},password={password}]")
    ]
    done = subprocess.run(
        [
            *java_command(node.jars, heap_mb=128, temporary=node.folder),
            "kafka.tools.StorageTool",
            *("format", "--cluster-id", cluster_id, "--config", str(node.folder / "server.properties"), *scram),
        ],
        check=False,
        capture_output=True,
        text=True,
        timeout=_TOOL_SECONDS,
        cwd=node.folder,
    )
    if done.returncode:
        raise AssertionError(f"Kafka's storage cannot be formatted: {done.stdout}{done.stderr}")
    written = (node.folder / "data" / "bootstrap.checkpoint").read_bytes()
    shutil.rmtree(node.folder / "data")
    return written


def _draw_id() -> str:
    """As Kafka writes identities: 16 bytes in base64; it refuses those that begin with a dash."""
    while (drawn := base64.urlsafe_b64encode(SystemRandomness().token_bytes(16)).decode().rstrip("=")).startswith("-"):
        pass
    return drawn


def _draw_ports(client: int | None) -> NodePorts:
    return NodePorts(
        client=free_port(client),
        detour=free_port(),
        detour_target=free_port(),
        internal=free_port(),
        controller=free_port(),
    )
