"""What the services of one process have in common: the ground, the plug-ins, the fold of the definitions, keys.

Next: `acting.py` and `serving.py`, which stand on it.
"""

import contextlib
import os
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from services.api.service.ports import ENDPOINT_SECRET, HOOK_SECRET, SOURCE_SECRET
from services.executor.actions import Action, discover_actions
from services.foundation import Foundation, foundation
from services.levelling import bring_read_model_level
from services.matcher.triggers import discover_triggers
from shared.bus.write_level import member_name
from shared.domain import catalogue
from shared.readmodel.connect import API, SERVICE
from shared.readmodel.keystore import Keystore
from shared.readmodel.tenant_queries import TenantQueries
from shared.runtime.definitions import DefinitionsFollower
from shared.runtime.lasting_name import FOLDER, lasting_name
from shared.runtime.progress import ProjectionProgress
from shared.runtime.sealing import Sealer
from shared.runtime.settings import UpshotSettings
from shared.workflows.catalogue import Catalogue


@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """One process's. `member_id`: what it is called in the groups that it joins."""

    ground: Foundation
    member_id: str
    actions: Mapping[str, Action]
    catalogue: Catalogue
    definitions: DefinitionsFollower
    """Not started yet: first listen to it, then `read_definitions`."""


@contextlib.asynccontextmanager
async def common(settings: UpshotSettings) -> AsyncIterator[Common]:
    """Everything up and the read model level with this version."""
    async with foundation(settings) as ground:
        await bring_read_model_level(ground)
        actions = discover_actions()
        schemas = {each.name: each.schema for each in catalogue.all_types()}
        definitions = DefinitionsFollower(ground.bus)
        with _own_name(ground) as name:
            try:
                yield Common(
                    ground=ground,
                    member_id=member_name(name),
                    actions=actions,
                    catalogue=Catalogue(actions=actions, triggers=discover_triggers(), event_schemas=schemas),
                    definitions=definitions,
                )
            finally:
                await definitions.close()


@contextlib.contextmanager
def _own_name(ground: Foundation) -> Iterator[str]:
    """What the process is called in groups: after a kill the same as before; on Kafka, where that was never tried, another."""
    host = socket.gethostname()
    if ground.settings.bus == "postgres":
        with lasting_name(ground.data_dir / FOLDER, host, ground.randomness) as name:
            yield name
    else:
        yield f"{host}-{os.getpid()}-{ground.randomness.token_bytes(4).hex()}"


async def open_sealer(stack: contextlib.AsyncExitStack, ground: Foundation) -> Sealer:
    """Closed with the stack."""
    keystore = await Keystore.open(ground.role(SERVICE))
    stack.push_async_callback(keystore.close)
    return Sealer(keystore, ground.master_key, ground.randomness, ground.clock)


async def open_queries(stack: contextlib.AsyncExitStack, ground: Foundation) -> TenantQueries:
    """As the role that row-level security holds to one tenant. Closed with the stack."""
    queries = await TenantQueries.open(ground.role(API))
    stack.push_async_callback(queries.close)
    return queries


def open_progress(
    stack: contextlib.AsyncExitStack, ground: Foundation, *, elsewhere: bool = False
) -> ProjectionProgress:
    """How far the read model is. `elsewhere`: no projector is in this process. Closed with the stack."""
    progress = ProjectionProgress(ground.readmodel.next_offsets, elsewhere=elsewhere)
    stack.push_async_callback(progress.close)
    return progress


class Unsealing:
    """What the actions and ingest need of the sealer, each secret for its own purpose."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    async def endpoint_secret(self, tenant_id: str, sealed: str) -> str:
        return await self._sealer.unseal(tenant_id, sealed, ENDPOINT_SECRET)

    async def delivery_secret(self, tenant_id: str, sealed: str, of: Literal["source", "hook"]) -> str:
        return await self._sealer.unseal(tenant_id, sealed, SOURCE_SECRET if of == "source" else HOOK_SECRET)
