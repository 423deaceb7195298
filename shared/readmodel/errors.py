"""What can be wrong with a read model, for those who write it and restore from it."""

from collections.abc import Collection, Sequence

import asyncpg

from shared.domain.errors import TransientError, UpshotError

AWAY = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # what a connection says that is cut off while a transaction begins on it
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
)
"""How a PostgreSQL that is away, going, coming or at its limits shows itself: trying again is right."""

BROKEN = (
    ConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
)
"""How a pooled connection shows that its server has let go of it: another one may do at once."""


class NotOwner(UpshotError):
    """Checkpoints do not stand where a write began: somebody else owns these (topic, partition). Nothing was written."""

    def __init__(self, places: Sequence[tuple[str, int]]) -> None:
        super().__init__(
            "the checkpoint has moved: " + ", ".join(f"{topic}/{partition}" for topic, partition in places)
        )
        self.places = tuple(places)


class RebuildNeeded(UpshotError):
    """The read model was folded by another version. A start builds one that this version can read, unless it is a later
    one's; `upshot rebuild` does so in any case."""

    def __init__(self, found: int | None, wanted: int) -> None:
        if found is not None and found > wanted:
            mend = "run the version that made it, or go back to this one with `upshot rebuild`"
        else:
            mend = "`upshot up` builds it anew before it serves, `upshot rebuild` without serving"
        super().__init__(f"the read model is of version {found}, this is {wanted}: {mend}")
        self.found = found
        self.wanted = wanted


class ReadModelAway(TransientError):
    """PostgreSQL cannot be reached or broke off; what was being written may or may not have been."""


class ReadModelBusy(TransientError):
    """A tenant's reads wait for each other, longer than it makes sense to wait. Nothing was begun."""


class ReadModelWentAhead(UpshotError):
    """Somebody else has written the read model further than this process has folded, whose own it took these partitions to be:
    restore them. To go on would be to take what is only being folded here for something that has been there before."""

    def __init__(self, partitions: Collection[int]) -> None:
        super().__init__(
            f"somebody else has written the read model of partitions {sorted(partitions)} further than they are folded here: "
            "restore them"
        )
        self.partitions = frozenset(partitions)


class ReadModelWentBack(UpshotError):
    """The read model has lost what this process saw written (PostgreSQL crashed before it flushed): restore anew.

    Projections are committed without waiting for the disk, because the log is the truth. Whoever let go of something
    in memory because it was written must not go on as if it still were.
    """

    def __init__(self, partitions: Collection[int]) -> None:
        super().__init__(
            f"the read model stands behind where it stood in partitions {sorted(partitions)}: restore them"
        )
        self.partitions = frozenset(partitions)
