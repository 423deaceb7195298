"""A member of a consumer group: what it owns by the group, what its caller was told, and fenced commits.

Two tasks: one joins whenever the group comes together anew, one sends heartbeats all the while. Joining takes nothing
away (`assigning.py`); what the group asks back is told as `revoked`, and the member joins again without it once its caller
has released it. Three rules keep a partition from having two live owners:

- A member that the coordinator does not know (any more) under its present seat lets go of all its claims before it joins.
- `alive` counts from when the last answered heartbeat was *sent*, and no heartbeat counts for longer than the group waits
  for members that do not come: by then the others may have gone on without this one.
- Of two claims to one partition the later one stands.

Next: `rounds.py` for the requests.
"""

import asyncio
import contextlib
import logging
from collections.abc import Mapping

from shared.bus.adapters.kafka.assigning import Claims, Part
from shared.bus.adapters.kafka.rounds import GroupLink, Lost, Seat, Standing
from shared.bus.adapters.kafka.settings import KafkaSettings
from shared.bus.port import Assignment
from shared.domain.clock import Clock
from shared.domain.errors import PermanentError, StaleGenerationError, TransientError

_log = logging.getLogger(__name__)

_PAUSE_SECONDS = 0.1
_LEAVE_SECONDS_MAX = 2.0
_NOWHERE = Seat("", -1)
_NOTHING: Mapping[int, int] = {}


class KafkaMembership:
    """A `Membership`."""

    def __init__(self, link: GroupLink, settings: KafkaSettings, clock: Clock, *, member_id: str, name: str) -> None:
        """`name`: of the group and its topic, for people."""
        self._link = link
        self._settings = settings
        self._clock = clock
        self._member_id = member_id
        self._name = name
        self._seat = _NOWHERE
        self._generation = 0  # of the last assignment that the group told
        self._round = 0  # grows when a join begins and when it ends: answers to what was asked before it are old
        self._answered_at = float("-inf")  # when the last answered heartbeat or join was *sent*
        self._settled_at = float("-inf")  # as above, of the last answer that was not "come together anew"
        self._owned: Mapping[int, int] = _NOTHING  # by the group
        self._asked_back: Mapping[int, int] = _NOTHING  # by the group
        self._held: Mapping[int, int] = _NOTHING  # by what the caller was told
        self._unreleased: frozenset[int] = frozenset()  # of the revoked, what the caller may still be acting on
        self._assignment = Assignment(0, frozenset(), frozenset(), frozenset())
        self._lost = False  # the group gave partitions away that the caller still believes to hold
        self._gone = False
        # Rounds that ended without an answer. A broker that slept may take notice of such a join when it wakes, and the
        # next coordinator may not know the seat that its predecessor gave: both look like another process of this name.
        self._unanswered_joins = 0
        self._refusal: PermanentError | None = None
        self._join_due = asyncio.Event()
        self._changed = asyncio.Event()
        self._settled = asyncio.Event()  # a join has ended
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def assignment(self) -> Assignment:
        return self._assignment

    async def start(self) -> None:
        """Join, and go on joining. `TransientError` while no broker keeps the group, `PermanentError` if it refuses us."""
        await self._link.prepare()
        self._join_due.set()
        self._tasks = [
            asyncio.create_task(self._join_until_gone(), name=f"{self._name} joins"),
            asyncio.create_task(self._beat_until_gone(), name=f"{self._name} heartbeats"),
        ]
        with contextlib.suppress(TransientError):  # a member that died is waited for; joining goes on meanwhile
            deadline = asyncio.get_running_loop().time() + self._settings.request_timeout_seconds
            while self._generation == 0 and self._refusal is None:
                await self._settle(deadline)
        if self._refusal is not None:
            await self.leave()
            raise self._refusal

    async def next_assignment(self, *, timeout_seconds: float) -> Assignment | None:
        self.release()
        deadline = asyncio.get_running_loop().time() + timeout_seconds
        while self._owned == self._held:
            self._raise_what_ended_it()
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
        self._unreleased = frozenset()
        if self._asked_back.keys() - self._still_acted_on():
            self._join_due.set()

    def alive(self) -> bool:
        if self._gone or self._lost:
            return False
        now = self._clock.monotonic()
        heard = now - self._answered_at < self._settings.session_timeout_seconds
        return heard and now - self._settled_at < self._link.rebalance_seconds

    async def committed(self) -> Mapping[int, int]:
        partitions = sorted(self._assignment.partitions)
        return await self._link.committed(partitions) if partitions else {}

    async def commit(self, offsets: Mapping[int, int], *, generation: int) -> None:
        deadline = asyncio.get_running_loop().time() + self._settings.request_timeout_seconds
        while offsets:
            self._check(offsets, generation)
            seat, began = self._seat, self._round
            try:
                await self._link.commit(seat, offsets)
                return
            except Lost as lost:
                passing = lost.standing is Standing.REJOIN or self._round != began or self._joining
                if not passing or self._gone:
                    raise self._stale(offsets, generation) from lost
            # The group comes together just now; whether these are still this member's own shows when it has.
            await self._settle(deadline)

    async def leave(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        was_member, self._gone = not self._gone, True
        self._tell(_NOTHING, _NOTHING)
        if was_member:
            with contextlib.suppress(TransientError, PermanentError, TimeoutError):  # else the session timeout says it
                async with asyncio.timeout(_LEAVE_SECONDS_MAX):
                    await self._link.leave(self._seat)
        await self._link.close()

    @property
    def _joining(self) -> bool:
        return self._round % 2 == 1

    def _raise_what_ended_it(self) -> None:
        if self._refusal is not None:
            raise self._refusal
        for task in self._tasks:
            if task.done() and not task.cancelled():
                task.result()  # only where this code is wrong: then it ends loudly

    def _still_acted_on(self) -> set[int]:
        """What the caller was told of and has not given up: all else that is asked back is released at once."""
        return self._held.keys() | self._unreleased

    def _claims(self) -> Claims:
        acted_on = self._still_acted_on()
        return Claims(
            held=self._owned,
            releasing={partition: since for partition, since in self._asked_back.items() if partition in acted_on},
        )

    def _check(self, offsets: Mapping[int, int], generation: int) -> None:
        claims = self._claims()
        for partition in offsets:
            since = claims.held.get(partition, claims.releasing.get(partition))
            if self._gone or since is None or since > generation:
                raise self._stale(offsets, generation)

    def _stale(self, offsets: Mapping[int, int], generation: int) -> StaleGenerationError:
        return StaleGenerationError(
            f"{self._member_id} does not own {sorted(offsets)} of {self._name} under generation {generation} any more"
        )

    async def _settle(self, deadline: float) -> None:
        self._settled.clear()
        try:
            async with asyncio.timeout_at(deadline):
                await self._settled.wait()
        except TimeoutError:
            raise TransientError(f"{self._name} is coming together anew; offsets are not committed") from None

    # Joining

    async def _join_until_gone(self) -> None:
        while not self._gone:
            await self._join_due.wait()
            self._join_due.clear()
            try:
                if not self._gone:
                    await self._join()
            except TransientError as error:
                _log.info("%s cannot be joined just now: %s", self._name, error)
                self._join_due.set()
                await asyncio.sleep(_PAUSE_SECONDS)
            except PermanentError as error:
                _log.error("%s cannot be joined: %s", self._name, error)
                self._refusal = error
                self._changed.set()
                self._settled.set()
                self._join_due.set()
                await asyncio.sleep(self._settings.session_timeout_seconds)

    async def _join(self) -> None:
        if self._clock.monotonic() - self._settled_at >= self._link.rebalance_seconds:
            self._let_go()  # the others may have gone on without this one
        self._round += 1
        sent_at = self._clock.monotonic()
        try:
            self._seat, parts = await self._link.join(self._seat, self._claims())
            part = await self._link.sync(self._seat, parts)
        except Lost as lost:
            self._seen_as(lost.standing)
            return
        except TransientError:
            self._unanswered_joins += 1
            raise
        finally:
            self._round += 1
            self._settled.set()
        self._refusal = None
        self._answered_at = max(self._answered_at, sent_at)
        self._settled_at = max(self._settled_at, sent_at)
        self._generation = self._seat.generation
        self._take(part)

    def _take(self, part: Part) -> None:
        self._tell(part.owned, part.asked_back)
        if self._asked_back.keys() - self._still_acted_on():
            self._join_due.set()

    def _tell(self, owned: Mapping[int, int], asked_back: Mapping[int, int]) -> None:
        self._owned = owned
        self._asked_back = asked_back
        if owned != self._held:
            self._changed.set()

    def _let_go(self) -> None:
        """Claims end here; nobody who owns these by now is disturbed."""
        self._lost = self._lost or bool(self._held)
        self._tell(_NOTHING, _NOTHING)

    def _seen_as(self, standing: Standing) -> None:
        """What the coordinator thinks of the present seat."""
        if standing is Standing.REPLACED and self._unanswered_joins:
            # By a round of its own, as `__init__` tells: nobody else has come.
            self._unanswered_joins -= 1
            _log.warning("%s: %s was replaced by a round of its own that went unanswered", self._name, self._member_id)
            standing = Standing.EXPIRED
        elif standing is Standing.REPLACED:
            _log.error(
                "%s: another process joined as %s; this one acts on nothing any more", self._name, self._member_id
            )
        if standing is Standing.REJOIN:
            self._join_due.set()
        elif standing is not Standing.MEMBER:
            self._let_go()
            self._gone = standing is Standing.REPLACED
            if standing is Standing.EXPIRED:
                self._seat = _NOWHERE
            self._join_due.set()

    # Heartbeats

    async def _beat_until_gone(self) -> None:
        unanswered = 0
        while not self._gone:
            await asyncio.sleep(self._settings.heartbeat_interval_seconds)
            seat, began, sent_at = self._seat, self._round, self._clock.monotonic()
            if not seat.member:
                continue
            try:
                standing = await self._link.heartbeat(seat)
            except (TransientError, PermanentError) as error:
                unanswered += 1
                _log.info("%s: heartbeat %d unanswered: %s", self._name, unanswered, error)
                if self._joining and unanswered > 1:
                    await self._link.break_off_joining()
                continue
            unanswered = 0
            if standing in (Standing.MEMBER, Standing.REJOIN):
                self._answered_at = sent_at
            if standing is Standing.MEMBER:
                self._settled_at = sent_at
            elif standing is Standing.REJOIN:
                if not self._joining and self._round == began:
                    self._join_due.set()
            elif not self._joining and self._round == began and self._seat == seat:
                self._seen_as(standing)
