"""A data folder that is not the one that was meant: said in one line, and nothing is made there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def upshot(data_dir: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("UPSHOT_")}
    return subprocess.run(
        [sys.executable, "-m", "services", *arguments],
        cwd=ROOT,
        env={**environment, "UPSHOT_DATA_DIR": str(data_dir)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(
    "command", [("trace", "an-event"), ("rebuild",), ("deadletters", "list"), ("log", "segments")], ids=" ".join
)
def test_whoever_only_looks_makes_no_installation(tmp_path: Path, command: tuple[str, ...]) -> None:
    ended = upshot(tmp_path / "mistyped", *command)
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert "there is no installation in" in line
    assert not (tmp_path / "mistyped").exists()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for command in (("up",), ("token", "--tenant", "acme", "--role", "automation:read")):
        ended = upshot(tmp_path / "file" / "data", *command)
        assert ended.returncode == 1
        (line,) = ended.stderr.splitlines()
        assert "UPSHOT_DATA_DIR" in line
    assert "there is no installation" in upshot(tmp_path / "file", "deadletters", "list").stderr
