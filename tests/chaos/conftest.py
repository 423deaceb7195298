"""What the long campaigns share."""

from collections.abc import AsyncIterator

import pytest_asyncio

from shared.runtime.clock import SystemClock
from shared.testing.receivers import Receiver, receiver


@pytest_asyncio.fixture
async def receiving() -> AsyncIterator[Receiver]:
    """Where deliveries go."""
    async with receiver(SystemClock()) as it:
        yield it
