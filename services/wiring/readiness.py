"""Why a process does not do its part, part by part: what /readyz says."""

from services.matcher.service.handling import Handling
from services.projector.service.projector import Projector
from services.running import Check
from shared.runtime.definitions import DefinitionsFollower
from shared.runtime.shards import RunsFollower

NOT_ASSIGNED = "no partitions are assigned to this process yet"


def follower_check(follower: RunsFollower) -> Check:
    def check() -> list[str]:
        reasons = [] if follower.assigned else [NOT_ASSIGNED]
        restoring = sum(1 for shard in follower.shards.values() if not shard.level)
        if restoring:
            reasons.append(f"{restoring} of {len(follower.shards)} partitions are being restored")
        return [*reasons, *(detail for _, detail in sorted(follower.halted.items()))]

    return check


def definitions_check(definitions: DefinitionsFollower) -> Check:
    return lambda: [detail for _, detail in sorted(definitions.halted.items())]


def projector_check(projector: Projector) -> Check:
    return lambda: [detail for _, detail in sorted(projector.logs.halted.items())]


def matcher_check(handling: Handling) -> Check:
    def check() -> list[str]:
        reasons = [] if handling.assigned else [NOT_ASSIGNED]
        if handling.restoring:
            reasons.append(f"what triggers remember of {len(handling.restoring)} partitions is being restored")
        return reasons

    return check
