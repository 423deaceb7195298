"""What the Kafka log can be told."""

import pytest

from shared.bus.adapters.kafka import KafkaSettings
from shared.domain.errors import InvalidInput
from shared.runtime.settings import read_settings_of

PREFIX = "UPSHOT_KAFKA_"


@pytest.mark.parametrize(
    ("told", "own"),
    [
        ("User:upshot", ("User:upshot",)),
        ("User:upshot, User:ops,", ("User:upshot", "User:ops")),
        ("User:CN=upshot,OU=platform,O=Acme\\, Inc,C=DE", ("User:CN=upshot,OU=platform,O=Acme\\, Inc,C=DE",)),
        (
            "User:CN=upshot,O=Acme,User:CN=ops,O=Acme,Team:log",
            ("User:CN=upshot,O=Acme", "User:CN=ops,O=Acme", "Team:log"),
        ),
        ("", ()),
    ],
)
def test_a_principal_may_be_a_certificates_name(told: str, own: tuple[str, ...]) -> None:
    assert KafkaSettings(principals=told).own_principals == own


def flaws_of(monkeypatch: pytest.MonkeyPatch, **told: str) -> list[tuple[str, str]]:
    for name, value in told.items():
        monkeypatch.setenv(name if name.isupper() else PREFIX + name.upper(), value)
    with pytest.raises(InvalidInput) as raised:
        read_settings_of(KafkaSettings)
    assert all(value not in str(raised.value) for value in told.values() if len(value) > 5)
    return [(flaw.pointer.removeprefix(PREFIX), flaw.detail) for flaw in raised.value.flaws]


@pytest.mark.parametrize(
    ("told", "variable", "detail"),
    [
        ({"security_protocol": "ssl"}, "SECURITY_PROTOCOL", "'SASL_PLAINTEXT'"),
        ({"sasl_mechanism": "hunter2"}, "SASL_MECHANISM", "'SCRAM-SHA-512'"),
        ({"heartbeat_interval_seconds": "6"}, "SESSION_TIMEOUT_SECONDS", "a member is lost between two heartbeats"),
        ({"session_timeout_seconds": "1"}, "SESSION_TIMEOUT_SECONDS", "a member is lost between two heartbeats"),
        ({"tls_ca_file": "/secret/ca.pem"}, "TLS_CA_FILE", "PLAINTEXT uses no TLS"),
        (
            {"tls_key_file": "/key.pem", "security_protocol": "SSL"},
            "TLS_KEY_FILE",
            "without UPSHOT_KAFKA_TLS_CERT_FILE",
        ),
    ],
)
def test_what_cannot_be_used_is_told_by_its_variable_and_not_by_its_value(
    monkeypatch: pytest.MonkeyPatch, told: dict[str, str], variable: str, detail: str
) -> None:
    if "heartbeat_interval_seconds" in told:
        monkeypatch.setenv(PREFIX + "SESSION_TIMEOUT_SECONDS", "6")
    ((named, said),) = flaws_of(monkeypatch, **told)
    assert named == variable
    assert detail in said


@pytest.mark.parametrize(
    "brokers",
    ["localhost:abc", "localhost:", "a:1,,b:1", ",", "", "kafka://a:9092", "a:99999", "a:0", "a:1:2", "[::1", "a b:1"],
)
@pytest.mark.parametrize("variable", ["KAFKA_BOOTSTRAP_SERVERS", "UPSHOT_KAFKA_BOOTSTRAP_SERVERS"])
def test_brokers_are_hosts_with_ports(monkeypatch: pytest.MonkeyPatch, brokers: str, variable: str) -> None:
    ((named, _),) = flaws_of(monkeypatch, **{variable: brokers})
    assert named == "BOOTSTRAP_SERVERS"


@pytest.mark.parametrize(
    "brokers", ["a:1", "a:1, b_2.example:65535", "a", "::1", "[::1]:9092", "[fe80::1]", "10.0.0.1:1"]
)
def test_brokers_that_the_client_understands_are_taken(brokers: str) -> None:
    assert KafkaSettings(bootstrap_servers=brokers).bootstrap_servers == brokers
