"""Upcasters: how a record version that was once shipped is read today, applied by the codec before any fold.

The meaning of a shipped version never changes. A new rule is a new version: its writer states it, and an entry here
turns each older version into the next, so that folds know the newest only.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from shared.domain.envelope import Event

Upcaster = Callable[[Event], Event]
"""Takes an event of one version, gives the same fact in a higher version of its type."""

UPCASTERS: Mapping[tuple[str, int], Upcaster] = MappingProxyType({})
"""By (event type, record version). Every type is at version 1 today."""


def upcast(event: Event, upcasters: Mapping[tuple[str, int], Upcaster] = UPCASTERS) -> Event:
    """The event in the newest version of its type that is known."""
    while upcaster := upcasters.get((event.type, event.version)):
        newer = upcaster(event)
        if newer.version <= event.version:
            raise AssertionError(f"the upcaster of {event.type} version {event.version} does not raise the version")
        event = newer
    return event
