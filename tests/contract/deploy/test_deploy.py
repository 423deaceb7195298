"""The image's file and the locks agree with the code and with each other. The compose files: `deploy/`."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

import services
import shared
from shared.runtime.settings_page import find_settings, render_settings_page
from shared.testing.compose import read_compose

ROOT = Path(__file__).resolve().parents[3]
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")


def test_every_variable_is_a_setting_of_ours() -> None:
    known = set(re.findall(r"UPSHOT_[A-Z_]+[A-Z]", render_settings_page(find_settings([services, shared]))))
    named = set(re.findall(r"UPSHOT_[A-Z_]+(?==)", DOCKERFILE))

    assert named
    assert named <= known


def test_ports_paths_and_users_match() -> None:
    port = re.search(r"UPSHOT_HTTP_PORT=(\d+)", DOCKERFILE)
    data_dir = re.search(r"UPSHOT_DATA_DIR=(\S+)", DOCKERFILE)

    assert port is not None
    assert data_dir is not None
    assert f"EXPOSE {port[1]}" in DOCKERFILE
    assert f"VOLUME {data_dir[1]}" in DOCKERFILE
    embedded = read_compose(ROOT / "deploy" / "docker-compose.embedded.yml")
    assert embedded.environment("upshot", {"POSTGRES_PASSWORD": "-"})["UPSHOT_DATA_DIR"] == data_dir[1]
    assert embedded.services["upshot"]["volumes"] == [f"upshot-data:{data_dir[1]}"]


def test_the_image_is_made_of_files_that_exist_with_a_python_that_fits() -> None:
    for line in re.findall(r"^COPY (.*)$", DOCKERFILE, re.MULTILINE):
        if line.startswith("--from="):
            continue  # of another stage
        sources = [word for word in line.split()[:-1] if not word.startswith("--")]
        for source in sources:
            assert (ROOT / source).exists(), source
            ignored = (ROOT / "deploy" / "Dockerfile.dockerignore").read_text(encoding="utf-8").split()
            assert f"!{source}" in ignored, source
    version = re.search(r"^FROM python:(\d+)\.(\d+)-slim$", DOCKERFILE, re.MULTILINE)
    assert version is not None
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["requires-python"]
    assert wanted == ">=3.11,<3.14"
    assert (3, 11) <= (int(version[1]), int(version[2])) < (3, 14)
    assert "--require-hashes" in DOCKERFILE
    assert "USER upshot" in DOCKERFILE


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_locks_hold_a_hash_for_every_package(name: str) -> None:
    assert_hashed((ROOT / name).read_text(encoding="utf-8"))


def assert_hashed(text: str) -> None:
    blocks = [block for block in re.split(r"\n(?=\S)", text.strip()) if not block.startswith("#")]
    assert blocks
    for block in blocks:
        assert re.match(r"[A-Za-z0-9._\[\]-]+==\S+", block), block[:80]
        assert "--hash=sha256:" in block, block[:80]
    assert "://" not in text


def test_both_locks_name_the_same_version_of_whatever_is_in_both() -> None:
    def pins(name: str) -> dict[str, Any]:
        text = (ROOT / name).read_text(encoding="utf-8")
        return dict(re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)", text, re.MULTILINE))

    runtime, development = pins("requirements.lock"), pins("requirements-dev.lock")
    assert set(runtime) <= set(development)
    assert {name: development[name] for name in runtime} == runtime
