"""The settings of outgoing HTTP. Every field has a limit's default that holds on one small machine."""

from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.domain.errors import InvalidInput
from shared.runtime.egress.policy import EgressPolicy


class EgressSettings(BaseSettings):
    """How Upshot calls out. Read from the environment, prefix `UPSHOT_EGRESS_`."""

    model_config = SettingsConfigDict(env_prefix="UPSHOT_EGRESS_", frozen=True, extra="ignore")

    allow: str = Field(
        default="",
        description="Beside public addresses on web ports, let through `host:port,…`; a host is a name, an address, a "
        "CIDR network or `[IPv6]`, a port a number or `*`. Cloud metadata and link-local addresses stay blocked.",
    )
    connect_timeout_seconds: float = Field(
        default=5.0, gt=0, le=60, description="Longest time for one TCP connection with its TLS handshake."
    )
    dns_timeout_seconds: float = Field(default=5.0, gt=0, le=60, description="Longest wait for a name's addresses.")
    dns_threads: int = Field(
        default=16,
        ge=1,
        le=128,
        description="Name look-ups at a time; a slow name holds one of them, one tenant's hold half.",
    )
    connections_max: int = Field(
        default=512, ge=1, le=20_000, description="Open connections in total; each is a file descriptor."
    )
    connections_per_host_max: int = Field(
        default=512,
        ge=1,
        le=20_000,
        description="Open connections to one scheme, host and port. Tenants share hosts: below the executor's bound of "
        "attempts, one tenant's hanging deliveries to a host would hold up another's to the same host.",
    )
    keepalive_seconds: float = Field(
        default=4.0,
        gt=0,
        le=300,
        description="How long an idle connection is kept. Below 5 s, the time after which common servers hang up: "
        "a POST that meets the hang-up on its way fails.",
    )
    request_bytes_max: int = Field(
        default=1_048_576, ge=0, le=1_048_576, description="Bytes of a body that is sent at most; more is refused."
    )
    response_bytes_max: int = Field(
        default=65_536, ge=0, le=16_777_216, description="Bytes of an answer's body that are read at most, by default."
    )
    ca_file: Path | None = Field(
        default=None, description="PEM file of certificate authorities trusted beside the system's own."
    )
    user_agent: str = Field(
        default="Upshot", min_length=1, max_length=200, pattern=r"^[\x20-\x7e]+$", description="User-Agent header."
    )

    @field_validator("allow")
    @classmethod
    def _check_allow(cls, value: str) -> str:
        try:
            EgressPolicy.parse(value)
        except InvalidInput as trouble:
            raise ValueError(trouble.title) from trouble
        return value

    def policy(self) -> EgressPolicy:
        """The parsed allow-list."""
        return EgressPolicy.parse(self.allow)
