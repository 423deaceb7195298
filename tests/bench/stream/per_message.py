"""What the stream is measured against: Faust as its documentation shows it, an agent that is handed one message after another.

`WORK` are two agents: one does per message what the matcher does for a batch, one merely parses the JSON of each.
"""

import asyncio
import contextlib
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import faust
import orjson

from services.matcher.service import Matching
from shared.bus.adapters.kafka.settings import KafkaSettings
from shared.bus.port import Record
from shared.bus.seal import Seal
from shared.bus.topics import EVENTS

Work = Callable[[Any], None]


def matches(matching: Matching, seal: Seal) -> Work:
    """What the matcher does, one message at a time."""

    def work(event: Any) -> None:
        message = event.message
        record = Record(
            topic=EVENTS,
            partition=message.partition,
            offset=message.offset,
            recorded_at=datetime.fromtimestamp(message.timestamp, UTC),
            key=message.key,
            headers=tuple(message.headers.items()) if isinstance(message.headers, dict) else tuple(message.headers),
            value=message.value,
        )
        seal.mark([record])
        matching.handle_batch(message.partition, [record])

    return work


def parses(event: Any) -> None:
    """Nothing but JSON."""
    orjson.loads(event.value)


class PerMessage:
    """One Faust app with one agent."""

    def __init__(self, kafka: KafkaSettings, group: str, work: Work) -> None:
        self.count = 0
        self._folder = tempfile.TemporaryDirectory()
        self._app = faust.App(
            group,
            broker=f"kafka://{kafka.bootstrap_servers}",
            autodiscover=False,
            store="memory://",
            web_enabled=False,
            topic_disable_leader=True,
            topic_allow_declare=False,
            value_serializer="raw",
            key_serializer="raw",
            datadir=self._folder.name,
        )
        topic = self._app.topic(kafka.topic_prefix + EVENTS, value_type=bytes, key_type=bytes)

        async def each(stream: Any) -> None:
            async for event in stream.events():
                work(event)
                self.count += 1

        self._app.agent(topic, name="each")(each)

    async def __aenter__(self) -> "PerMessage":
        self._starting = asyncio.create_task(self._app.start())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._starting.cancel()
        await asyncio.gather(self._starting, return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(20):
                await self._app.stop()
        self._folder.cleanup()
