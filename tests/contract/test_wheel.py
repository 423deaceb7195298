"""What is built is what runs: the wheel holds both packages whole, their data files too, under the one version there is."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import services
from shared.matching import native

HAS_KERNEL = "import services; from shared.matching import native; print(native.IS_THERE)"
ROOT = Path(__file__).resolve().parents[2]


def test_the_wheel_is_whole_and_runs_by_itself(tmp_path: Path) -> None:
    wheel = built(tmp_path)
    assert wheel.name == f"upshot-{services.__version__}-py3-none-any.whl"

    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
        archive.extractall(tmp_path / "unpacked")
    tracked = subprocess.run(
        ["git", "ls-files", "services", "shared"], cwd=ROOT, check=False, capture_output=True, text=True
    )
    assert set(tracked.stdout.split()) <= held
    assert "services/demo/workflows/triage.yaml" in held
    assert "services/demo/payloads/github-push.json" in held
    assert not any("__pycache__" in name or name.startswith("tests/") for name in held)

    assert "demo" in said(tmp_path / "unpacked", "-m", "services", "--help")
    assert said(tmp_path / "unpacked", "-c", HAS_KERNEL) == "False"


def test_a_wheel_for_one_platform_holds_the_kernel_and_an_environment_can_leave_it_out(tmp_path: Path) -> None:
    if not native.IS_THERE:
        pytest.skip("the matching kernel is not compiled here")
    wheel = built(tmp_path, UPSHOT_BUILD_NATIVE="1")
    assert not wheel.name.endswith("none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "unpacked")

    assert said(tmp_path / "unpacked", "-c", HAS_KERNEL) == "True"
    assert said(tmp_path / "unpacked", "-c", HAS_KERNEL, UPSHOT_NATIVE="0") == "False"


def built(folder: Path, **more: str) -> Path:
    """The wheel of this checkout."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, env=environment(**more), check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def said(unpacked: Path, *arguments: str, **more: str) -> str:
    """What Python prints with the wheel's own packages, and none of this checkout's."""
    command = [sys.executable, "-P", *arguments]
    env = environment(PYTHONPATH=str(unpacked), **more)
    done = subprocess.run(command, cwd=unpacked, env=env, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def environment(**more: str) -> dict[str, str]:
    return {**{name: value for name, value in os.environ.items() if not name.startswith("UPSHOT_")}, **more}
