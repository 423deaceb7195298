"""The loop over the bus port: a member of the group `matcher` on `upshot.events`."""

import asyncio
import logging
from collections.abc import Mapping

from services.matcher.service.handling import Foresee, Handling
from services.matcher.service.matching import Matching
from services.matcher.service.remembering import WindowSnapshots
from services.matcher.settings import MatcherSettings
from shared.bus.port import Bus, Membership, PartitionUnreadable, Reader
from shared.bus.topics import EVENTS
from shared.domain.clock import Clock
from shared.domain.errors import TransientError
from shared.runtime.definitions import DefinitionsFollower
from shared.runtime.progress import ProjectionProgress

log = logging.getLogger(__name__)

GROUP = "matcher"
"""On `upshot.events`. What it has committed is matched, and what that led to is in the log."""


class Matcher:
    """Matches the events of the partitions that this process owns, until cancelled."""

    def __init__(
        self,
        bus: Bus,
        definitions: DefinitionsFollower,
        matching: Matching,
        settings: MatcherSettings,
        *,
        member_id: str,
        snapshots: WindowSnapshots,
        clock: Clock,
        progress: ProjectionProgress | None = None,
        foresee: Foresee | None = None,
    ) -> None:
        """`progress` and `foresee`: as `Handling` tells."""
        self._bus = bus
        self._settings = settings
        self._member_id = member_id
        self.handling = Handling(
            bus, definitions, matching, settings, snapshots=snapshots, clock=clock, progress=progress, foresee=foresee
        )

        self._passed: Mapping[int, int] = {}
        self._unreadable: dict[int, str] = {}
        self._membership: Membership | None = None

    @property
    def alive(self) -> bool:
        """Whether the group answers this member's heartbeats, so that it may act."""
        return self._membership is None or self._membership.alive()

    @property
    def halted(self) -> Mapping[int, str]:
        """Partitions that stand still, and why."""
        return {**self.handling.halted, **self._unreadable}

    async def run(self) -> None:
        membership = self._membership = await self._bus.join(GROUP, EVENTS, member_id=self._member_id)
        reader = self._bus.reader(EVENTS)
        following = asyncio.create_task(self.handling.follow(membership, reader), name="matcher-assignment")
        try:
            while True:
                if following.done():
                    following.result()
                await self._match_once(membership, reader)
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            await self.handling.commit(membership)
            await membership.leave()
            await reader.close()

    def _note_passed(self, reader: Reader, positions: Mapping[int, int]) -> None:
        """Offsets that hold nothing for anybody (a transaction's marker) are done with, too: lag goes back to 0."""
        current = reader.positions()
        for partition, at in positions.items():
            # Another position by now: taken away, or halted in the middle of the batch.
            if current.get(partition) == at and self._passed.get(partition, 0) < at:
                self.handling.note_done(partition, at)
        self._passed = positions

    async def _match_once(self, membership: Membership, reader: Reader) -> None:
        try:
            batches = await reader.poll(
                timeout_seconds=self.handling.patience(), records_max=self._settings.batch_records_max
            )
        except PartitionUnreadable as error:  # the reader has nothing else to give; it is asked again
            for partition in error.partitions:
                if self._unreadable.get(partition) != str(error):
                    log.critical("nothing of partition %s is matched: %s", partition, error)
                self._unreadable[partition] = str(error)
            await asyncio.sleep(self._settings.retry_seconds)
            return
        except TransientError as error:
            log.warning("events cannot be read just now, trying again: %s", error)
            await asyncio.sleep(self._settings.retry_seconds)
            return
        positions = reader.positions()
        for partition in [each for each in self._unreadable if batches.get(each) or each not in positions]:
            del self._unreadable[partition]
        await self.handling.match(membership, reader, batches)
        self._note_passed(reader, positions)
        await self.handling.act_on_what_is_due(membership, reader)
        if sum(map(len, batches.values())) >= self._settings.busy_records:
            # Under load a moment's wait lets the next batch grow: what a batch costs by itself is paid less often.
            await asyncio.sleep(self._settings.linger_seconds)
