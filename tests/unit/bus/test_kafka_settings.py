"""What the Kafka log can be told."""

import pytest

from shared.bus.adapters.kafka import KafkaSettings


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
