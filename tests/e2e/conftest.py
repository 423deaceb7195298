"""One platform for all tests that leave it running, a receiver for what it sends, and a new tenant for each test.

Tests that kill, freeze or restart start their own with `own_platform`.
"""

import itertools
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

import pytest
import pytest_asyncio

from shared.runtime.clock import SystemClock
from shared.testing.platform import RunningPlatform, running_platform
from shared.testing.receivers import Receiver, receiver
from shared.testing.tenant_client import TenantClient, tenant_client
from shared.testing.workspace import Workspace

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


@pytest_asyncio.fixture(loop_scope="session")
async def tenant(platform: RunningPlatform, request: pytest.FixtureRequest) -> AsyncIterator[TenantClient]:
    """A new tenant of the shared platform."""
    async with tenant_client(platform, tenant_name(request.node.name)) as it:
        yield it


@pytest_asyncio.fixture(loop_scope="session")
async def other_tenant(platform: RunningPlatform, request: pytest.FixtureRequest) -> AsyncIterator[TenantClient]:
    """A second one."""
    async with tenant_client(platform, tenant_name(request.node.name)) as it:
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
