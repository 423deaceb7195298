"""A real Apache Kafka for tests: one node or three on this machine's Java, which can be killed, frozen and started again.

`async with kafka_cluster(nodes=3) as cluster:` gives one whose metadata is complete. Its processes run in a workspace of
tests: whatever ends their owner ends them. Next: `kafka_jars.py`, `kafka_properties.py`, `proxy.py`.
"""

import asyncio
import base64
import itertools
import os
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from shared.runtime.clock import SystemRandomness
from shared.testing.kafka_jars import LOGGING, KafkaJars, prepare
from shared.testing.kafka_metadata import ClusterMetadata, ask_metadata
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
from shared.testing.tls import write_certificates
from shared.testing.waiting import eventually
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

_READY_SECONDS = 60.0
_STOP_SECONDS = 30.0
_TOOL_SECONDS = 60.0
_LOG_TAIL = 3000
# Serial collection and the first compiler only: half of the start's CPU time, which is most of a test broker's.
_QUICK_JVM = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-Djava.net.preferIPv4Stack=true")
# Below the range of which the system picks ports of outgoing connections: a stopped node finds its own free again.
_PORTS = range(10_000, 32_000)
_ports_tried = itertools.count(os.getpid() * 41)


@dataclass(frozen=True, slots=True, kw_only=True)
class Detour:
    """Nothing listens on `advertised` until a test puts a proxy there that forwards to `target`. Both on 127.0.0.1."""

    advertised: int
    target: int


@dataclass(slots=True, kw_only=True)
class KafkaNode:
    """One process, broker and controller at once; it keeps its ports and its data from start to start."""

    number: int
    ports: NodePorts
    folder: Path
    jars: KafkaJars
    heap_mb: int
    jvm: Sequence[str]
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def address(self) -> str:
        return f"{HOST}:{self.ports.client}"

    @property
    def pid(self) -> int:
        """Of its process; only while it runs or is frozen."""
        if self._process is None:
            raise RuntimeError(f"node {self.number} does not run")
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def launch(self) -> None:
        """Start the process and return at once."""
        if self.is_running:
            raise RuntimeError(f"node {self.number} runs already")
        with (self.folder / "broker.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *java_command(self.jars, heap_mb=self.heap_mb, temporary=self.folder, options=self.jvm),
                    "kafka.Kafka",
                    str(self.folder / "server.properties"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,  # by this the workspace's watchdog finds it
                start_new_session=True,  # an interrupt is for its owner, who stops it in order
            )

    async def ready(self, nodes: int = 1, timeout_seconds: float = _READY_SECONDS) -> None:
        """Returns when it takes clients and sees `nodes` brokers in its cluster."""

        async def ask() -> ClusterMetadata | None:
            if not self.is_running:
                raise AssertionError(f"node {self.number} of Kafka ended by itself:\n{self.log_tail()}")
            found = await ask_metadata(HOST, self.ports.internal)
            return found if found is not None and len(found.brokers) >= nodes and self.number in found.brokers else None

        await eventually(
            ask, f"node {self.number} is ready", timeout_seconds=timeout_seconds, explain=lambda: "\n" + self.log_tail()
        )

    async def kill(self) -> None:
        """At once, as a machine that loses its power; what it acknowledged is on its disk or its replicas'."""
        self._signal(signal.SIGKILL)
        await self._ended()

    async def stop(self) -> None:
        """In order: leadership is handed over, files are closed."""
        self._signal(signal.SIGTERM)
        await self._ended()

    def freeze(self) -> None:
        """It keeps its connections and answers nothing, until `wake`."""
        self._signal(signal.SIGSTOP)

    def wake(self) -> None:
        self._signal(signal.SIGCONT)

    async def restart(self) -> None:
        """`stop` if it runs, then start on the same ports and data, and wait until it takes clients."""
        if self.is_running:
            await self.stop()
        self.launch()
        await self.ready()

    def log_tail(self) -> str:
        """The end of what it logged: warnings and errors."""
        try:
            return (self.folder / "broker.log").read_text(errors="replace")[-_LOG_TAIL:]
        except FileNotFoundError:
            return "(it logged nothing)"

    def _signal(self, number: signal.Signals) -> None:
        if not self.is_running:
            raise RuntimeError(f"node {self.number} does not run")
        assert self._process is not None  # it runs
        self._process.send_signal(number)

    async def _ended(self) -> None:
        assert self._process is not None  # it ran
        try:
            await asyncio.to_thread(self._process.wait, _STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            await asyncio.to_thread(self._process.wait)
        self._process = None


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
    jvm: Sequence[str] = _QUICK_JVM,
    overrides: Mapping[str, str] | None = None,
) -> AsyncIterator[KafkaCluster]:
    """A running cluster of `nodes`; `folder` is one inside a `Workspace`, or a workspace of its own is made.

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
        ports = [_draw_ports() for _ in range(nodes)]
        cluster_id = _draw_id()
        members = []
        for number, own in enumerate(ports, 1):
            home = place / f"node-{number}"
            (home / "data").mkdir(parents=True)
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


def java_command(jars: KafkaJars, *, heap_mb: int, temporary: Path, options: Sequence[str] = _QUICK_JVM) -> list[str]:
    """Java with Kafka's class path; the main class and its arguments follow. Libraries unpack into `temporary`."""
    return [
        jars.java,
        f"-Xmx{heap_mb}m",
        "-XX:+ExitOnOutOfMemoryError",
        f"-Djava.io.tmpdir={temporary}",
        f"-Dlog4j2.configurationFile={LOGGING}",
        *options,
        "-cp",
        jars.class_path,
    ]


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
    """Kafka's own storage tool formats the first node; all start from the same metadata, so the others get a copy."""
    first = members[0]
    scram = [
        argument
        for name, password in options.users.items()
        for mechanism in SCRAM_MECHANISMS
        for argument in ("--add-scram", f"{mechanism}=[name={name},password={password}]")
    ]
    done = subprocess.run(
        [
            *java_command(first.jars, heap_mb=128, temporary=first.folder),
            "kafka.tools.StorageTool",
            *("format", "--cluster-id", cluster_id, "--config", str(first.folder / "server.properties"), *scram),
        ],
        check=False,
        capture_output=True,
        text=True,
        timeout=_TOOL_SECONDS,
        cwd=first.folder,
    )
    if done.returncode:
        raise AssertionError(f"Kafka's storage cannot be formatted: {done.stdout}{done.stderr}")
    bootstrap = (first.folder / "data" / "bootstrap.checkpoint").read_bytes()
    for node in members[1:]:
        data = node.folder / "data"
        (data / "bootstrap.checkpoint").write_bytes(bootstrap)
        identity = {"version": "1", "cluster.id": cluster_id, "node.id": str(node.number), "directory.id": _draw_id()}
        (data / "meta.properties").write_text(render(identity))


def _draw_id() -> str:
    """As Kafka writes identities: 16 bytes in base64; it refuses those that begin with a dash."""
    while (drawn := base64.urlsafe_b64encode(SystemRandomness().token_bytes(16)).decode().rstrip("=")).startswith("-"):
        pass
    return drawn


def _draw_ports() -> NodePorts:
    return NodePorts(
        client=free_port(),
        detour=free_port(),
        detour_target=free_port(),
        internal=free_port(),
        controller=free_port(),
    )


def free_port() -> int:
    """One on which nothing listens, and which no outgoing connection will be given meanwhile."""
    for tried in itertools.islice(_ports_tried, len(_PORTS)):
        port = _PORTS[tried % len(_PORTS)]
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
        return port
    raise RuntimeError(f"no free port from {_PORTS.start} to {_PORTS.stop}")
