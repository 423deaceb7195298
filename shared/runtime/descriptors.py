"""File descriptors: how many this process may have open, and how many of them HTTP connections may take.

Guarantee: whoever opens connections cannot take the descriptors that the log, the database and deliveries need.
"""

import contextlib
import resource

DESCRIPTORS_MAX = 65_536
"""More than this nothing here uses, and some systems promise numbers whose tables alone cost memory."""

DESCRIPTORS_RESERVED = 512
"""For everything but HTTP connections: database, log and its files, deliveries under way, spare ones."""


def raise_descriptor_limit() -> None:
    """Raise the soft limit as far as the hard one lets it, to at most `DESCRIPTORS_MAX`.

    Most systems begin with 1,024, for the sake of programs that still use select().
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _bounded(hard)
    if _bounded(soft) < wanted:
        with contextlib.suppress(OSError, ValueError):  # a system with a lower limit of its own: what holds, holds
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def descriptor_limit() -> int:
    """How many this process may have open now."""
    return _bounded(resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def connections_within(connections_max: int, descriptors: int) -> int:
    """Of `connections_max`, how many HTTP connections so many descriptors allow: the reserve is left, at most half of all."""
    return min(connections_max, max(1, descriptors - DESCRIPTORS_RESERVED, descriptors // 2))


def _bounded(limit: int) -> int:
    return DESCRIPTORS_MAX if limit == resource.RLIM_INFINITY else min(limit, DESCRIPTORS_MAX)
