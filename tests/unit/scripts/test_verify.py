"""Where `make test` has the tests' servers keep their data, and with what environment the Makefile runs Python."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def verify() -> ModuleType:
    """scripts/verify.py, which is no part of the packages; anew for each test."""
    spec = importlib.util.spec_from_file_location("verify", ROOT / "scripts" / "verify.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look there
    spec.loader.exec_module(module)
    return module


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


def test_makes_commands_keep_the_bytecode_of_what_they_import() -> None:
    """Without it every process compiles everything anew, which doubles what it costs to start one."""
    told = subprocess.run(
        ["make", "--no-print-directory", "--eval", "environment: ; @env", "environment"],
        cwd=ROOT,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    assert f"PYTHONPYCACHEPREFIX={ROOT}/.venv/bytecode" in told
    assert not [line for line in told if line.startswith("PYTHONDONTWRITEBYTECODE")]
