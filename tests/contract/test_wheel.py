"""What is built is what runs: the wheel holds both packages whole, their data files too, under the one version there is."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import services

ROOT = Path(__file__).resolve().parents[2]


def test_the_wheel_is_whole_and_runs_by_itself(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
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

    told = subprocess.run(
        [sys.executable, "-P", "-m", "services", "--help"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "unpacked")},
        check=True,
        capture_output=True,
        text=True,
    )
    assert "demo" in told.stdout
