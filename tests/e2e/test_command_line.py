"""Commands that are not as they were meant: said in one line, and nothing is made there; and what commands need not load."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from shared.testing.spawning import spawned
from shared.testing.warm import COMMAND, REPOSITORY

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("space")]


class Ended(NamedTuple):
    status: int
    output: str
    errors: str


async def upshot(data_dir: Path, *arguments: str) -> Ended:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("UPSHOT_")}
    process = await spawned([*COMMAND, *arguments], {**environment, "UPSHOT_DATA_DIR": str(data_dir)})
    output, errors = await process.communicate()
    assert process.returncode is not None
    return Ended(process.returncode, output.decode(), errors.decode())


@pytest.mark.parametrize(
    "command", [("trace", "an-event"), ("rebuild",), ("deadletters", "list"), ("log", "segments")], ids=" ".join
)
async def test_whoever_only_looks_makes_no_installation(tmp_path: Path, command: tuple[str, ...]) -> None:
    ended = await upshot(tmp_path / "mistyped", *command)
    assert ended.status == 1
    (line,) = ended.errors.splitlines()
    assert "there is no installation in" in line
    assert not (tmp_path / "mistyped").exists()


async def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for command in (("up",), ("token", "--tenant", "acme", "--role", "automation:read")):
        ended = await upshot(tmp_path / "file" / "data", *command)
        assert ended.status == 1
        (line,) = ended.errors.splitlines()
        assert "UPSHOT_DATA_DIR" in line
    assert "there is no installation" in (await upshot(tmp_path / "file", "deadletters", "list")).errors


async def test_no_token_is_printed_for_an_unknown_role(tmp_path: Path) -> None:
    ended = await upshot(tmp_path / "none", "token", "--tenant", "acme", "--role", "reed")
    assert (ended.status, ended.output) == (1, "")
    assert "did you mean 'read'" in ended.errors
    assert not (tmp_path / "none").exists()
    own = await upshot(tmp_path / "some", "token", "--tenant", "acme", "--role", "automation:finance")
    assert (own.status, own.output.count(".")) == (0, 2)
    assert "only a workflow's approval" in own.errors


async def test_what_every_command_stands_on_loads_nothing_that_only_servers_need() -> None:
    """Each would add to what a person waits for, every time."""
    looking = "import sys, services.foundation; print(*{'aiohttp', 'opentelemetry.sdk', 'joserfc', 'aiokafka'} & {*sys.modules})"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", looking, cwd=REPOSITORY, stdout=subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert (process.returncode, output) == (0, b"\n")
