"""`upshot tenant …` and `upshot migrate`: beside a running platform or without one."""

import orjson

from services.foundation import foundation
from services.tenants import change_plan, create_tenant
from shared.runtime.settings import UpshotSettings


async def create_one(settings: UpshotSettings, name: str, plan: str) -> str:
    """One JSON line of what was created."""
    async with foundation(settings) as ground:
        return orjson.dumps(await create_tenant(ground, name, plan)).decode()


async def give_plan(settings: UpshotSettings, tenant_id: str, plan: str) -> str:
    """One JSON line of what the tenant has now."""
    async with foundation(settings) as ground:
        return orjson.dumps(await change_plan(ground, tenant_id, plan)).decode()


async def migrate_only(settings: UpshotSettings) -> str:
    """Opening the foundation migrates; this is for deployments that want it done before anything starts."""
    async with foundation(settings):
        return "roles and schemas are up to date"
