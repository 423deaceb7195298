"""Making a tenant: one record in the log, and the fold's verdict on it. For `upshot tenant create` and the demo."""

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
from shared.domain.records import Command, TenantCreated
from shared.runtime.definitions import DefinitionsFollower

_TENANT_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


async def create_tenant(ground: Foundation, name: str, plan: str) -> Mapping[str, object]:
    """What was created. Raises `InvalidInput`, or `PermanentError` where the name is taken."""
    if not _TENANT_ID.fullmatch(name):
        detail = f"{name!r}: use 1 to 63 lower-case letters, digits and hyphens, not beginning with a hyphen"
        raise InvalidInput("not a tenant's name", [Flaw(pointer="NAME", detail=detail)])
    at = ground.clock.now()
    command_id = derive("tenant-created", name, at.isoformat())
    fact = TenantCreated(
        name=name, plan=plan, command=Command(id=command_id, payload_hash="", actor="operator", channel="cli")
    )
    cause = Cause(causation_id=None, correlation_id=command_id)
    event = facts.envelop(fact, id=command_id, tenant_id=name, source="/upshot/cli", at=at, cause=cause)
    await ground.bus.append([codec.encode(DEFINITIONS, event)])
    partition = partition_of(routing_key(name), ground.bus.partition_count)
    follower = DefinitionsFollower(ground.bus, [partition])
    await follower.start()
    try:
        verdict = follower.definitions.verdict(name, command_id)
    finally:
        await follower.close()
    if verdict is None or verdict.status >= 400:
        raise PermanentError(str(verdict.body.get("detail")) if verdict is not None else "the log did not answer")
    return verdict.body
