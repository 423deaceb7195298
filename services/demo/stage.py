"""Sets the stage over HTTP: three sources, three endpoints, four workflows. What is there already stays.

Killed half-way, the next start makes what is missing: a name that is taken (409) is one that an earlier start has made.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from services.demo.client import Json, Person, until
from services.demo.deliveries import ENDPOINTS, SOURCES, TENANT, WORKFLOWS, workflow_text
from services.demo.memory import Memory
from services.foundation import Foundation
from services.tenants import create_tenant
from shared.domain.errors import PermanentError
from shared.domain.plans import DEFAULT_PLAN

MADE_OR_THERE = (200, 201, 409)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """`hook_paths`: source name -> path; `workflow_ids` and `workflow_names`: by workflow file."""

    hook_paths: dict[str, str]
    workflow_ids: dict[str, str]
    workflow_names: dict[str, str]


async def ensure_tenant(ground: Foundation) -> bool:
    """Whether it was made just now."""

    async def is_there() -> bool | None:
        return True if any(each.tenant_id == TENANT for each in await ground.readmodel.tenants()) else None

    if await is_there():
        return False
    try:
        await create_tenant(ground, TENANT, DEFAULT_PLAN)
        made = True
    except PermanentError:  # an earlier start made it and was killed before the read model knew
        made = False
    await until(is_there, "the tenant is in the read model", ground.clock)
    return made


async def set_stage(person: Person, memory: Memory, receiver_url: str) -> Stage:
    """Make what is missing, and look all of it up."""
    sources = await _named(person, "/api/v1/sources", set())
    for name, vendor in SOURCES.items():
        if name not in sources:
            wanted = {"name": name, "vendor": vendor, "secret": memory.source_secrets[name]}
            await person.command("/api/v1/sources", MADE_OR_THERE, json=wanted)
    endpoints = await _named(person, "/api/v1/endpoints", set())
    for name in ENDPOINTS:
        if name not in endpoints:
            wanted = {"name": name, "url": f"{receiver_url}/{name}", "secret": memory.endpoint_secrets[name]}
            await person.command("/api/v1/endpoints", MADE_OR_THERE, json=wanted)
    texts = {each: workflow_text(each, receiver_url) for each in WORKFLOWS}
    names = {each: text.splitlines()[0].removeprefix("name: ") for each, text in texts.items()}
    workflows = await _named(person, "/api/v1/workflows", set())
    for each, text in texts.items():
        if names[each] not in workflows:
            await person.command("/api/v1/workflows", MADE_OR_THERE, body=text.encode(), yaml=True)
    sources = await _named(person, "/api/v1/sources", set(SOURCES))
    workflows = await _named(person, "/api/v1/workflows", set(names.values()))
    return Stage(
        hook_paths={name: "/" + str(sources[name]["hook_url"]).split("/", 3)[3] for name in SOURCES},
        workflow_ids={each: str(workflows[name]["id"]) for each, name in names.items()},
        workflow_names=names,
    )


async def _named(person: Person, path: str, wanted: set[str]) -> dict[str, Json]:
    """A list by name, once all that is wanted stands in it."""

    async def complete() -> dict[str, Json] | None:
        found = {str(each["name"]): each for each in await person.items(path)}
        return found if wanted <= set(found) else None

    return await until(complete, f"{sorted(wanted)} under {path}", person.clock)


def summary(stage: Stage) -> Sequence[str]:
    """What stands there, in words."""
    return (
        f"sources    {', '.join(f'{name} ({vendor})' for name, vendor in SOURCES.items())}",
        f"endpoints  {', '.join(ENDPOINTS)}",
        f"workflows  {'; '.join(stage.workflow_names[each] for each in WORKFLOWS)}",
    )
