"""Who owns which partition: the sticky, cooperative assignment of a consumer group, pure.

A partition moves in two acts: its owner is told to give it up (`revoke`), and once it has, or is dead, somebody below
their fair share is given it (`assign`). So no partition is ever owned twice, and nobody loses more than fairness asks.
Every adapter that keeps groups itself applies the same plan. Next: `adapters/postgres/membership.py`.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Share:
    """One partition in a group: `owner` holds it since generation `since`; `revoking`: told to give it up."""

    owner: str | None
    since: int
    revoking: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """What has to change now: free partitions to give out, and partitions to ask back."""

    assign: Mapping[int, str]
    revoke: frozenset[int]

    def __bool__(self) -> bool:
        return bool(self.assign or self.revoke)


def plan(members: Collection[str], shares: Mapping[int, Share]) -> Plan:
    """The next step towards an even spread over `members`, the live ones. Empty when there is nothing to do.

    Partitions of an owner that is not among `members` count as free. Whoever holds more keeps the odd ones.
    """
    kept: dict[str, list[int]] = {member: [] for member in members}
    free: list[int] = []
    for partition, share in sorted(shares.items()):
        if share.owner is None or share.owner not in kept:
            free.append(partition)
        elif not share.revoking:
            kept[share.owner].append(partition)
    quotas = _quotas(kept, len(shares))
    assign: dict[int, str] = {}
    revoke: set[int] = set()
    waiting = iter(free)
    for member, quota in quotas.items():
        revoke.update(kept[member][quota:])
        for _ in range(quota - len(kept[member])):
            if (found := next(waiting, None)) is None:
                break
            assign[found] = member
    return Plan(assign=assign, revoke=frozenset(revoke))


def _quotas(kept: Mapping[str, list[int]], partition_count: int) -> dict[str, int]:
    if not kept:
        return {}
    base, odd = divmod(partition_count, len(kept))
    ranked = sorted(kept, key=lambda member: (-len(kept[member]), member))
    return {member: base + (rank < odd) for rank, member in enumerate(ranked)}
