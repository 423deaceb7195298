"""The kill campaign as long as you like: `UPSHOT_CHAOS_KILLS=50 pytest tests/chaos`. Skipped unless asked for."""

import os
from functools import partial

import pytest

from shared.testing.platform import running_platform
from shared.testing.receivers import Receiver
from shared.testing.workspace import Workspace
from tests.chaos.campaign import run_campaign
from tests.chaos.killer import Killer

KILLS = int(os.environ.get("UPSHOT_CHAOS_KILLS", "0"))
SECONDS_PER_KILL_MAX = 40


@pytest.mark.slow
@pytest.mark.skipif(KILLS == 0, reason="set UPSHOT_CHAOS_KILLS to the number of kills of each kind")
@pytest.mark.timeout(600 + 3 * KILLS * SECONDS_PER_KILL_MAX)
async def test_nothing_is_lost_and_nothing_unsafe_happens_twice_over_many_kills(
    space: Workspace, receiving: Receiver
) -> None:
    environment = {"UPSHOT_EGRESS_ALLOW": receiving.authority, "UPSHOT_LOG_LEVEL": "WARNING"}
    async with running_platform(space, "long", environment=environment) as platform:
        await run_campaign(platform, receiving, partial(Killer, platform, of_each=KILLS), name="long", per_second=100)
