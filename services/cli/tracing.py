"""`upshot trace`: prints what `services/tracing.py` finds."""

import orjson
from rich.console import Console

from services.foundation import installed
from services.tracing import as_json, find_chain, render
from shared.readmodel.connect import API
from shared.readmodel.tenant_queries import TenantQueries
from shared.runtime.definitions import DefinitionsFollower
from shared.runtime.settings import UpshotSettings


async def trace(settings: UpshotSettings, what: str, *, in_json: bool) -> int:
    """Print the chain; 0 where it is unbroken."""
    async with installed(settings) as ground:
        queries = await TenantQueries.open(ground.role(API))
        definitions = DefinitionsFollower(ground.bus)
        await definitions.start()
        try:
            chain = await find_chain(ground.bus, queries, list(definitions.definitions.tenants), what)
        finally:
            await definitions.close()
            await queries.close()
    if in_json:
        for each in chain.records.values():
            print(orjson.dumps(as_json(each)).decode())
    else:
        Console().print(render(chain))
    return 1 if chain.orphans() else 0
