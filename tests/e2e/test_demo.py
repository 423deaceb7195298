"""`upshot demo` as a stranger meets it: first start, second start, the printed curl lines, Ctrl-C, and kill -9 in between."""

import asyncio
import json
import os
import re
import shutil
import signal
from asyncio.subprocess import STDOUT
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from shared.runtime.embedded_postgres.processes import parent_among, server_processes
from shared.testing.kafka import BOOTSTRAP_VARIABLE, KafkaCluster
from shared.testing.shell import Shell
from shared.testing.spawning import Process, spawned
from shared.testing.waiting import eventually
from shared.testing.warm import COMMAND, REPOSITORY
from shared.testing.workspace import Workspace

# Demos take the first free port, so only one may run at a time; one of the tests on Kafka runs one, too.
pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow, pytest.mark.xdist_group("kafka")]

RUN_SECONDS = 90.0
SESSIONS: set[int] = set()
"""Of all demos that ran here: whatever of them still runs is in one of these."""
VENDOR_ROWS = (
    "github push",
    "github issues, opened (sent again)",
    "github pull_request, opened",
    "stripe payment_intent.succeeded",
    "shopify orders/create (forged)",
    "shopify refunds/create",
)


@dataclass
class Demo:
    """One run of the command; `output` grows as it speaks."""

    process: Process
    lines: list[str] = field(default_factory=list)

    @property
    def output(self) -> str:
        return "".join(self.lines)

    async def until_said(self, text: str) -> None:
        """Return once it has said so; AssertionError with all that it said where it never does."""
        assert self.process.stdout is not None  # started with a pipe
        async with asyncio.timeout(RUN_SECONDS):
            while text not in self.output:
                line = await self.process.stdout.readline()
                assert line, f"ended without {text!r}:\n{self.output}"
                self.lines.append(line.decode())

    async def ended(self) -> int:
        """Its exit status, once it has ended."""
        assert self.process.stdout is not None  # started with a pipe
        async with asyncio.timeout(RUN_SECONDS):
            self.lines.append((await self.process.stdout.read()).decode())
            return await self.process.wait()


@asynccontextmanager
async def demo(
    space: Workspace, data_dir: Path, *arguments: str, warm: bool = True, **more: str
) -> AsyncIterator[Demo]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("UPSHOT_")}
    environment = {
        **inherited,
        "UPSHOT_DATA_DIR": str(data_dir),
        "UPSHOT_HTTP_PORT": "0",
        "UPSHOT_POSTGRES_SYSTEM_DIR": str(space.system_dir),
        **more,
    }
    process = await spawned((*COMMAND, "demo", *arguments), environment, errors=STDOUT, warm=warm)
    SESSIONS.add(process.pid)
    try:
        yield Demo(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def no_postgres(data_dir: Path) -> None:
    """After a clean end nothing is left running."""
    home = Path(json.loads((data_dir / "postgres" / "cluster.json").read_text(encoding="utf-8"))["home"])

    async def none_left() -> bool:
        return parent_among(server_processes(home / "data")) is None

    await eventually(none_left, "PostgreSQL has ended with the demo")


async def test_demo_shows_everything_then_shows_it_again_as_recovered(space: Workspace) -> None:
    """From nothing, as a user starts it; the other tests' demos may be warm."""
    data_dir = space.data_dir("demo")

    async with demo(space, data_dir, "--exit", warm=False) as first:
        status = await first.ended()
    assert status == 0, first.output
    assert_told(first.output)
    assert "first start" in first.output
    assert "Recovered" not in first.output
    await no_postgres(data_dir)

    async with demo(space, data_dir, "--exit", warm=False) as second:
        status = await second.ended()
    assert status == 0, second.output
    assert_told(second.output)
    assert "Recovered from the log: 8 events, runs: 1 denied, 4 succeeded" in second.output
    assert second.output.index("Recovered") < second.output.index("sending 9 deliveries")
    assert (data_dir / "demo.json").stat().st_mode & 0o077 == 0


async def test_the_same_demo_on_kafka_with_each_service_by_itself(space: Workspace, kafka_broker: KafkaCluster) -> None:
    kafka = {"UPSHOT_BUS": "kafka", BOOTSTRAP_VARIABLE: kafka_broker.bootstrap_servers}
    async with demo(space, space.data_dir("unused"), "--exit", **kafka) as it:
        status = await it.ended()
    assert status == 0, it.output
    assert_told(it.output)
    told = re.search(r"; processes ((?:\w+ \d+(?:, )?)+)", " ".join(it.output.split()))  # lines break anywhere between
    assert told is not None, it.output
    pids = dict(re.findall(r"(\w+) (\d+)", told[1]))
    assert pids.keys() == {"projector", "matcher", "executor", "approvals", "ingest", "api"}, it.output
    assert not any(psutil.pid_exists(int(pid)) for pid in pids.values())
    assert not space.data_dir("unused").exists()


async def test_without_java_it_says_what_is_missing(space: Workspace) -> None:
    kafka = {"UPSHOT_BUS": "kafka", BOOTSTRAP_VARIABLE: "", "PATH": "/nowhere"}
    async with demo(space, space.data_dir("unused"), **kafka) as it:
        status = await it.ended()
    assert status == 1
    assert "upshot: Apache Kafka cannot be started here: it needs Java" in it.output
    assert f"{BOOTSTRAP_VARIABLE}=" in it.output


def assert_told(output: str) -> None:
    held = re.search(r"(\d+) of (\d+) expectations held", output)
    assert held is not None, output
    assert held[1] == held[2], output
    assert "not as expected" not in output
    for row in VENDOR_ROWS:
        assert row in output, row
    chain = ["delivery ", "order.refunded", "event.matched", "approval.decided", "attempt.started", "attempt.finished"]
    trace = output[output.index("One causal chain") :]
    assert [trace.index(each) for each in chain] == sorted(trace.index(each) for each in chain), trace
    assert "chain unbroken" in trace
    assert "its signature holds" in trace


async def test_demo_serves_on_with_curl_lines_that_work_and_ends_cleanly(space: Workspace, shell: Shell) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    data_dir = space.data_dir("demo-serving")

    async with demo(space, data_dir) as it:
        await it.until_said("The same chain as above")
        curls = [line for line in it.output.splitlines() if line.startswith("curl ")]
        answers = [json.loads(await printed(line)) for line in curls]
        trace = next(line for line in it.output.splitlines() if line.startswith("The same chain as above: "))
        traced = await printed(
            trace.partition(": ")[2].replace(".venv/bin/upshot", "upshot"),
            PATH=shell.path(),
            UPSHOT_POSTGRES_SYSTEM_DIR=str(space.system_dir),
        )
        it.process.send_signal(signal.SIGINT)
        status = await it.ended()

    assert len(curls) == 3
    published, runs, run = answers
    assert [each["status"] for each in published["results"]] == ["accepted"]
    assert len(runs["items"]) == 5
    assert run["status"] == "succeeded"
    assert [entry["type"] for entry in run["timeline"]][:2] == ["order.refunded", "event.matched"]
    assert "chain unbroken" in traced
    assert status == 0, it.output
    await no_postgres(data_dir)


@pytest.mark.parametrize("moment", ["a receiver listens", "sending 9 deliveries", "denied ("])
async def test_demo_killed_at_any_moment_starts_again(space: Workspace, moment: str) -> None:
    data_dir = space.data_dir("demo-killed-" + moment.split(maxsplit=1)[0])

    async with demo(space, data_dir) as killed:
        await killed.until_said(moment)
        killed.process.kill()
        await killed.process.wait()
    async with demo(space, data_dir, "--exit") as again:
        status = await again.ended()

    assert status == 0, again.output
    assert_told(again.output)


async def test_demo_interrupted_while_it_tells_ends_cleanly(space: Workspace) -> None:
    data_dir = space.data_dir("demo-interrupted")

    async with demo(space, data_dir) as it:
        await it.until_said("the stage is set")
        it.process.send_signal(signal.SIGINT)
        status = await it.ended()

    assert status in (0, 130), it.output
    assert "Traceback" not in it.output
    await no_postgres(data_dir)


async def test_second_demo_on_the_same_folder_says_who_is_in_the_way(space: Workspace) -> None:
    data_dir = space.data_dir("demo-twice")

    async with demo(space, data_dir) as running:
        await running.until_said("The same chain as above")
        async with demo(space, data_dir, "--exit") as second:
            status = await second.ended()
        assert status == 1
        assert "Does another demo run" in second.output
        running.process.send_signal(signal.SIGTERM)
        assert await running.ended() == 0


async def printed(line: str, **environment: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", line),
        cwd=REPOSITORY,
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return output.decode()


async def test_nothing_of_the_demo_is_left_running() -> None:
    left = [each.info["cmdline"] for each in psutil.process_iter(["cmdline"]) if session_of(each.pid) in SESSIONS]
    assert left == []


def session_of(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return None
