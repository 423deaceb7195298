"""What more than one kind of test needs: a place for real servers' data, a Kafka, how tests spread over workers, and how many
examples they draw.

Next: `e2e/conftest.py`; `shared/testing/spreading.py` for the hooks.
"""

import faulthandler
import os
import sys
from collections.abc import AsyncIterator, Generator, Iterator

import hypothesis
import pytest
import pytest_asyncio

import services  # noqa: F401  # before shared.matching: it heeds UPSHOT_NATIVE, so that all tests run without the kernel, too
from shared.testing import warm
from shared.testing.examples import examples
from shared.testing.kafka import BOOTSTRAP_VARIABLE, KafkaCluster, kafka_cluster
from shared.testing.kafka_jars import kafka_missing
from shared.testing.spreading import (
    pytest_collection_modifyitems,
    pytest_configure_node,
    pytest_unconfigure,
    pytest_xdist_make_scheduler,
)
from shared.testing.workspace import Workspace, workspace

__all__ = [
    "pytest_collection_modifyitems",
    "pytest_configure_node",
    "pytest_unconfigure",
    "pytest_xdist_make_scheduler",
]

PUTTING_DOWN_SECONDS_MAX = 180.0

hypothesis.settings.register_profile("suite", max_examples=examples())
hypothesis.settings.load_profile("suite")


@pytest.fixture(scope="session")
def space() -> Iterator[Workspace]:
    """One short folder for all servers of this session; at its end every process in it is ended."""
    with workspace() as it:
        if os.environ.get("UPSHOT_TEST_WARM") != "0":
            warm.begin(it.folder)
        yield it


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def kafka_broker(space: Workspace) -> AsyncIterator[KafkaCluster]:
    """One node in plain text, started when the first test asks, for all tests of the session: do not stop it or freeze it.

    Tests use topics of a prefix of their own, with few partitions, and delete them. KAFKA_BOOTSTRAP_SERVERS names an
    existing Kafka instead.
    """
    if (servers := os.environ.get(BOOTSTRAP_VARIABLE)) is not None:
        yield KafkaCluster(bootstrap_servers=servers)
        return
    if (missing := kafka_missing()) is not None:
        pytest.skip(missing)
    async with kafka_cluster(space.folder / "kafka") as cluster:
        yield cluster


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def secured_kafka(space: Workspace) -> AsyncIterator[KafkaCluster]:
    """As `kafka_broker`, with TLS, users and ACLs. A test may kill its node and start it again."""
    if (missing := kafka_missing()) is not None:
        pytest.skip(missing)
    async with kafka_cluster(space.folder / "secured-kafka", security="sasl_tls") as cluster:
        yield cluster


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown() -> Generator[None, object, object]:
    """A test has one time-out. What it ended may hang again while it is put down: then the worker says where, and ends."""
    faulthandler.dump_traceback_later(PUTTING_DOWN_SECONDS_MAX, exit=True, file=sys.__stderr__)
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()
