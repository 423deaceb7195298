"""The programs in `scripts/`, which are no part of the packages, as modules."""

import importlib.util
import sys
from types import ModuleType

from shared.testing.warm import REPOSITORY


def script(name: str) -> ModuleType:
    """`scripts/NAME.py`, loaded anew."""
    spec = importlib.util.spec_from_file_location(name, REPOSITORY / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # its dataclasses look there
    spec.loader.exec_module(module)
    return module
