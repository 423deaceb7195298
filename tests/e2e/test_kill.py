"""Killed with -9 again and again while thousands of events flow: nothing accepted is lost, nothing unsafe happens twice,
and counts, waits and schedules start what they must, once, however often their events are told.

Three kinds of kill, at least eight of each: the app, the postmaster, both; one of each while a rebuild runs. `UPSHOT_KILLS`
sets how many, `UPSHOT_KILL_SEED` repeats a campaign's choices. The machinery is in `tests/chaos/`; so is the form that runs for
as long as one likes, `test_kill_long.py`.
"""

import os
from functools import partial

import pytest

from shared.testing.platform import running_platform
from shared.testing.receivers import Receiver
from shared.testing.workspace import Workspace
from tests.chaos.campaign import run_campaign
from tests.chaos.killer import Killer

KILLS_OF_EACH = int(os.environ.get("UPSHOT_KILLS", "8"))
REQUESTS_PER_SECOND = 40


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.asyncio(loop_scope="session")
async def test_no_promise_is_broken_by_kills_at_random_moments(space: Workspace, inbox: Receiver) -> None:
    environment = {"UPSHOT_EGRESS_ALLOW": inbox.authority, "UPSHOT_LOG_LEVEL": "WARNING"}
    async with running_platform(space, "kill", environment=environment) as platform:
        breaking = partial(Killer, platform, of_each=KILLS_OF_EACH)
        await run_campaign(platform, inbox, breaking, name="kill", per_second=REQUESTS_PER_SECOND)
