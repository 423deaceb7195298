"""One process of a Kafka for tests, broker and controller at once: started, killed, frozen, woken. Next: `kafka_jars.py`."""

import asyncio
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from shared.testing.kafka_jars import LOGGING, KafkaJars
from shared.testing.kafka_metadata import ClusterMetadata, ask_metadata
from shared.testing.kafka_properties import HOST, NodePorts
from shared.testing.waiting import eventually

# Serial collection and the first compiler only: half of the start's CPU time, which is most of a test broker's.
QUICK_JVM = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-Djava.net.preferIPv4Stack=true")
# Java says at length which classes it does not keep in an archive, and that another Java's is of no use.
SILENT_JVM = ("-Xlog:disable", "-Xlog:all=error:stderr")

_READY_SECONDS = 60.0
_STOP_SECONDS = 30.0
_LOG_TAIL = 3000


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
            if found is None or len(found.brokers) < nodes or self.number not in found.brokers:
                return None
            # its listeners open one after the other
            opened = await _listens(HOST, self.ports.client) and await _listens(HOST, self.ports.detour_target)
            return found if opened else None

        await eventually(
            ask, f"node {self.number} is ready", timeout_seconds=timeout_seconds, explain=lambda: "\n" + self.log_tail()
        )

    async def kill(self) -> None:
        """At once, as a machine that loses its power; what it acknowledged is on its disk or its replicas'."""
        self._signal(signal.SIGKILL)
        await self._ended()

    async def stop(self) -> None:
        """In order: leadership is handed over, files are closed. Also of one that is frozen."""
        self._signal(signal.SIGCONT)
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


async def _listens(host: str, port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    writer.close()
    return True


def java_command(jars: KafkaJars, *, heap_mb: int, temporary: Path, options: Sequence[str] = QUICK_JVM) -> list[str]:
    """Java with Kafka's class path; the main class and its arguments follow. Libraries unpack into `temporary`."""
    return [
        jars.java,
        f"-Xmx{heap_mb}m",
        "-XX:+ExitOnOutOfMemoryError",
        f"-Djava.io.tmpdir={temporary}",
        f"-Dlog4j2.configurationFile={LOGGING}",
        *(_from_archive(jars) if jars.class_archive.exists() else ()),
        *options,
        "-cp",
        jars.class_path,
    ]


def _from_archive(jars: KafkaJars) -> Sequence[str]:
    return (f"-XX:SharedArchiveFile={jars.class_archive}", *SILENT_JVM)
