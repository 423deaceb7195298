"""Plug-ins are found, not listed: every module of a package that exports a given name."""

import importlib
import pkgutil
from types import ModuleType


def discover(package: ModuleType, attribute: str) -> list[object]:
    """The `attribute` of every direct submodule of `package` that has it, in the order of the modules' names."""
    found = []
    for module_info in sorted(pkgutil.iter_modules(package.__path__), key=lambda each: each.name):
        module = importlib.import_module(f"{package.__name__}.{module_info.name}")
        if hasattr(module, attribute):
            found.append(getattr(module, attribute))
    return found
