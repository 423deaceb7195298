"""Which read model this code reads and writes."""

from shared.domain.runs.state import FOLD_VERSION

LAYOUT_VERSION = 3
"""Raised with every change of a generation's tables: tables are never altered, a new generation is built instead."""

MODEL_VERSION = FOLD_VERSION * 1000 + LAYOUT_VERSION
"""What a generation holds, as its pointer and its checkpoints state it (`fold_version`)."""
