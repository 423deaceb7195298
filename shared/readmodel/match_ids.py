"""A page of the ids of all matches that led to runs."""

from collections.abc import Mapping
from typing import NamedTuple


class MatchIds(NamedTuple):
    """As of one instant."""

    packed: bytes
    """In their order, 16 bytes each, one for each run; empty at the end."""
    reached: Mapping[int, int]
    """How far each partition of the runs is projected."""
