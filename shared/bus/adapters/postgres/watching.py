"""How this process learns of other processes' appends, and tells them of its own.

Appends through this bus wake its readers directly. To others one NOTIFY follows the commit, from a connection of its
own (a NOTIFY within the append would make all commits queue for one lock), coalesced: at most one per
`notify_interval_seconds`, carrying the new ends. Behind it stands a poll of `log.heads` every `poll_interval_seconds`
for the topics that somebody here reads; it is also what finds the server again after a restart.

Every listening connection holds one shared advisory lock, by which the poll counts them: where this process is the only
one, the usual case of the embedded log, nobody is notified (a NOTIFY costs a fifth of a single append's CPU time).
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Mapping

from shared.bus.adapters.postgres.heads import Heads
from shared.bus.adapters.postgres.link import Connection, Link
from shared.bus.adapters.postgres.settings import BusSettings
from shared.domain.errors import PermanentError, TransientError

_log = logging.getLogger(__name__)

APPENDS_CHANNEL = "upshot_log_appends"
GROUPS_CHANNEL = "upshot_log_groups"

_PAYLOAD_BYTES_MAX = 7_900  # PostgreSQL takes fewer than 8,000
_LISTENING = (0x75707368, 1)  # "upsh": the advisory lock that every listener shares
_LISTEN = "select pg_advisory_lock_shared($1, $2)"
_LISTENERS = """
select count(*) from pg_locks
where locktype = 'advisory' and classid::bigint = $1 and objid::bigint = $2 and objsubid = 2 and granted
    and database = (select oid from pg_database where datname = current_database())
"""
_HEADS = "select topic, partition, next from log.heads where topic = any($1::text[])"

Ends = dict[str, dict[int, int]]


class Announcer:
    """Sends the ends that this process's appends reached to other processes."""

    def __init__(self, link: Link, settings: BusSettings) -> None:
        self._link = link
        self._settings = settings
        self._ends: Ends = {}
        self._news = asyncio.Event()
        self.heard = True
        """Whether any other process may be listening; the watcher keeps it."""
        self._task = asyncio.create_task(self._announce(), name="bus announce")

    def announce(self, topic: str, partition: int, end: int) -> None:
        """Soon, if anybody listens."""
        if not self.heard:
            return
        self._ends.setdefault(topic, {})[partition] = end
        self._news.set()

    async def close(self) -> None:
        """Send no more."""
        self._task.cancel()
        await asyncio.wait([self._task])
        await self._link.close()

    async def _announce(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            ends, self._ends = self._ends, {}
            with contextlib.suppress(TransientError):  # else the others' polls will find it
                await self._link.run(_notify, render_payloads(ends))
            await asyncio.sleep(self._settings.notify_interval_seconds)


class Watcher:
    """Keeps `Heads` up to date with what other processes append, and passes on news of groups."""

    def __init__(
        self,
        link: Link,
        listening: Link,
        settings: BusSettings,
        heads: Heads,
        announcer: Announcer,
        group_changed: Callable[[str], None],
    ) -> None:
        self._announcer = announcer
        self._listening_on: Connection | None = None
        self._link = link
        self._listening = listening
        self._settings = settings
        self._heads = heads
        self._group_changed = group_changed
        self._task = asyncio.create_task(self._watch(), name="bus watch")

    async def refresh(self, topics: Iterable[str]) -> None:
        """Take in where the topics' partitions end now. `TransientError` while the server is away."""
        for topic, ends in (await self._link.run(_fetch_heads, list(topics))).items():
            self._heads.advance(topic, ends.items())

    async def close(self) -> None:
        """Watch no more."""
        self._task.cancel()
        await asyncio.wait([self._task])
        await self._listening.close()
        await self._link.close()

    async def _watch(self) -> None:
        """Listen, poll, and listen again where the connection was lost in between."""
        while True:
            try:
                await self._listening.run(self._listen)
                self._announcer.heard = await self._link.run(_count_listeners) > 1
                if topics := self._heads.followed_topics():
                    await self.refresh(topics)
            except TransientError:
                pass  # the link has told; the next round tries again
            except PermanentError as error:
                _log.error("other processes' appends cannot be seen: %s", error)
            await asyncio.sleep(self._settings.poll_interval_seconds)

    async def _listen(self, connection: Connection) -> None:
        """Idempotent, and without a round trip where this very connection already listens."""
        if connection is self._listening_on:
            return
        await connection.add_listener(APPENDS_CHANNEL, self._appended)
        await connection.add_listener(GROUPS_CHANNEL, self._changed)
        await connection.execute(_LISTEN, *_LISTENING)
        self._listening_on = connection

    def _appended(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        for topic, ends in parse_payload(str(payload)).items():
            if self._heads.is_followed(topic):
                self._heads.advance(topic, ends.items())

    def _changed(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        self._group_changed(str(payload))


def render_payloads(ends: Mapping[str, Mapping[int, int]]) -> list[str]:
    """`topic partition=end partition=end …`, as many payloads as the size of one asks for."""
    payloads: list[str] = []
    for topic, by_partition in ends.items():
        line = topic
        for partition, end in by_partition.items():
            word = f" {partition}={end}"
            if len(line) + len(word) > _PAYLOAD_BYTES_MAX:
                payloads.append(line)
                line = topic
            line += word
        payloads.append(line)
    return payloads


def parse_payload(payload: str) -> Ends:
    """The ends in a payload; what is not understood (another version's words) is left to the poll."""
    topic, *words = payload.split(" ")
    ends: dict[int, int] = {}
    for word in words:
        partition, separator, end = word.partition("=")
        if separator and partition.isdecimal() and end.isdecimal():
            ends[int(partition)] = int(end)
    return {topic: ends}


async def _notify(connection: Connection, payloads: list[str]) -> None:
    # A notification is worth no fsync.
    await connection.execute(
        "select set_config('synchronous_commit', 'off', true), pg_notify($1, p) from unnest($2::text[]) p",
        APPENDS_CHANNEL,
        payloads,
    )


async def _count_listeners(connection: Connection) -> int:
    count: int = await connection.fetchval(_LISTENERS, *_LISTENING)
    return count


async def _fetch_heads(connection: Connection, topics: list[str]) -> Ends:
    found: Ends = {}
    for topic, partition, end in await connection.fetch(_HEADS, topics):
        found.setdefault(topic, {})[partition] = end
    return found
