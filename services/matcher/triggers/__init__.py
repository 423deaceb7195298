"""Trigger kinds, one file each: a module here that exports `TRIGGER` is found and offered (`shared/workflows/catalogue.py`
says what it must do). Pure."""

import sys
from collections.abc import Mapping
from typing import cast

from shared.workflows.catalogue import TriggerKind
from shared.workflows.plugins import discover


def discover_triggers() -> Mapping[str, TriggerKind]:
    """Every trigger kind by its key."""
    found = [cast("TriggerKind", each) for each in discover(sys.modules[__name__], "TRIGGER")]  # modules are untyped
    return {kind.key: kind for kind in found}
