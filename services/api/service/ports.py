"""All that the API stands on, built in the composition root and handed in whole."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from services.api.settings import ApiSettings
from shared.bus.port import Bus
from shared.domain.clock import Clock, Randomness
from shared.domain.definitions import Tenant
from shared.readmodel.tenant_queries import TenantQueries
from shared.runtime.egress import EgressPolicy
from shared.runtime.progress import ProjectionProgress
from shared.runtime.sealing import Sealer
from shared.workflows.catalogue import Catalogue

ENDPOINT_SECRET = "endpoint-secret"  # noqa: S105  the purpose that seals and unseals it
SOURCE_SECRET = "source-secret"  # noqa: S105  as above
HOOK_SECRET = "hook-secret"  # noqa: S105  as above


class DefinitionsView(Protocol):
    """The fold of `upshot.definitions`: `shared.runtime.definitions.DefinitionsFollower`."""

    def tenant(self, tenant_id: str) -> Tenant | None:
        """The tenant as folded so far."""
        ...

    async def catch_up(self, partitions: Collection[int] | None = None) -> None:
        """Return once all that was in these partitions when it was called is folded."""
        ...


class TenantGround(Protocol):
    """What asking for a tenant as it stands now needs."""

    @property
    def bus(self) -> Bus: ...
    @property
    def definitions(self) -> DefinitionsView: ...
    @property
    def settings(self) -> ApiSettings: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiDependencies:
    """`public_url`: how the world reaches this platform, without a slash at its end; asked for late, because the port
    is known late. `readiness`: why this process is not ready, one sentence each; empty: it is."""

    bus: Bus
    queries: TenantQueries
    progress: ProjectionProgress
    definitions: DefinitionsView
    sealer: Sealer
    egress: EgressPolicy
    catalogue: Catalogue
    clock: Clock
    randomness: Randomness
    settings: ApiSettings
    allow_unsigned_sources: bool
    public_url: Callable[[], str]
    readiness: Callable[[], Awaitable[Sequence[str]]]
    metrics_page: Callable[[], Awaitable[str]]
    """What `/metrics` shows."""
