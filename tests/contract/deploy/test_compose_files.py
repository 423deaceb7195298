"""The compose files agree with their specification, with the code and with each other. No container engine is used."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

import services
import shared
from services.processes import PROCESSES
from shared.bus.adapters.kafka import KafkaSettings
from shared.runtime.egress import EgressSettings
from shared.runtime.settings import UpshotSettings
from shared.runtime.settings_page import find_settings, render_settings_page
from shared.testing.compose import ComposeFile, read_compose

ROOT = Path(__file__).resolve().parents[3]
DISTRIBUTED = read_compose(ROOT / "docker-compose.yml")
EMBEDDED = read_compose(ROOT / "deploy" / "docker-compose.embedded.yml")
BOTH = pytest.mark.parametrize("file", [DISTRIBUTED, EMBEDDED], ids=["distributed", "embedded"])
SCHEMA = json.loads((Path(__file__).parent / "compose-spec.json").read_text(encoding="utf-8"))
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
COLLECTOR = yaml.safe_load((ROOT / "deploy" / "otel-collector.yaml").read_text(encoding="utf-8"))
GIVEN = {
    "POSTGRES_PASSWORD": "secret",
    "UPSHOT_MASTER_KEY": "a master key for all of them",
    "UPSHOT_JWT_SECRET": "a secret of tokens for all of them",
}


def ours(file: ComposeFile) -> list[str]:
    """The services that run Upshot."""
    return [name for name, service in file.services.items() if "build" in service]


@BOTH
def test_it_is_a_compose_file(file: ComposeFile) -> None:
    errors = jsonschema_rs.validator_for(SCHEMA).iter_errors(file.document)
    assert [f"{'/'.join(str(part) for part in each.instance_path)}: {each.message}" for each in errors] == []
    assert file.asked <= set(GIVEN)


def test_every_service_of_ours_has_a_container_with_its_command() -> None:
    assert {name: DISTRIBUTED.services[name]["command"] for name in ours(DISTRIBUTED)} == {
        name: ["upshot", name] for name in PROCESSES
    }
    assert len({DISTRIBUTED.services[name]["image"] for name in PROCESSES}) == 1
    assert ours(EMBEDDED) == ["upshot"]


@BOTH
def test_every_variable_is_a_setting_of_ours(file: ComposeFile) -> None:
    known = set(re.findall(r"UPSHOT_[A-Z_]+[A-Z]", render_settings_page(find_settings([services, shared]))))
    for name in ours(file):
        named = set(file.environment(name, GIVEN))
        assert named
        assert named <= known


@BOTH
def test_the_values_are_usable_settings(file: ComposeFile, monkeypatch: pytest.MonkeyPatch) -> None:
    postgres = file.environment("postgres", GIVEN)
    for name in ours(file):
        with monkeypatch.context() as patch:
            for variable, value in file.environment(name, GIVEN).items():
                patch.setenv(variable, value)
            settings, kafka = UpshotSettings(), KafkaSettings()
            EgressSettings()

        assert settings.database_url is not None
        assert settings.database_url.get_secret_value() == (
            f"postgresql://{postgres['POSTGRES_USER']}:{postgres['POSTGRES_PASSWORD']}@postgres:5432/{postgres['POSTGRES_DB']}"
        )
        assert (settings.bus == "kafka") == (file is DISTRIBUTED)
        if file is DISTRIBUTED:
            host, port = kafka.bootstrap_servers.split(":")
            assert f"://{host}:{port}" in file.environment("kafka", GIVEN)["KAFKA_ADVERTISED_LISTENERS"]
            assert settings.smtp_url is not None
            assert settings.smtp_url.get_secret_value() == "smtp://mail:1025"


@BOTH
def test_ports_paths_and_volumes_match(file: ComposeFile) -> None:
    for name in ours(file):
        service, environment = file.services[name], file.environment(name, GIVEN)
        port = environment["UPSHOT_HTTP_PORT"]
        assert f"EXPOSE {port}" in DOCKERFILE
        assert environment["UPSHOT_HTTP_HOST"] == "0.0.0.0"
        assert f":{port}/readyz" in service["healthcheck"]["test"][-1]
        assert all(published.endswith(f":{port}") for published in service.get("ports", []))
        settings = UpshotSettings()
        assert int(service["stop_grace_period"].removesuffix("s")) > settings.shutdown_timeout_seconds
        assert (file.build_context(name) / service["build"]["dockerfile"]).is_file()
    published = [port.rpartition(":")[0] for each in file.services.values() for port in each.get("ports", [])]
    assert len(set(published)) == len(published)
    assert all(each.startswith("127.0.0.1:") for each in published)
    mounted = {volume.split(":")[0] for each in file.services.values() for volume in each.get("volumes", [])}
    assert {each for each in mounted if not each.startswith("./")} == set(file.document["volumes"])
    assert all((file.path.parent / each).is_file() for each in mounted if each.startswith("./"))


def test_hooks_are_shown_with_the_port_where_ingest_is_published() -> None:
    shown = {name: DISTRIBUTED.environment(name, GIVEN)["UPSHOT_PUBLIC_URL"] for name in ("api", "ingest")}
    address, _, _ = DISTRIBUTED.services["ingest"]["ports"][0].rpartition(":")
    assert shown == {"api": f"http://{address}", "ingest": f"http://{address}"}


@BOTH
def test_what_it_stands_on_is_supported_and_waited_for(file: ComposeFile) -> None:
    assert int(file.services["postgres"]["image"].removeprefix("postgres:")) >= 15
    stores = {name for name in ("postgres", "kafka") if name in file.services}
    for name in ours(file):
        assert file.services[name]["depends_on"] == {store: {"condition": "service_healthy"} for store in stores}
    for name, service in file.services.items():
        assert "healthcheck" in service or name == "otel-collector"
        assert not service.get("image", ":pinned").endswith(":latest")


def test_kafka_is_the_one_that_tests_run_and_keeps_its_data_where_the_volume_is() -> None:
    kafka = DISTRIBUTED.services["kafka"]
    version = re.search(r"<kafka.version>(.*)</kafka.version>", (ROOT / "deploy/kafka/pom.xml").read_text("utf-8"))
    assert version is not None
    assert kafka["image"] == f"apache/kafka:{version[1]}"
    assert kafka["volumes"] == [f"kafka-data:{kafka['environment']['KAFKA_LOG_DIRS']}"]
    outside = kafka["ports"][0].rpartition(":")[0]
    assert f"OUTSIDE://{outside}" in kafka["environment"]["KAFKA_ADVERTISED_LISTENERS"]


def test_the_collector_asks_every_service_and_is_published_where_it_answers() -> None:
    (job,) = COLLECTOR["receivers"]["prometheus"]["config"]["scrape_configs"]
    (found,) = job["dns_sd_configs"]
    assert set(found["names"]) == set(PROCESSES)
    assert str(found["port"]) == DISTRIBUTED.environment("api", GIVEN)["UPSHOT_HTTP_PORT"]
    assert job["metrics_path"] == "/metrics"
    answers: list[Any] = [COLLECTOR["exporters"]["prometheus"], COLLECTOR["extensions"]["health_check"]]
    collector = DISTRIBUTED.services["otel-collector"]
    ports = {each["endpoint"].rpartition(":")[2] for each in answers}
    assert {port.rpartition(":")[2] for port in collector["ports"]} == ports
    for pipeline in COLLECTOR["service"]["pipelines"].values():
        for part in ("receivers", "processors", "exporters"):
            assert set(pipeline[part]) <= set(COLLECTOR[part])
