"""The Faust app: one agent on one topic, and nothing else that Faust would start."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import faust
from faust.app.base import BootStrategy
from faust.tables import TableManager
from faust.types import AppT, Message, ServiceT

from services.matcher.stream.share import Carrier

BUFFERED_CARRIERS = 64
"""Batches that wait for the agent before Faust stops fetching their partitions."""
_SELDOM_SECONDS = 3600.0

PRIVATE_NAMES = {faust.App: ("_create_directories",)}

Consume = Callable[[Any], Awaitable[None]]
"""An agent: consumes a stream of carriers."""


class StreamApp(faust.App):
    """No tables, no producer, no topics of its own, no web server, no files."""

    def _create_directories(self) -> None:
        """Nothing of it is on disk."""


class _Boot(BootStrategy):
    enable_kafka_producer = False
    enable_web = False

    def kafka_consumer(self) -> Iterable[ServiceT]:
        """Without the leader's topic and the one for replies."""
        return [self.app.consumer]


class _NoTables(TableManager):
    """Faust begins each stream when its tables are recovered, and gives whoever declares them a second to do so."""

    async def on_start(self) -> None:
        await self.recovery.start()

    async def wait_until_tables_registered(self) -> None:
        """There are none."""


class _CarrierSchema(faust.Schema[None, Carrier]):
    """A carrier is no bytes: there is nothing to decode."""

    def loads_key(self, app: AppT, message: Message, **_: Any) -> None:
        del app, message

    def loads_value(self, app: AppT, message: Message, **_: Any) -> Any:  # what the consumer put in: a carrier
        del app
        return message.value


StreamApp.BootStrategy = _Boot


def stream_app(group_id: str, topic: str, consume: Consume) -> StreamApp:
    """`topic`: its full name."""
    app = StreamApp(
        group_id,
        autodiscover=False,
        store="memory://",
        web_enabled=False,
        TableManager=_NoTables,
        topic_allow_declare=False,
        topic_disable_leader=True,
        stream_buffer_maxsize=BUFFERED_CARRIERS,
        stream_wait_empty=False,
        broker_commit_interval=_SELDOM_SECONDS,
    )
    app.agent(app.topic(topic, schema=_CarrierSchema(), acks=False), name="match")(consume)
    return app
