"""A warm process differs from a cold one in nothing but what it costs to start it."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import psutil
import pytest

from shared.testing.platform import REPOSITORY, running_platform
from shared.testing.waiting import eventually
from shared.testing.warm import COMMAND, WarmProcess, can_be_warm
from shared.testing.workspace import Workspace


@pytest.fixture
def environment(space: Workspace) -> Mapping[str, str]:
    return {**os.environ, "UPSHOT_DATA_DIR": str(space.data_dir("told")), "UPSHOT_JWT_SECRET": "s" * 32}


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("token", "--tenant", "acme", "--role", "nobody"),
        ("no-such-command",),
        ("conformance", "patterns", "no-such-file"),
    ],
    ids=lambda arguments: arguments[0],
)
async def test_it_prints_and_ends_as_the_cold_one_does(
    environment: Mapping[str, str], tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    cold = await asyncio.create_subprocess_exec(
        *(*COMMAND, *arguments),
        env={**environment, "PYTHONPATH": str(REPOSITORY)},
        cwd=tmp_path,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    expected = (*await cold.communicate(), cold.returncode)

    warm = await WarmProcess.start(arguments, environment, tmp_path)

    assert (*await warm.communicate(), warm.returncode) == expected
    assert expected[0] or expected[1]


async def test_it_is_a_process_of_its_own(space: Workspace) -> None:
    async with running_platform(space, "warm") as platform:
        process = platform.process
        assert isinstance(process, WarmProcess)
        assert process.returncode is None
        assert os.getsid(process.pid) == process.pid != os.getsid(0)
        assert psutil.Process(process.pid).cwd() == str(REPOSITORY)

        process.kill()

        assert await process.wait() == process.returncode == -signal.SIGKILL
        process.terminate()  # of what has ended: nothing


async def test_what_its_owner_leaves_is_ended_with_the_workspace(
    environment: Mapping[str, str], tmp_path: Path
) -> None:
    script = tmp_path / "owner.py"
    script.write_text(OWNER)
    owner = await asyncio.create_subprocess_exec(
        *(sys.executable, str(script)),
        env={**environment, "PYTHONPATH": str(REPOSITORY), "UPSHOT_HTTP_PORT": "0"},
        stdout=asyncio.subprocess.PIPE,
    )
    assert owner.stdout is not None  # started with a pipe
    pid = int(await owner.stdout.readline())

    owner.kill()

    await owner.wait()
    await eventually(lambda: _is_gone(pid), "the watchdog has ended it", timeout_seconds=30)


OWNER = """
import asyncio, os
from pathlib import Path
from shared.testing import warm
from shared.testing.warm import WarmProcess
from shared.testing.workspace import workspace

async def main() -> None:
    with workspace() as space:
        warm.begin(space.folder)
        own = {"UPSHOT_DATA_DIR": str(space.data_dir("left")), "UPSHOT_POSTGRES_SYSTEM_DIR": str(space.system_dir)}
        process = await WarmProcess.start(("up",), {**os.environ, **own}, Path("/"))
        print(process.pid, flush=True)
        await process.wait()

if __name__ == "__main__":
    asyncio.run(main())
"""


async def _is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_imports_must_have_seen_the_same(space: Workspace) -> None:
    up = (*COMMAND, "up")
    assert can_be_warm(up, os.environ)
    assert can_be_warm(up, {**os.environ, "PYTHONMALLOC": ""})
    assert not can_be_warm((sys.executable, "-c", "pass"), os.environ)
    assert not can_be_warm(up, {**os.environ, "UPSHOT_NATIVE": "0"})
    assert not can_be_warm(up, {**os.environ, "PYTHONMALLOC": "debug"})
