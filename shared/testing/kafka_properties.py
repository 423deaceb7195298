"""What a broker for tests is told: small, quick to start and to notice, and as strict as one in production where it matters.

Every node is broker and controller at once. Listeners of each: CLIENT, for whom the tests run; DETOUR, the same behind an
advertised port on which nothing listens until a test puts a proxy there; INTERNAL, between brokers and for readiness, in
plain text; CONTROLLER. Next: `kafka.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Security = Literal["plaintext", "sasl", "tls", "sasl_tls"]
"""Of CLIENT and DETOUR. With SASL (PLAIN and SCRAM) ACLs are in force, and only `ADMIN` may do everything."""

HOST = "127.0.0.1"
ADMIN = "admin"
SCRAM_MECHANISMS = ("SCRAM-SHA-256", "SCRAM-SHA-512")

_PROTOCOLS: Mapping[Security, str] = {
    "plaintext": "PLAINTEXT",
    "sasl": "SASL_PLAINTEXT",
    "tls": "SSL",
    "sasl_tls": "SASL_SSL",
}
_PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule"
_SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePorts:
    """All on 127.0.0.1; `detour` is advertised for the DETOUR listener, which really listens on `detour_target`."""

    client: int
    detour: int
    detour_target: int
    internal: int
    controller: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerOptions:
    """`users` maps names to passwords and holds `ADMIN`; `overrides` are Kafka's own property names."""

    security: Security = "plaintext"
    message_max_bytes: int = 1_048_588
    users: Mapping[str, str] = field(default_factory=dict)
    overrides: Mapping[str, str] = field(default_factory=dict)

    @property
    def protocol(self) -> str:
        """Kafka's `security.protocol` of a client."""
        return _PROTOCOLS[self.security]

    @property
    def has_users(self) -> bool:
        return self.security in ("sasl", "sasl_tls")

    @property
    def is_encrypted(self) -> bool:
        return self.security in ("tls", "sasl_tls")


def node_properties(
    number: int, nodes: Sequence[NodePorts], data: Path, options: BrokerOptions, certificates: Path
) -> dict[str, str]:
    """`server.properties` of node `number`, counted from 1; `certificates` holds server.pem and ca.pem if encrypted."""
    ports, replicas = nodes[number - 1], min(3, len(nodes))
    properties = {
        "process.roles": "broker,controller",
        "node.id": str(number),
        "controller.quorum.voters": ",".join(f"{each}@{HOST}:{node.controller}" for each, node in enumerate(nodes, 1)),
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "INTERNAL",
        "listeners": f"CLIENT://{HOST}:{ports.client},DETOUR://{HOST}:{ports.detour_target},"
        f"INTERNAL://{HOST}:{ports.internal},CONTROLLER://{HOST}:{ports.controller}",
        "advertised.listeners": f"CLIENT://{HOST}:{ports.client},DETOUR://{HOST}:{ports.detour},"
        f"INTERNAL://{HOST}:{ports.internal}",
        "listener.security.protocol.map": f"CLIENT:{options.protocol},DETOUR:{options.protocol},"
        "INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": str(data),
        # As strict as in production: topics are created by whoever knows their settings; no acknowledged record is lost.
        "auto.create.topics.enable": "false",
        "default.replication.factor": str(replicas),
        "min.insync.replicas": str(min(2, replicas)),
        "offsets.topic.replication.factor": str(replicas),
        "transaction.state.log.replication.factor": str(replicas),
        "transaction.state.log.min.isr": str(min(2, replicas)),
        "share.coordinator.state.topic.replication.factor": str(replicas),
        "share.coordinator.state.topic.min.isr": str(min(2, replicas)),
        "message.max.bytes": str(options.message_max_bytes),
        "replica.fetch.max.bytes": str(max(options.message_max_bytes, 1_048_576)),
        # Small: one machine runs this beside everything under test.
        "offsets.topic.num.partitions": str(len(nodes)),
        "transaction.state.log.num.partitions": str(len(nodes)),
        "share.coordinator.state.topic.num.partitions": "1",
        "num.network.threads": "2",
        "num.io.threads": "4",
        "log.cleaner.dedupe.buffer.size": "4194304",
        "log.index.size.max.bytes": "1048576",
        "log.segment.delete.delay.ms": "1000",
        # Quick to notice, so that tests of a lost member or broker need not wait for long.
        "group.initial.rebalance.delay.ms": "0",
        "group.min.session.timeout.ms": "1000",
        "broker.heartbeat.interval.ms": "500",
        "broker.session.timeout.ms": "3000",
    }
    if options.has_users:
        properties |= _authentication(options.users)
    if options.is_encrypted:
        properties |= {
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(certificates / "server.pem"),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(certificates / "ca.pem"),
        }
    return properties | dict(options.overrides)


def _authentication(users: Mapping[str, str]) -> dict[str, str]:
    """Users of PLAIN stand here; those of SCRAM are put into the cluster's metadata when its storage is formatted."""
    known = " ".join(f'user_{name}="{password}"' for name, password in users.items())
    properties = {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        # The brokers themselves come by INTERNAL and CONTROLLER, which are not authenticated.
        "super.users": f"User:ANONYMOUS;User:{ADMIN}",
        "allow.everyone.if.no.acl.found": "false",
        "sasl.enabled.mechanisms": ",".join(("PLAIN", *SCRAM_MECHANISMS)),
    }
    for listener in ("client", "detour"):
        properties[f"listener.name.{listener}.plain.sasl.jaas.config"] = f"{_PLAIN} required {known};"
        for mechanism in SCRAM_MECHANISMS:
            properties[f"listener.name.{listener}.{mechanism.lower()}.sasl.jaas.config"] = f"{_SCRAM} required;"
    return properties


def client_properties(options: BrokerOptions, certificates: Path, user: str = ADMIN) -> dict[str, str]:
    """What Kafka's own command-line tools need as `--command-config` for the CLIENT listener."""
    properties = {"security.protocol": options.protocol}
    if options.has_users:
        password = options.users[user]
        properties["sasl.mechanism"] = "PLAIN"
        properties["sasl.jaas.config"] = f'{_PLAIN} required username="{user}" password="{password}";'
    if options.is_encrypted:
        properties |= {"ssl.truststore.type": "PEM", "ssl.truststore.location": str(certificates / "ca.pem")}
    return properties


def render(properties: Mapping[str, str]) -> str:
    return "".join(f"{name}={value}\n" for name, value in properties.items())
