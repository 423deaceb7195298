"""Services apart on a Kafka of three brokers, two processes of each, while processes, brokers, PostgreSQL and the network fail:
nothing accepted is lost, nothing unsafe happens twice, rebuilding gives what was there, and no record is left unread.

Some of each kind of fault that `tests/chaos/faults.py` knows, two at a time; `UPSHOT_FAULTS` sets how many, `UPSHOT_KILL_SEED`
repeats a campaign's choices. The long form is `tests/chaos/test_faults_long.py`.
"""

import os
from functools import partial

import pytest

from shared.testing.kafka_jars import kafka_missing
from shared.testing.receivers import Receiver
from shared.testing.workspace import Workspace
from tests.chaos.campaign import run_campaign
from tests.chaos.faults import Faults, check_nothing_is_unread, services_on_three_brokers

FAULTS_OF_EACH = int(os.environ.get("UPSHOT_FAULTS", "1"))
REQUESTS_PER_SECOND = 10


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.asyncio(loop_scope="session")
async def test_no_promise_is_broken_by_faults_of_any_kind(space: Workspace, inbox: Receiver) -> None:
    if (missing := kafka_missing()) is not None:
        pytest.skip(missing)
    environment = {"UPSHOT_EGRESS_ALLOW": inbox.authority, "UPSHOT_LOG_LEVEL": "WARNING"}
    async with services_on_three_brokers(space, "faults", environment) as (services, cluster, network):
        breaking = partial(Faults, services, cluster, network, of_each=FAULTS_OF_EACH)
        await run_campaign(services, inbox, breaking, name="faults", per_second=REQUESTS_PER_SECOND)
        await check_nothing_is_unread(services)
