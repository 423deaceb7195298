"""A compose file as the engine would read it: anchors merged, `${NAME}`, `${NAME:-default}` and `${NAME:?why}` filled in."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

_VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ComposeFile:
    """`document` is what the file says, before anything is filled in."""

    path: Path
    document: Mapping[str, Any]

    @property
    def services(self) -> Mapping[str, Mapping[str, Any]]:
        found: Mapping[str, Mapping[str, Any]] = self.document["services"]
        return found

    @property
    def asked(self) -> set[str]:
        """Variables that whoever starts it must choose."""
        return {match[1] for match in _VARIABLE.finditer(str(self.document)) if match[2] == "?"}

    def environment(self, service: str, given: Mapping[str, str]) -> dict[str, str]:
        """Of one service's container, where `given` is the environment of whoever starts it. KeyError: one that is asked
        for is missing."""

        def fill(match: re.Match[str]) -> str:
            name, kind, default = match[1], match[2], match[3]
            if kind == "?":
                return given[name]
            return given.get(name) or (default if kind == "-" else "")

        written: Mapping[str, str] = self.services[service].get("environment", {})
        return {name: _VARIABLE.sub(fill, text) for name, text in written.items()}

    def build_context(self, service: str) -> Path:
        """The folder that an image is built from."""
        context: str = self.services[service]["build"]["context"]
        return (self.path.parent / context).resolve()


def read_compose(path: Path) -> ComposeFile:
    return ComposeFile(path=path, document=yaml.safe_load(path.read_text(encoding="utf-8")))
