"""A member's dealings with its group's coordinator: joining, heartbeats, offsets, leaving; one request each, judged.

Joins are held by the broker until all members have come, so they have a link of their own beside the one for heartbeats
and commits, which go on meanwhile. Next: `membership.py` for what follows from the answers.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from aiokafka.coordinator.protocol import ConsumerProtocol
from aiokafka.protocol.commit import OffsetCommitRequest, OffsetFetchRequest
from aiokafka.protocol.group import JoinGroupRequest, SyncGroupRequest

from shared.bus.adapters.kafka import answers, assigning
from shared.bus.adapters.kafka.answers import Answer, judge
from shared.bus.adapters.kafka.assigning import Claims, Part
from shared.bus.adapters.kafka.group_requests import Heartbeat, LeaveGroup
from shared.bus.adapters.kafka.link import Link
from shared.bus.adapters.kafka.settings import KafkaSettings
from shared.domain.clock import Clock
from shared.domain.errors import PermanentError, TransientError

REBALANCE_SESSIONS = 3
"""How long a join waits for members that are heard but do not come, in session timeouts: whoever is dead is out by then."""

_ANSWER_GRACE_SECONDS = 5.0
_PAUSE_SECONDS = 0.1


class Standing(Enum):
    """How the coordinator sees a member."""

    MEMBER = "member"
    REJOIN = "rejoin"  # the group comes together anew
    STALE = "stale"  # of a generation that is over: the group went on without it
    EXPIRED = "expired"  # silent too long, or never seen
    REPLACED = "replaced"  # another process joined under its name


@dataclass(frozen=True, slots=True)
class Seat:
    """A place in the group. `member`: the coordinator's name for it, empty before the first join."""

    member: str
    generation: int


class Lost(Exception):
    """The coordinator refuses the seat: `standing` says why."""

    def __init__(self, standing: Standing) -> None:
        super().__init__(standing.value)
        self.standing = standing


class GroupLink:
    """One member's requests. All raise `TransientError` while no coordinator answers, `PermanentError` if it refuses us."""

    def __init__(
        self, settings: KafkaSettings, clock: Clock, *, group_id: str, topic: str, instance: str, partition_count: int
    ) -> None:
        """`topic`: its full name. `instance`: the member's own name."""
        session_seconds = settings.session_timeout_seconds
        self.rebalance_seconds = REBALANCE_SESSIONS * session_seconds
        self._settings = settings
        self._group_id = group_id
        self._topic = topic
        self._instance = instance
        self._partition_count = partition_count
        # A heartbeat that hangs must be given up while there is time for another one before the session is over.
        self._beats = Link(settings, clock, request_timeout_seconds=session_seconds / 3)
        self._joins = Link(settings, clock, request_timeout_seconds=self.rebalance_seconds + _ANSWER_GRACE_SECONDS)
        self._coordinators: dict[Link, int] = {}

    async def prepare(self) -> None:
        """Return when there is a coordinator: the cluster may have to make its first."""
        try:
            async with asyncio.timeout(self._settings.request_timeout_seconds):
                while True:
                    try:
                        await self._coordinator(self._beats)
                        return
                    except TransientError:
                        if not await self._reachable():
                            raise
                        await asyncio.sleep(_PAUSE_SECONDS)
        except TimeoutError:
            raise TransientError(f"no Kafka broker keeps the group {self._group_id} yet") from None

    async def join(self, seat: Seat, claims: Claims) -> tuple[Seat, Mapping[str, Part]]:
        """Come together with all other members: the new seat, and where it falls to this one, everybody's part.
        Raises `Lost`."""
        metadata = ConsumerProtocol.METADATA(0, [self._topic], assigning.pack_claims(claims)).encode()
        request = JoinGroupRequest(
            self._group_id,
            int(self._settings.session_timeout_seconds * 1000),
            int(self.rebalance_seconds * 1000),
            seat.member,
            self._instance,
            ConsumerProtocol.PROTOCOL_TYPE,
            [(assigning.PROTOCOL, metadata)],
        )
        response = await self._send(self._joins, request)
        if response.error_code == answers.MEMBER_ID_REQUIRED:
            return await self.join(Seat(response.member_id, seat.generation), claims)
        self._judge(self._joins, response.error_code)
        taken = Seat(response.member_id, response.generation_id)
        return taken, self._parts(response) if response.leader_id == response.member_id else {}

    async def sync(self, seat: Seat, parts: Mapping[str, Part]) -> Part:
        """This member's part, after telling everybody's where it fell to this one. Raises `Lost`."""
        packed = []
        for member, part in parts.items():
            # Kafka is shown what is owned, so that its tools tell each member's lag.
            assignment = [(self._topic, sorted(part.owned.keys() | part.asked_back.keys()))]
            packed.append((member, ConsumerProtocol.ASSIGNMENT(0, assignment, assigning.pack_part(part)).encode()))
        request = SyncGroupRequest(self._group_id, seat.generation, seat.member, self._instance, packed)
        response = await self._send(self._joins, request)
        self._judge(self._joins, response.error_code)
        if not response.member_assignment:
            return Part()
        return assigning.unpack_part(ConsumerProtocol.ASSIGNMENT.decode(response.member_assignment).user_data)

    async def heartbeat(self, seat: Seat) -> Standing:
        """How the coordinator sees the seat now."""
        request = Heartbeat(self._group_id, seat.generation, seat.member, self._instance)
        response = await self._send(self._beats, request)
        try:
            self._judge(self._beats, response.error_code)
        except Lost as lost:
            return lost.standing
        return Standing.MEMBER

    async def commit(self, seat: Seat, offsets: Mapping[int, int]) -> None:
        """Record the next offsets to read. Raises `Lost`."""
        rows = [(partition, offset, "") for partition, offset in offsets.items()]
        request = OffsetCommitRequest(self._group_id, seat.generation, seat.member, -1, [(self._topic, rows)])
        response = await self._send(self._beats, request)
        for _, partitions in response.topics:
            for _, code in partitions:
                self._judge(self._beats, code)

    async def committed(self, partitions: list[int]) -> Mapping[int, int]:
        """The next offsets to read, of those partitions that have one."""
        response = await self._send(self._beats, OffsetFetchRequest(self._group_id, [(self._topic, partitions)]))
        self._judge(self._beats, response.error_code)
        found: dict[int, int] = {}
        for _, rows in response.topics:
            for partition, offset, _, code in rows:
                self._judge(self._beats, code)
                if offset >= 0:
                    found[partition] = offset
        return found

    async def leave(self, seat: Seat) -> None:
        """Give the seat back now."""
        await self._send(self._beats, LeaveGroup(self._group_id, seat.member, self._instance))

    async def break_off_joining(self) -> None:
        """The coordinator no longer answers heartbeats: waiting for it to answer a join is in vain."""
        self._coordinators.pop(self._joins, None)
        await self._joins.restart()

    async def close(self) -> None:
        await self._beats.close()
        await self._joins.close()

    def _parts(self, response: Any) -> Mapping[str, Part]:  # aiokafka has no types
        members: dict[str, Claims] = {}
        for member, _, metadata in response.members:
            said = ConsumerProtocol.METADATA.decode(metadata).user_data
            try:
                members[member] = assigning.unpack_claims(said)
            except ValueError as error:
                raise PermanentError(
                    f"the group {self._group_id} has a member that is not Upshot's: {error}"
                ) from error
        return assigning.assigned(members, self._partition_count, response.generation_id)

    async def _send(self, link: Link, request: Any) -> Any:  # as above
        try:
            return await link.send(await self._coordinator(link), request)
        except TransientError:
            self._coordinators.pop(link, None)
            raise

    async def _coordinator(self, link: Link) -> int:
        if link not in self._coordinators:
            self._coordinators[link] = await link.coordinator(self._group_id)
        return self._coordinators[link]

    async def _reachable(self) -> bool:
        try:
            return bool(await self._beats.broker_ids())
        except TransientError:
            return False

    def _judge(self, link: Link, code: int) -> None:
        standing = _STANDINGS.get(code)
        if standing is not None:
            raise Lost(standing)
        if code in answers.NOT_COORDINATING:
            self._coordinators.pop(link, None)
            raise TransientError(f"the group {self._group_id} has no coordinator just now")
        if code == answers.INCONSISTENT_PROTOCOL:
            raise PermanentError(f"the group {self._group_id} has members that are not Upshot's, or of another version")
        if code == answers.INVALID_SESSION_TIMEOUT:
            raise PermanentError(
                f"the brokers do not take UPSHOT_KAFKA_SESSION_TIMEOUT_SECONDS={self._settings.session_timeout_seconds:g}: "
                "it must lie between their group.min.session.timeout.ms and group.max.session.timeout.ms"
            )
        if judge(code, f"the group {self._group_id}") is Answer.AGAIN:
            raise TransientError(f"the group {self._group_id} cannot be kept just now (Kafka's error {code})")


_STANDINGS = {
    answers.REBALANCING: Standing.REJOIN,
    answers.ILLEGAL_GENERATION: Standing.STALE,
    answers.UNKNOWN_MEMBER: Standing.EXPIRED,
    answers.FENCED_INSTANCE: Standing.REPLACED,
}
