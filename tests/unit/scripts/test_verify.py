"""Where `make test` has the tests' servers keep their data, and with what environment the Makefile runs Python."""

import os
import subprocess
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from shared.testing.scripts import script
from shared.testing.warm import REPOSITORY


@pytest.fixture
def verify() -> ModuleType:
    """Anew for each test."""
    return script("verify")


def test_data_lies_in_memory_while_the_tests_run(verify: ModuleType, tmp_path: Path) -> None:
    verify.MEMORY, verify.MEMORY_BYTES_MIN = tmp_path, 0
    with verify.scratch_folder() as folder:
        assert folder.parent == tmp_path
        assert folder.stat().st_mode & 0o777 == 0o711, "PostgreSQL's own user passes through, and sees nothing"
        (folder / "data").touch()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("there", [True, False])
def test_where_memory_has_no_room_it_lies_where_temporary_files_do(
    verify: ModuleType, tmp_path: Path, there: bool
) -> None:
    verify.MEMORY = tmp_path if there else tmp_path / "nowhere"
    verify.MEMORY_BYTES_MIN = 2**62
    with verify.scratch_folder() as folder:
        assert folder.parent != tmp_path
        assert folder.is_dir()


def test_where_memory_runs_no_programs_it_is_not_used(
    verify: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in many containers; PostgreSQL's binaries may have to lie there."""
    verify.MEMORY_BYTES_MIN = 0
    assert verify.has_room(tmp_path)
    known = os.statvfs(tmp_path)
    forbidding = SimpleNamespace(f_flag=known.f_flag | os.ST_NOEXEC, f_bavail=known.f_bavail, f_frsize=known.f_frsize)
    monkeypatch.setattr(os, "statvfs", lambda _: forbidding)
    assert not verify.has_room(tmp_path)


def test_makes_commands_keep_the_bytecode_of_what_they_import() -> None:
    """Without it every process compiles everything anew, which doubles what it costs to start one."""
    told = subprocess.run(
        ["make", "--no-print-directory", "--eval", "environment: ; @env", "environment"],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    assert f"PYTHONPYCACHEPREFIX={REPOSITORY}/.venv/bytecode" in told
    assert not [line for line in told if line.startswith("PYTHONDONTWRITEBYTECODE")]
