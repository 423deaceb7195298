"""A member of a consumer group: heartbeats, the assignment it has taken over, and fenced commits.

Each heartbeat is one function call that brings the whole state of the group back; whichever member then sees that
something has to move makes the plan (`shared/bus/groups.py`) and applies it, if the group is still as it was.
Next: `group_sql.py`.
"""

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from shared.bus.adapters.postgres.link import Connection, Link
from shared.bus.adapters.postgres.settings import BusSettings
from shared.bus.groups import Plan, Share, plan
from shared.bus.port import Assignment
from shared.domain.clock import Clock
from shared.domain.errors import PermanentError, StaleGenerationError, TransientError

_log = logging.getLogger(__name__)

_JOIN = "select log.join_group($1, $2, $3)"
_HEARTBEAT = "select * from log.heartbeat($1, $2, $3, $4, $5, $6)"
_REBALANCE = "select log.rebalance_group($1, $2, $3, $4, $5, $6)"
_COMMIT = "select log.commit_offsets($1, $2, $3, $4, $5, $6)"
_COMMITTED = (
    "select partition, committed from log.group_shares "
    "where name = $1 and topic = $2 and partition = any($3::int[]) and committed is not null"
)
_COMMITTED_BY_ALL = (
    "select partition, committed from log.group_shares where name = $1 and topic = $2 and committed is not null"
)
_LEAVE = "select log.leave_group($1, $2, $3, $4)"


@dataclass(frozen=True, slots=True)
class GroupState:
    """What one heartbeat brought back. `standing`: `member`, `expired` (silent too long) or `replaced`."""

    standing: str
    generation: int
    members: tuple[str, ...]
    shares: Mapping[int, Share]

    def owned_by(self, member_id: str) -> dict[int, int]:
        """The partitions of a member that were not asked back, each with the generation it was given under."""
        return {p: s.since for p, s in self.shares.items() if s.owner == member_id and not s.revoking}

    def asked_back_from(self, member_id: str) -> frozenset[int]:
        """The partitions that the member is to release."""
        return frozenset(p for p, s in self.shares.items() if s.owner == member_id and s.revoking)


_NOTHING: Mapping[int, int] = {}


class PostgresMembership:
    """A `Membership`."""

    def __init__(
        self, link: Link, settings: BusSettings, clock: Clock, *, group: str, topic: str, member_id: str
    ) -> None:
        self._link = link
        self._settings = settings
        self._clock = clock
        self._group = group
        self._topic = topic
        self._member_id = member_id
        self._session = 0
        self._answered_at = float("-inf")  # when the last answered heartbeat was *sent*
        self._generation = 0
        self._owned: Mapping[int, int] = _NOTHING  # by the group's state
        self._held: Mapping[int, int] = _NOTHING  # by what the caller was told
        self._assignment = Assignment(0, frozenset(), frozenset(), frozenset())
        self._unreleased: frozenset[int] = frozenset()  # of the revoked, what the caller may still be acting on
        self._asked_back: frozenset[int] = frozenset()  # by the group's state
        self._lost = False  # the group gave partitions away that the caller still believes to hold
        self._gone = False
        self._due = asyncio.Event()
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def assignment(self) -> Assignment:
        return self._assignment

    async def start(self) -> None:
        """Join; heartbeats go out from now on. `TransientError` while the server is away."""
        await self._join()
        self._task = asyncio.create_task(self._beat_until_gone(), name=f"bus member {self._group}/{self._topic}")

    async def next_assignment(self, *, timeout_seconds: float) -> Assignment | None:
        self.release()
        deadline = asyncio.get_running_loop().time() + timeout_seconds
        while self._owned == self._held:
            self._changed.clear()
            try:
                async with asyncio.timeout_at(deadline):
                    await self._changed.wait()
            except TimeoutError:
                return None
        owned = self._owned
        self._assignment = Assignment.between(self._held, owned, self._generation)
        self._held = owned
        self._unreleased = self._assignment.revoked
        self._lost = False
        return self._assignment

    def release(self) -> None:
        if self._unreleased:
            self._unreleased = frozenset()
            self._due.set()

    def alive(self) -> bool:
        if self._gone or self._lost:
            return False
        return self._clock.monotonic() - self._answered_at < self._settings.session_timeout_seconds

    async def committed(self) -> Mapping[int, int]:
        partitions = sorted(self._assignment.partitions)
        return dict(await self._link.run(_fetch_pairs, _COMMITTED, self._group, self._topic, partitions))

    async def commit(self, offsets: Mapping[int, int], *, generation: int) -> None:
        if not offsets:
            return
        arguments = (self._group, self._topic, self._member_id, generation, list(offsets), list(offsets.values()))
        if self._gone or not await self._link.run(_fetch_value, _COMMIT, *arguments):
            raise StaleGenerationError(
                f"{self._member_id} does not own {sorted(offsets)} of {self._topic} in {self._group} "
                f"under generation {generation} any more"
            )

    async def leave(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        was_member, self._gone = not self._gone, True
        self._own(0, _NOTHING)
        if was_member:
            with contextlib.suppress(TransientError):  # else the session timeout will say it
                await self._link.run(_fetch_value, _LEAVE, self._group, self._topic, self._member_id, self._session)

    def hurry(self) -> None:
        """The group changed: send a heartbeat now."""
        self._due.set()

    async def _join(self) -> None:
        sent_at = self._clock.monotonic()
        session = await self._link.run(_fetch_value, _JOIN, self._group, self._topic, self._member_id)
        assert isinstance(session, int)  # a sequence's value
        self._session = session
        self._answered_at = sent_at
        self._due.set()

    async def _beat_until_gone(self) -> None:
        while not self._gone:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._settings.heartbeat_interval_seconds):
                    await self._due.wait()
            self._due.clear()
            try:
                await self._beat()
            except TransientError:
                continue  # `alive` tells once it has lasted too long
            except PermanentError as error:
                _log.error("group %s on %s cannot be kept: %s", self._group, self._topic, error)

    async def _beat(self) -> None:
        sent_at = self._clock.monotonic()
        # What was asked back before the caller ever heard of it is released like what the caller is done with.
        released = self._asked_back - self._held.keys() - self._unreleased
        state = await self._link.run(
            _heartbeat,
            self._group,
            self._topic,
            self._member_id,
            self._session,
            timedelta(seconds=self._settings.session_timeout_seconds),
            sorted(released),
        )
        if state.standing != "member":
            self._lost = bool(self._held)
            self._own(self._generation, _NOTHING)
            self._asked_back = frozenset()
            if state.standing == "replaced":
                self._gone = True
            else:
                await self._join()
            return
        self._own(state.generation, state.owned_by(self._member_id))
        self._asked_back = state.asked_back_from(self._member_id)
        self._answered_at = sent_at
        if self._asked_back - self._held.keys() - self._unreleased:
            self._due.set()
        if step := plan(state.members, state.shares):
            await self._link.run(_rebalance, self._group, self._topic, state.generation, step)
            self._due.set()  # see what came of it

    def _own(self, generation: int, owned: Mapping[int, int]) -> None:
        self._generation = generation
        self._owned = owned
        if owned != self._held:
            self._changed.set()


async def fetch_committed(connection: Connection, group: str, topic: str) -> dict[int, int]:
    """The committed next offsets of a group, whoever owns the partitions."""
    return dict(await _fetch_pairs(connection, _COMMITTED_BY_ALL, group, topic))


async def _fetch_value(connection: Connection, query: str, *arguments: object) -> object:
    return await connection.fetchval(query, *arguments)


async def _fetch_pairs(connection: Connection, query: str, *arguments: object) -> list[tuple[int, int]]:
    return [(first, second) for first, second in await connection.fetch(query, *arguments)]


async def _heartbeat(connection: Connection, *arguments: object) -> GroupState:
    row = await connection.fetchrow(_HEARTBEAT, *arguments)
    assert row is not None  # a function with OUT parameters gives one row
    columns = zip(row["partitions"] or (), row["owners"] or (), row["since"] or (), row["revoking"] or (), strict=True)
    return GroupState(
        standing=row["standing"],
        generation=row["generation"],
        members=tuple(row["members"] or ()),
        shares={partition: Share(owner, since, revoking) for partition, owner, since, revoking in columns},
    )


async def _rebalance(connection: Connection, group: str, topic: str, generation: int, step: Plan) -> None:
    partitions, owners = list(step.assign), list(step.assign.values())
    await connection.execute(_REBALANCE, group, topic, generation, partitions, owners, sorted(step.revoke))
