"""Making a tenant, and giving it a plan: one record in the log each, and the fold's verdict on it.

For `upshot tenant` and the demo.
"""

import re
from collections.abc import Mapping

from services.foundation import Foundation
from shared.bus import codec, facts
from shared.bus.facts import Cause
from shared.bus.partitioner import partition_of
from shared.bus.topics import DEFINITIONS
from shared.domain.envelope import routing_key
from shared.domain.errors import Flaw, InvalidInput, PermanentError
from shared.domain.ids import derive
from shared.domain.plans import plans_of, quotas_of
from shared.domain.records import Command, TenantCreated, TenantPlanChanged
from shared.runtime.definitions import DefinitionsFollower

_TENANT_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


async def create_tenant(ground: Foundation, name: str, plan: str) -> Mapping[str, object]:
    """What was created. Raises `InvalidInput`, or `PermanentError` where the name is taken."""
    if not _TENANT_ID.fullmatch(name):
        detail = f"{name!r}: use 1 to 63 lower-case letters, digits and hyphens, not beginning with a hyphen"
        raise InvalidInput("not a tenant's name", [Flaw(pointer="NAME", detail=detail)])
    quotas = quotas_of(plan, plans_of(ground.settings.own_plans))
    command = _command(ground, "tenant-created", name)
    return await _carry_out(ground, name, TenantCreated(name=name, plan=plan, quotas=quotas, command=command))


async def change_plan(ground: Foundation, tenant_id: str, plan: str) -> Mapping[str, object]:
    """Give a tenant a plan, with the numbers that it has now. Raises `InvalidInput`, or `PermanentError` where there is
    no such tenant."""
    quotas = quotas_of(plan, plans_of(ground.settings.own_plans))
    command = _command(ground, "tenant-plan-changed", tenant_id)
    return await _carry_out(ground, tenant_id, TenantPlanChanged(plan=plan, quotas=quotas, command=command))


def _command(ground: Foundation, kind: str, tenant_id: str) -> Command:
    command_id = derive(kind, tenant_id, ground.clock.now().isoformat())
    return Command(id=command_id, payload_hash="", actor="operator", channel="cli")


async def _carry_out(
    ground: Foundation, tenant_id: str, fact: TenantCreated | TenantPlanChanged
) -> Mapping[str, object]:
    """Append, fold the tenant's partition, and answer with the verdict."""
    command_id = fact.command.id
    cause = Cause(causation_id=None, correlation_id=command_id)
    event = facts.envelop(
        fact, id=command_id, tenant_id=tenant_id, source="/upshot/cli", at=ground.clock.now(), cause=cause
    )
    await ground.bus.append([codec.encode(DEFINITIONS, event)])
    partition = partition_of(routing_key(tenant_id), ground.bus.partition_count)
    follower = DefinitionsFollower(ground.bus, [partition])
    await follower.start()
    try:
        verdict = follower.definitions.verdict(tenant_id, command_id)
    finally:
        await follower.close()
    if verdict is None or verdict.status >= 400:
        raise PermanentError(str(verdict.body.get("detail")) if verdict is not None else "the log did not answer")
    return verdict.body
