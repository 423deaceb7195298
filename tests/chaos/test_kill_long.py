"""The kill campaign as long as you like: `UPSHOT_CHAOS_KILLS=50 pytest tests/chaos`. Skipped unless asked for."""

import os
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from shared.runtime.clock import SystemClock
from shared.testing.receivers import Receiver, receiver
from shared.testing.workspace import Workspace
from tests.chaos.campaign import run_campaign

KILLS = int(os.environ.get("UPSHOT_CHAOS_KILLS", "0"))
SECONDS_PER_KILL_MAX = 40


@pytest_asyncio.fixture
async def receiving() -> AsyncIterator[Receiver]:
    async with receiver(SystemClock()) as it:
        yield it


@pytest.mark.slow
@pytest.mark.skipif(KILLS == 0, reason="set UPSHOT_CHAOS_KILLS to the number of kills of each kind")
@pytest.mark.timeout(600 + 3 * KILLS * SECONDS_PER_KILL_MAX)
async def test_nothing_is_lost_and_nothing_unsafe_happens_twice_over_many_kills(
    space: Workspace, receiving: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    await run_campaign(space, receiving, monkeypatch, name="long", kills_of_each=KILLS, per_second=100)
