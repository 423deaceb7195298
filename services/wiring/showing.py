"""What each part of a process shows of itself: why it does not do its part (/readyz), and its numbers (/metrics)."""

from collections import Counter
from functools import partial

from services.approvals.service import Approvals
from services.executor.service import Executor
from services.matcher.service.matcher import GROUP as MATCHER_GROUP
from services.matcher.service.matching import Matching
from services.projector.service.projector import Projector
from services.running import Followed, Running
from services.wiring.acting import MatcherShell
from shared.bus.topics import DEFINITIONS, EVENTS, RUNS
from shared.runtime.definitions import DefinitionsFollower
from shared.runtime.elsewhere import ProjectedElsewhere
from shared.runtime.restoring import RestoreProgress
from shared.runtime.shards import RunsFollower
from shared.telemetry import metrics as catalogue
from shared.telemetry.metrics import Labels, Measure, labels_of

NOT_ASSIGNED = "no partitions are assigned to this process yet"
UNANSWERED = "the log does not answer this process's heartbeats: it acts on nothing"


def show_follower(running: Running, follower: RunsFollower, group: str) -> None:
    """The fold of the runs. Its restores are told in the process's log, too, while they take long."""
    progress = RestoreProgress(lambda: follower.shards, running.ground.clock)

    def check() -> list[str]:
        reasons = [] if follower.assigned else [NOT_ASSIGNED]
        if follower.assigned and not follower.alive:
            reasons.append(UNANSWERED)
        return [*reasons, *progress.sentences(), *(detail for _, detail in sorted(follower.halted.items()))]

    def partitions() -> dict[Labels, float]:
        halted = len(follower.halted)
        restoring = sum(1 for shard in follower.shards.values() if not shard.level and shard.halted is None)
        level = len(follower.shards) - restoring - halted
        counted = {"level": level, "restoring": restoring, "halted": halted}
        return {labels_of(catalogue.PARTITIONS, RUNS, group, state): count for state, count in counted.items()}

    async def positions() -> dict[int, int]:
        return {partition: shard.next for partition, shard in follower.shards.items()}

    running.checks.append(check)
    running.start("restore-progress", progress.run())
    running.followed.append(Followed(RUNS, group, positions))
    metrics = running.ground.metrics
    metrics.show(catalogue.PARTITIONS, partitions)
    metrics.show(catalogue.ALIVE, lambda: {labels_of(catalogue.ALIVE, RUNS, group): float(follower.alive)})
    metrics.show(
        catalogue.RESTORE_REMAINING,
        lambda: {
            labels_of(catalogue.RESTORE_REMAINING, RUNS, group, str(partition)): records
            for partition, records in progress.remaining().items()
        },
    )


def show_definitions(running: Running, definitions: DefinitionsFollower) -> None:
    """The fold of the definitions, begun already: of all of them, in no group. Whoever decides by it may not go on without it."""
    running.checks.append(lambda: [detail for _, detail in sorted(definitions.halted.items())])
    labels = labels_of(catalogue.PARTITIONS, DEFINITIONS, "", "halted")
    running.ground.metrics.show(catalogue.PARTITIONS, lambda: {labels: len(definitions.halted)})
    running.start("definitions", definitions.followed())


def show_projector(running: Running, projector: Projector, follower: RunsFollower, group: str) -> None:
    """Beside the runs it follows two topics more; how far, the checkpoints say."""

    async def checkpoints(topic: str) -> dict[int, int]:
        found = await running.ground.readmodel.next_offsets(topic)
        return {partition: found.get(partition, 0) for partition in follower.shards}

    for topic in (EVENTS, DEFINITIONS):
        running.followed.append(Followed(topic, group, partial(checkpoints, topic)))
    running.checks.append(lambda: [detail for _, detail in sorted(projector.logs.halted.items())])

    def halted() -> dict[Labels, float]:
        counted = Counter(topic for topic, _ in projector.logs.halted)
        return {
            labels_of(catalogue.PARTITIONS, topic, group, "halted"): counted[topic] for topic in (EVENTS, DEFINITIONS)
        }

    metrics = running.ground.metrics
    metrics.show(catalogue.PARTITIONS, halted)
    metrics.show(catalogue.UNWRITTEN_ROWS, lambda: {(): projector.lag.rows})
    metrics.show(catalogue.UNWRITTEN_SECONDS, lambda: {(): projector.lag.seconds})


def show_elsewhere(running: Running, elsewhere: ProjectedElsewhere) -> None:
    running.ground.metrics.show(catalogue.KEPT_IDS, lambda: {(): elsewhere.kept})


def show_executor(running: Running, executor: Executor) -> None:
    def attempts() -> dict[Labels, float]:
        states = {"active": executor.active, "waiting": executor.waiting, "timer": executor.timers}
        return {labels_of(catalogue.ATTEMPTS, state): count for state, count in states.items()}

    running.ground.metrics.show(catalogue.ATTEMPTS, attempts)


def show_approvals(running: Running, approvals: Approvals) -> None:
    running.ground.metrics.show(catalogue.APPROVALS_PENDING, lambda: {(): approvals.pending})


def show_matcher(running: Running, matcher: MatcherShell, matching: Matching) -> None:
    """Its lag is what its group has not committed yet of this member's partitions."""
    handling = matcher.handling

    def check() -> list[str]:
        reasons = [] if handling.assigned else [NOT_ASSIGNED]
        if handling.assigned and not matcher.alive:
            reasons.append(UNANSWERED)
        if handling.restoring:
            reasons.append(f"what triggers remember of {len(handling.restoring)} partitions is being restored")
        return [*reasons, *(detail for _, detail in sorted(matcher.halted.items()))]

    def partitions() -> dict[Labels, float]:
        restoring, halted = len(handling.restoring), len(matcher.halted)
        level = max(0, len(handling.owned) - restoring - halted)
        counted = {"level": level, "restoring": restoring, "halted": halted}
        return {
            labels_of(catalogue.PARTITIONS, EVENTS, MATCHER_GROUP, state): count for state, count in counted.items()
        }

    async def positions() -> dict[int, int]:
        committed = await running.ground.bus.committed(MATCHER_GROUP, EVENTS)
        return {partition: committed.get(partition, 0) for partition in handling.owned}

    running.checks.append(check)
    running.followed.append(Followed(EVENTS, MATCHER_GROUP, positions))
    metrics = running.ground.metrics
    metrics.show(catalogue.PARTITIONS, partitions)
    metrics.show(catalogue.ALIVE, lambda: {labels_of(catalogue.ALIVE, EVENTS, MATCHER_GROUP): float(matcher.alive)})
    for metric, name in (
        (catalogue.EVENTS_MATCHED, "events"),
        (catalogue.MATCHES, "matches"),
        (catalogue.REROUTED, "rerouted"),
        (catalogue.DEAD_LETTERS, "dead_letters"),
    ):
        metrics.show(metric, _count(matching, name))


def _count(matching: Matching, name: str) -> Measure:
    return lambda: {(): matching.counts[name]}
