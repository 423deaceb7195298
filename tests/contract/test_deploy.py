"""The container files agree with the code and with each other. No container engine is needed, and none is used."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import services
import shared
from shared.runtime.settings import UpshotSettings
from shared.runtime.settings_page import find_settings, render_settings_page

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")


def environment_of(service: str) -> dict[str, str]:
    found: dict[str, str] = COMPOSE["services"][service]["environment"]
    return found


def test_every_variable_is_a_setting_of_ours() -> None:
    known = set(re.findall(r"UPSHOT_[A-Z_]+[A-Z]", render_settings_page(find_settings([services, shared]))))
    named = {name for name in environment_of("upshot") if name.startswith("UPSHOT_")}
    named |= set(re.findall(r"UPSHOT_[A-Z_]+(?==)", DOCKERFILE))

    assert named
    assert named <= known


def test_the_values_are_usable_settings() -> None:
    def filled(text: str) -> str:
        text = re.sub(r"\$\{(\w+):\?[^}]*\}", "secret", text)
        return re.sub(r"\$\{(\w+):-([^}]*)\}", r"\2", text)

    values = {name.removeprefix("UPSHOT_").lower(): filled(text) for name, text in environment_of("upshot").items()}
    settings = UpshotSettings(**values)  # type: ignore[arg-type]  # text, as the environment gives it

    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == "postgresql://upshot_admin:secret@postgres:5432/upshot"


def test_ports_paths_and_users_match() -> None:
    upshot, postgres = COMPOSE["services"]["upshot"], COMPOSE["services"]["postgres"]
    port = environment_of("upshot")["UPSHOT_HTTP_PORT"]
    data_dir = environment_of("upshot")["UPSHOT_DATA_DIR"]

    assert upshot["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert f"EXPOSE {port}" in DOCKERFILE
    assert f"UPSHOT_HTTP_PORT={port}" in DOCKERFILE
    assert f":{port}/readyz" in upshot["healthcheck"]["test"][-1]
    assert upshot["volumes"] == [f"upshot-data:{data_dir}"]
    assert f"VOLUME {data_dir}" in DOCKERFILE
    database = environment_of("postgres")
    assert f"://{database['POSTGRES_USER']}:" in environment_of("upshot")["UPSHOT_DATABASE_URL"]
    assert environment_of("upshot")["UPSHOT_DATABASE_URL"].endswith(f"@postgres:5432/{database['POSTGRES_DB']}")
    assert {volume.split(":")[0] for each in (upshot, postgres) for volume in each["volumes"]} == set(
        COMPOSE["volumes"]
    )


def test_postgres_is_supported_and_waited_for() -> None:
    postgres = COMPOSE["services"]["postgres"]
    assert int(postgres["image"].removeprefix("postgres:")) >= 15
    assert "pg_isready" in postgres["healthcheck"]["test"][1]
    assert COMPOSE["services"]["upshot"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}


def test_the_image_is_made_of_files_that_exist_with_a_python_that_fits() -> None:
    build = COMPOSE["services"]["upshot"]["build"]
    assert (ROOT / build["context"] / build["dockerfile"]).is_file()
    for line in re.findall(r"^COPY (.*)$", DOCKERFILE, re.MULTILINE):
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
