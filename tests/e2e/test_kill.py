"""Killed with -9 again and again while thousands of events flow: nothing accepted is lost, nothing unsafe happens twice,
and counts, waits and schedules start what they must, once, however often their events are told.

Three kinds of kill, at least 8 of each: the app, the postmaster, both; one while a rebuild runs. `UPSHOT_KILL_SEED` repeats a
campaign's choices, `UPSHOT_KILLS` sets the number. The machinery is in `tests/chaos/`; its long form too.
"""

import os

import pytest

from shared.testing.receivers import Receiver
from shared.testing.workspace import Workspace
from tests.chaos.campaign import run_campaign

KILLS_OF_EACH = int(os.environ.get("UPSHOT_KILLS", "8"))


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.asyncio(loop_scope="session")
async def test_no_promise_is_broken_by_kills_at_random_moments(
    space: Workspace, inbox: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    await run_campaign(space, inbox, monkeypatch, name="kill", kills_of_each=KILLS_OF_EACH, per_second=100)
