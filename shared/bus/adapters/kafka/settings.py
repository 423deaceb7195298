"""Every limit and period of the Kafka log, with its unit, and how its brokers are reached."""

import re
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.bus.sizes import RECORD_BYTES_MAX_DEFAULT

_BROKER = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+)(?::(?P<port>[0-9]{1,5}))?")
_BETWEEN_PRINCIPALS = re.compile(r",\s*(?=[A-Za-z]+:)")
"""A certificate's name has commas of its own: `User:CN=upshot,OU=platform,O=Acme`."""

BATCH_OVERHEAD_BYTES = 8 * 1024
"""What Kafka adds to a record at most: the batch's head, lengths, and a few bytes a header."""


class KafkaSettings(BaseSettings):
    """Read from the environment, prefix `UPSHOT_KAFKA_`. Used where `UPSHOT_BUS=kafka`."""

    model_config = SettingsConfigDict(
        env_prefix="UPSHOT_KAFKA_", frozen=True, extra="ignore", validate_by_name=True, validate_by_alias=True
    )

    bootstrap_servers: str = Field(
        default="localhost:9092",
        min_length=1,
        validation_alias=AliasChoices("UPSHOT_KAFKA_BOOTSTRAP_SERVERS", "KAFKA_BOOTSTRAP_SERVERS"),
        description="Brokers to begin with, `host:port`, with commas between; also read from `KAFKA_BOOTSTRAP_SERVERS`.",
    )
    topic_prefix: str = Field(
        default="",
        max_length=100,
        pattern=r"^[A-Za-z0-9._-]*$",
        description="Stands before the name of every topic and group, so that several logs share one cluster.",
    )
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        default="PLAINTEXT",
        description="How brokers are talked to: `PLAINTEXT`, `SSL`, `SASL_PLAINTEXT` or `SASL_SSL`.",
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        default="SCRAM-SHA-512", description="How a user proves who it is: `PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`."
    )
    sasl_user: str | None = Field(default=None, description="The user, where the security protocol has SASL in it.")
    sasl_password: SecretStr | None = Field(default=None, description="That user's password.")
    principals: str | None = Field(
        default=None,
        description="Upshot's own principals, with commas between, for `upshot doctor`: `User:upshot`, or with a certificate "
        "`User:CN=upshot,O=Acme`, as brokers show it; else the SASL user.",
    )
    tls_ca_file: Path | None = Field(
        default=None, description="PEM file of the authorities that sign brokers' certificates; else the system's own."
    )
    tls_cert_file: Path | None = Field(
        default=None, description="PEM file of this client's certificate, where brokers ask for one."
    )
    tls_key_file: Path | None = Field(default=None, description="PEM file of that certificate's private key.")
    tls_key_password: SecretStr | None = Field(default=None, description="The private key's password, if it has one.")
    partition_count: int = Field(
        default=32, ge=1, le=1024, description="Partitions of every topic; fixed for a log's life."
    )
    replication_factor: int = Field(
        default=0,
        ge=0,
        le=32,
        description="Copies of each partition of topics that are made; 0: three, or one a broker where there are fewer.",
    )
    min_insync_replicas: int = Field(
        default=0,
        ge=0,
        le=32,
        description="Copies that must have a record before an append returns; 0: all but one, and at least one.",
    )
    record_bytes_max: int = Field(
        default=RECORD_BYTES_MAX_DEFAULT,
        ge=1024,
        le=64 * 1024 * 1024,
        description="Largest record (key, headers and value), in bytes; topics are made to take it.",
    )
    batch_bytes_max: int = Field(
        default=1024 * 1024,
        ge=1024,
        le=64 * 1024 * 1024,
        description="Bytes after which a batch for one partition takes no further record in.",
    )
    append_records_max: int = Field(default=10_000, ge=1, description="Most records of one append call.")
    in_flight_bytes_max: int = Field(
        default=32 * 1024 * 1024,
        ge=1024,
        description="Bytes waiting for brokers' answers beyond which append waits before it queues.",
    )
    append_timeout_seconds: float = Field(
        default=15.0,
        gt=0,
        le=300,
        description="Longest wait for a broker's answer to an append, repeats included; then the append is in doubt.",
    )
    append_patience_seconds: float = Field(
        default=3.0,
        gt=0,
        le=300,
        description="Once a partition's append has waited this long for its answer, further ones are refused at once.",
    )
    compression: Literal["none", "gzip"] = Field(
        default="none", description="How batches are compressed: `none` or `gzip`."
    )
    poll_bytes_max: int = Field(
        default=8 * 1024 * 1024, ge=1024, description="Bytes that one read of a broker brings, one batch at least."
    )
    fetch_wait_seconds: float = Field(
        default=0.5, gt=0, le=10, description="How long a broker holds a read that finds nothing new, in seconds."
    )
    request_timeout_seconds: float = Field(
        default=10.0, gt=0, le=120, description="Longest wait for a broker's answer to one request, in seconds."
    )
    reconnect_seconds_max: float = Field(
        default=1.0, gt=0, le=60, description="Longest pause between two attempts to reach a broker, in seconds."
    )
    heartbeat_interval_seconds: float = Field(
        default=1.0, gt=0, le=60, description="Period of a group member's heartbeats, in seconds."
    )
    session_timeout_seconds: float = Field(
        default=6.0,
        gt=0,
        le=600,
        description="Silence after which a member loses its partitions, in seconds; brokers take 6 s or more by default.",
    )

    @field_validator("bootstrap_servers")
    @classmethod
    def _check_brokers(cls, value: str) -> str:
        if not all(_is_broker(each.strip()) for each in value.split(",")):
            raise ValueError(
                "write host:port with commas between, such as kafka-1:9092,kafka-2:9092; IPv6 as [::1]:9092"
            )
        return value

    @field_validator("tls_ca_file", "tls_cert_file", "tls_key_file")
    @classmethod
    def _check_used(cls, value: Path | None, told: ValidationInfo) -> Path | None:
        protocol = told.data.get("security_protocol")
        if value is not None and protocol in ("PLAINTEXT", "SASL_PLAINTEXT"):
            raise ValueError(f"UPSHOT_KAFKA_SECURITY_PROTOCOL={protocol} uses no TLS: say SSL or SASL_SSL")
        if value is not None and told.field_name == "tls_key_file" and told.data.get("tls_cert_file") is None:
            raise ValueError("a key is of no use without UPSHOT_KAFKA_TLS_CERT_FILE")
        return value

    @field_validator("session_timeout_seconds")
    @classmethod
    def _check_session(cls, value: float, told: ValidationInfo) -> float:
        if value <= told.data.get("heartbeat_interval_seconds", 0.0):
            raise ValueError(
                "a member is lost between two heartbeats: more than UPSHOT_KAFKA_HEARTBEAT_INTERVAL_SECONDS"
            )
        return value

    @property
    def own_principals(self) -> tuple[str, ...]:
        """Who may write all of the log's topics."""
        if self.principals is not None:
            return tuple(each.strip(", ") for each in _BETWEEN_PRINCIPALS.split(self.principals) if each.strip(", "))
        return (f"User:{self.sasl_user}",) if self.sasl_user else ()

    @property
    def topic_bytes_max(self) -> int:
        """The `max.message.bytes` that a topic needs: a batch as large as either limit lets it grow."""
        return max(self.record_bytes_max, self.batch_bytes_max) + BATCH_OVERHEAD_BYTES


def _is_broker(text: str) -> bool:
    """A host, with its port or without. Kafka's client has its own idea of anything else."""
    with suppress(ValueError):
        ip_address(text)
        return True
    found = _BROKER.fullmatch(text)
    return found is not None and (found["port"] is None or 1 <= int(found["port"]) <= 65_535)
