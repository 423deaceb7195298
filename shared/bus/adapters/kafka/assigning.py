"""Who owns which partition, as members of a Kafka group tell each other; pure.

Kafka's coordinator only brings members together: at each join every member says what it holds, one of them decides by
the plan that all adapters share (`shared/bus/groups.py`), and each is told its part. So what Kafka calls a rebalance
takes nothing away from anybody: a member keeps what it is told to keep, and gives up what it is asked for by joining again
without it. Two that claim the same partition (one slept) cannot both be right: the later claim stands.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from shared.bus.groups import Share, plan

PROTOCOL = "upshot-1"
"""The name under which members find that they understand each other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What a member says when it joins: partition → generation since which it holds it. `releasing` was asked back."""

    held: Mapping[int, int] = field(default_factory=dict)
    releasing: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What a member is told: what it owns, since when, and what it is to release."""

    owned: Mapping[int, int] = field(default_factory=dict)
    asked_back: Mapping[int, int] = field(default_factory=dict)


def assigned(members: Mapping[str, Claims], partition_count: int, generation: int) -> Mapping[str, Part]:
    """Each member's part from `generation` on."""
    shares = {partition: Share(None, 0, False) for partition in range(partition_count)}
    for member, claims in sorted(members.items()):
        for claimed, revoking in ((claims.held, False), (claims.releasing, True)):
            for partition, since in claimed.items():
                if partition in shares and (shares[partition].owner is None or since > shares[partition].since):
                    shares[partition] = Share(member, since, revoking)
    step = plan(members, shares)
    owned: dict[str, dict[int, int]] = {member: {} for member in members}
    asked_back: dict[str, dict[int, int]] = {member: {} for member in members}
    for partition, share in shares.items():
        if partition in step.assign:
            owned[step.assign[partition]][partition] = generation
        elif share.owner is not None:
            told = asked_back if share.revoking or partition in step.revoke else owned
            told[share.owner][partition] = share.since
    return {member: Part(owned=owned[member], asked_back=asked_back[member]) for member in members}


def pack_claims(claims: Claims) -> bytes:
    """For the join's user data."""
    return _packed(held=claims.held, releasing=claims.releasing)


def unpack_claims(data: bytes) -> Claims:
    """The reverse; ValueError for anything else."""
    held, releasing = _unpacked(data, "held", "releasing")
    return Claims(held=held, releasing=releasing)


def pack_part(part: Part) -> bytes:
    """For the assignment's user data."""
    return _packed(owned=part.owned, asked_back=part.asked_back)


def unpack_part(data: bytes) -> Part:
    """The reverse; ValueError for anything else."""
    owned, asked_back = _unpacked(data, "owned", "asked_back")
    return Part(owned=owned, asked_back=asked_back)


def _packed(**named: Mapping[int, int]) -> bytes:
    return json.dumps(named, separators=(",", ":")).encode()


def _unpacked(data: bytes, *names: str) -> list[dict[int, int]]:
    found = json.loads(data)
    try:
        return [{int(partition): int(since) for partition, since in found[name].items()} for name in names]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not what members tell each other: {data[:200]!r}") from error
