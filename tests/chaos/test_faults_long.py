"""The campaign of faults on Kafka, for as long as you like: `UPSHOT_CHAOS_FAULTS=6 pytest tests/chaos` is 114 faults.

Skipped unless asked for. Its short form is `tests/e2e/test_faults_on_kafka.py`.
"""

import os
from functools import partial

import pytest

from shared.testing.kafka_jars import kafka_missing
from shared.testing.receivers import Receiver
from shared.testing.workspace import Workspace
from tests.chaos.campaign import run_campaign
from tests.chaos.faults import Faults, check_nothing_is_unread, services_on_three_brokers

FAULTS = int(os.environ.get("UPSHOT_CHAOS_FAULTS", "0"))
SECONDS_PER_ROUND_MAX = 400


@pytest.mark.slow
@pytest.mark.skipif(FAULTS == 0, reason="set UPSHOT_CHAOS_FAULTS to the number of faults of each kind")
@pytest.mark.timeout(900 + FAULTS * SECONDS_PER_ROUND_MAX)
async def test_no_promise_is_broken_by_many_faults_of_any_kind(space: Workspace, receiving: Receiver) -> None:
    if (missing := kafka_missing()) is not None:
        pytest.skip(missing)
    environment = {"UPSHOT_EGRESS_ALLOW": receiving.authority, "UPSHOT_LOG_LEVEL": "WARNING"}
    async with services_on_three_brokers(space, "long-faults", environment) as (services, cluster, network):
        breaking = partial(Faults, services, cluster, network, of_each=FAULTS)
        await run_campaign(services, receiving, breaking, name="long", per_second=30)
        await check_nothing_is_unread(services)
