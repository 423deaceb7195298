"""The tenant whose token it is, with every definition that was in the log when it was asked for."""

import asyncio

from services.api.service.ports import TenantGround
from shared.bus.partitioner import partition_of
from shared.domain.definitions import Tenant
from shared.domain.envelope import routing_key
from shared.domain.errors import TransientError
from shared.runtime.http import unknown_tenant


async def current_tenant(it: TenantGround, tenant_id: str) -> Tenant:
    """Raises HttpProblem 404 where there is none. What an earlier 201 named is there, whichever process answered it."""
    try:
        async with asyncio.timeout(it.settings.command_wait_seconds):
            await it.definitions.catch_up([partition_of(routing_key(tenant_id), it.bus.partition_count)])
    except TimeoutError:
        raise TransientError("the definitions cannot be read up to their end just now") from None
    tenant = it.definitions.tenant(tenant_id)
    if tenant is None:
        raise unknown_tenant(tenant_id)
    return tenant
