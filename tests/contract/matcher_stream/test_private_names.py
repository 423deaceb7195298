"""What the stream uses of Faust and aiokafka that neither promises to keep: a version that drops one of it fails here."""

import inspect
from collections.abc import Callable

import pytest
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from faust.app.base import BootStrategy
from faust.tables import TableManager
from faust.transport.drivers import aiokafka as driver

from services.matcher.stream import app, consumer
from shared.bus.adapters.kafka import consuming

PRIVATE = [
    (owner, name)
    for module in (consumer, app, consuming)
    for owner, names in module.PRIVATE_NAMES.items()
    for name in names
]
OVERRIDDEN = [
    (driver.Consumer._getmany, ["self", "active_partitions", "timeout"]),
    (driver.Consumer._to_message, ["self", "tp", "record"]),
    (driver.Consumer._new_consumer_thread, ["self"]),
    (driver.Consumer.perform_seek, ["self"]),
    (driver.Consumer.close, ["self"]),
    (driver.Consumer.commit, ["self", "topics", "start_new_transaction"]),
    (driver.Consumer.on_partitions_revoked, ["self", "revoked"]),
    (driver.Consumer.on_partitions_assigned, ["self", "assigned", "generation_id"]),
    (driver.AIOKafkaConsumerThread._create_worker_consumer, ["self", "transport"]),
    (driver.AIOKafkaConsumerThread.on_start, ["self"]),
    (driver.AIOKafkaConsumerThread.on_thread_stop, ["self"]),
    (BootStrategy.kafka_consumer, ["self"]),
    (TableManager.on_start, ["self"]),
    (TableManager.wait_until_tables_registered, ["self"]),
]


@pytest.mark.parametrize(("owner", "name"), PRIVATE, ids=[f"{owner.__name__}.{name}" for owner, name in PRIVATE])
def test_a_private_name_is_still_there(owner: type, name: str) -> None:
    assert hasattr(owner, name) or name in owner.__init__.__code__.co_names


@pytest.mark.parametrize(("method", "parameters"), OVERRIDDEN, ids=lambda each: getattr(each, "__qualname__", ""))
def test_what_is_overridden_is_still_called_the_same_way(method: Callable[..., object], parameters: list[str]) -> None:
    assert list(inspect.signature(method).parameters) == parameters


def test_a_sticky_member_remembers_what_it_owned_in_its_class() -> None:
    assert "member_assignment" in vars(StickyPartitionAssignor)
