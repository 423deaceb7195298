"""What a decision on one fact of `upshot.definitions` comes to, before it is anybody's verdict."""

from collections.abc import Mapping
from dataclasses import dataclass

from shared.domain.tenant import Entity


@dataclass(frozen=True, slots=True)
class Answer:
    """`entity`: what has changed, as it stands now; None: nothing."""

    status: int
    body: Mapping[str, object]
    entity: Entity | None = None


def refused(status: int, kind: str, detail: str, **members: object) -> Answer:
    """A problem: nothing has changed."""
    return Answer(status, {"kind": kind, "detail": detail, **members})
