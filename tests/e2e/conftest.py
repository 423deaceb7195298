"""One platform for all tests that leave it running, a receiver for what it sends, and a new tenant for each test.

Tests that kill, freeze or restart start their own with `own_platform`.
"""

import itertools
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import aiohttp
import asyncpg
import pytest
import pytest_asyncio

from services.foundation import Foundation, foundation
from services.tenants import create_tenant
from shared.bus.adapters.postgres.link import Connection
from shared.domain.plans import DEFAULT_PLAN
from shared.runtime.clock import SystemClock
from shared.runtime.embedded_postgres.cluster import DATABASE, SUPERUSER
from shared.runtime.settings import UpshotSettings
from shared.testing.platform import RunningPlatform, running_platform
from shared.testing.receivers import Receiver, receiver
from shared.testing.shell import Shell, shell_with_upshot
from shared.testing.tenant_client import ALL_ROLES, TenantClient, client_session, make_token
from shared.testing.workspace import Workspace

SILENT_SECONDS = 2.0
SOON_SILENT = {
    "UPSHOT_BUS_SESSION_TIMEOUT_SECONDS": str(SILENT_SECONDS),
    "UPSHOT_BUS_HEARTBEAT_INTERVAL_SECONDS": "0.4",
}
"""For processes of which one dies or stands still: what it had is the others' after that time."""

StartPlatform = Callable[..., AbstractAsyncContextManager[RunningPlatform]]

_NUMBERS = itertools.count(1)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def inbox() -> AsyncIterator[Receiver]:
    """Where deliveries go; the platform is allowed to call it."""
    async with receiver(SystemClock()) as it:
        yield it


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def platform(space: Workspace, inbox: Receiver) -> AsyncIterator[RunningPlatform]:
    """The shared one."""
    async with running_platform(space, "shared", environment={"UPSHOT_EGRESS_ALLOW": inbox.authority}) as it:
        yield it


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def ground(platform: RunningPlatform, space: Workspace) -> AsyncIterator[Foundation]:
    """The shared platform's log, for making tenants: `upshot tenant create` would cost a process for each test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UPSHOT_POSTGRES_SYSTEM_DIR", str(space.system_dir))
        async with foundation(UpshotSettings(data_dir=platform.data_dir)) as it:
            yield it


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """One for all tests of the shared platform."""
    async with client_session() as it:
        yield it


@pytest_asyncio.fixture(loop_scope="session")
async def tenant(
    platform: RunningPlatform, ground: Foundation, session: aiohttp.ClientSession, request: pytest.FixtureRequest
) -> TenantClient:
    """A new tenant of the shared platform."""
    return await _new_tenant(platform, ground, session, request)


@pytest_asyncio.fixture(loop_scope="session")
async def other_tenant(
    platform: RunningPlatform, ground: Foundation, session: aiohttp.ClientSession, request: pytest.FixtureRequest
) -> TenantClient:
    """A second one."""
    return await _new_tenant(platform, ground, session, request)


async def _new_tenant(
    platform: RunningPlatform, ground: Foundation, session: aiohttp.ClientSession, request: pytest.FixtureRequest
) -> TenantClient:
    name = tenant_name(request.node.name)
    await create_tenant(ground, name, DEFAULT_PLAN)
    token = make_token(platform, name, *ALL_ROLES, subject=f"owner@{name}")
    return TenantClient(platform, session, name, token)


@asynccontextmanager
async def tenant_clients(platform: RunningPlatform, names: Sequence[str]) -> AsyncIterator[list[TenantClient]]:
    """New tenants of a platform of the test's own, made here, too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UPSHOT_POSTGRES_SYSTEM_DIR", platform.environment["UPSHOT_POSTGRES_SYSTEM_DIR"])
        async with foundation(UpshotSettings(data_dir=platform.data_dir)) as ground:
            for name in names:
                await create_tenant(ground, name, DEFAULT_PLAN)
    async with client_session() as session:
        yield [
            TenantClient(platform, session, name, make_token(platform, name, *ALL_ROLES, subject=f"owner@{name}"))
            for name in names
        ]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shell(space: Workspace) -> AsyncIterator[Shell]:
    """For commands as the documents show them."""
    async with shell_with_upshot(space.folder / "bin") as it:
        yield it


@pytest.fixture
def start_platform(space: Workspace, inbox: Receiver) -> StartPlatform:
    """`async with start_platform() as it`: a platform of the test's own."""

    def start(**environment: str) -> AbstractAsyncContextManager[RunningPlatform]:
        own = {"UPSHOT_EGRESS_ALLOW": inbox.authority, **environment}
        return running_platform(space, f"own{next(_NUMBERS)}", environment=own)

    return start


def tenant_name(text: str) -> str:
    """A name that no other test uses."""
    words = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-").removeprefix("test-")
    return f"{words[:40].strip('-')}-{next(_NUMBERS)}"


async def superuser(platform: RunningPlatform) -> Connection:
    """A connection that may do anything to the embedded server."""
    lines = (platform.postgres_data() / "postmaster.pid").read_text(encoding="utf-8").splitlines()
    password = (platform.data_dir / "postgres" / "password").read_text(encoding="utf-8").strip()
    return await asyncpg.connect(
        host=lines[4], port=int(lines[3]), user=SUPERUSER, password=password, database=DATABASE
    )
