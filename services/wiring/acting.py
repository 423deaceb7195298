"""The services that follow the log and act on it: matcher, executor, approvals, projector.

Those that act on runs are actors on a follower's fold. Either the projector is among them (`projecting`), or it is elsewhere, and
then the read model's checkpoints are asked for what the fold may let go (`following`).
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from services.approvals.service import Approvals
from services.approvals.settings import ApprovalsSettings
from services.executor.actions import Tools
from services.executor.service import Executor
from services.executor.service.carrying import Carrier
from services.executor.settings import ExecutorSettings
from services.matcher.service import Matcher, Matching
from services.matcher.service.handling import Foresee, Handling
from services.matcher.settings import MatcherSettings
from services.projector.service.projector import Projector
from services.projector.settings import ProjectorSettings
from services.wiring.common import Common, Unsealing
from shared.bus import codec
from shared.bus.topics import EVENTS
from shared.domain.envelope import Event
from shared.runtime.egress import OutgoingClient
from shared.runtime.elsewhere import ProjectedElsewhere
from shared.runtime.former_matches import FormerMatches
from shared.runtime.progress import ProjectionProgress
from shared.runtime.sealing import Sealer
from shared.runtime.settings import RunsSettings, read_settings_of
from shared.runtime.shard import Actor
from shared.runtime.shards import RunsFollower

EMBEDDED_GROUP = "embedded"
"""Of `upshot up`: whoever owns a partition executes, expires and projects it."""
EXECUTOR_GROUP = "executor"
APPROVALS_GROUP = "approvals"
PROJECTOR_GROUP = "projector"


class MatcherShell(Protocol):
    """Either of the matcher's."""

    handling: Handling

    @property
    def alive(self) -> bool:
        """Whether the group answers this member's heartbeats, so that it may act."""

    @property
    def halted(self) -> Mapping[int, str]:
        """Partitions that stand still, and why."""

    async def run(self) -> None:
        """Until cancelled."""


class Matchers:
    """The matcher in two steps: what it matches with listens to the definitions before they are read."""

    def __init__(self, it: Common) -> None:
        self._it = it
        self._settings = read_settings_of(MatcherSettings)
        self.matching = Matching(
            it.definitions.definitions,
            it.catalogue,
            self._settings,
            it.ground.clock,
            partition_count=it.ground.bus.partition_count,
            record_bytes_max=it.ground.bus.record_bytes_max,
        )
        it.definitions.listen(self.matching.definition_changed)

    def matcher(self, *, progress: ProjectionProgress | None = None, foresee: Foresee | None = None) -> MatcherShell:
        """On Kafka the one on Faust, everywhere: all members of a group speak one protocol. `progress`, `foresee`: of whoever
        waits, or folds, in the same process."""
        it = self._it
        shell: Callable[..., MatcherShell] = Matcher
        if it.ground.settings.bus == "kafka":
            from services.matcher.stream import MatcherStream  # takes a while: only who needs Faust imports it
            from shared.bus.adapters.kafka import KafkaSettings

            shell = functools.partial(MatcherStream, kafka=read_settings_of(KafkaSettings))
        return shell(
            it.ground.bus,
            it.definitions,
            self.matching,
            self._settings,
            member_id=it.member_id,
            snapshots=it.ground.readmodel,
            clock=it.ground.clock,
            progress=progress,
            foresee=foresee,
        )


def executor(it: Common, sealer: Sealer, outgoing: OutgoingClient) -> Executor:
    """With all actions there are."""
    bus, clock, settings = it.ground.bus, it.ground.clock, read_settings_of(ExecutorSettings)

    async def publish(event: Event) -> None:
        await bus.append([codec.encode(EVENTS, event)])

    carrier = Carrier(
        bus=bus,
        definitions=it.definitions,
        actions=it.actions,
        tools=Tools(
            outgoing=outgoing,
            unseal=Unsealing(sealer).endpoint_secret,
            publish=publish,
            clock=clock,
            response_bytes_max=settings.response_bytes_max,
            secrets_kept_max=settings.secrets_kept_max,
        ),
        settings=settings,
        clock=clock,
        randomness=it.ground.randomness,
    )
    return Executor(carrier, settings, clock)


def approvals(it: Common) -> Approvals:
    return Approvals(it.ground.bus, read_settings_of(ApprovalsSettings), it.ground.clock)


def projecting(it: Common, progress: ProjectionProgress, *others: Actor, group: str) -> tuple[Projector, RunsFollower]:
    """A projector, and the fold that it and `others` stand on."""
    ground = it.ground

    async def restore_again(partition: int) -> None:
        await follower.restore_again(partition)

    projector = Projector(
        ground.bus, ground.readmodel, progress, ground.clock, read_settings_of(ProjectorSettings), on_lost=restore_again
    )
    settings = read_settings_of(RunsSettings)
    follower = RunsFollower(
        ground.bus,
        ground.readmodel,
        [projector, *others],
        group=group,
        member_id=it.member_id,
        settings=settings,
        may_read=projector.accepting,
        patient=not others,
        former=_former_matches(it, settings),
    )
    return projector, follower


def following(
    it: Common, actors: Sequence[Actor], *, group: str, patient: bool = False
) -> tuple[ProjectedElsewhere, RunsFollower]:
    """A fold whose projector is in another process, and what lets go of what that one has written."""
    ground, settings = it.ground, read_settings_of(RunsSettings)
    elsewhere = ProjectedElsewhere(ground.readmodel.written_by_others, settings)
    follower = RunsFollower(
        ground.bus,
        ground.readmodel,
        [elsewhere, *actors],
        group=group,
        member_id=it.member_id,
        settings=settings,
        may_read=elsewhere.accepting,
        projected_elsewhere=True,
        patient=patient,
        former=_former_matches(it, settings),
    )
    return elsewhere, follower


def _former_matches(it: Common, settings: RunsSettings) -> FormerMatches | None:
    if not settings.former_matches_bytes:
        return None
    return FormerMatches(
        it.ground.readmodel, size_bytes=settings.former_matches_bytes, retry_seconds=settings.retry_seconds
    )
