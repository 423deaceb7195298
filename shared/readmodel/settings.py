"""What may be set about the read model."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadModelSettings:
    """Bounds of the pools of one process."""

    service_connections_max: int = 6
    """Connections for writing, restoring and looking up."""

    api_connections_max: int = 8
    """Connections for the tenant API's reads."""

    write_timeout_seconds: float = 60.0
    """How long a write may wait, for one while a rebuild compares generations under its lock."""

    api_timeout_seconds: float = 10.0
    """How long a tenant's query may take."""

    api_patience_seconds: float = 3.0
    """How long it may wait for others of the same tenant, which take as many connections as they leave free."""
