"""Fenced code in our documents, for the tests that run it. A fence's first words say what it is: ```` ```sh make ````."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
TOP_LEVEL = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md")


@dataclass(frozen=True, slots=True, kw_only=True)
class Snippet:
    """One fence. `kind` is its language with its tag, as `yaml workflow`."""

    document: str
    line: int
    kind: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.document}:{self.line}"


def documents(root: Path) -> list[Path]:
    """Every document of the repository."""
    return [*(root / name for name in TOP_LEVEL), *sorted((root / "docs").rglob("*.md"))]


def snippets(root: Path) -> list[Snippet]:
    """Every fence of every document, in order."""
    return [each for path in documents(root) for each in snippets_in(path, root)]


def snippets_in(path: Path, root: Path) -> Iterator[Snippet]:
    """The fences of one document."""
    content = path.read_text(encoding="utf-8")
    for match in _FENCE.finditer(content):
        line = content.count("\n", 0, match.start()) + 1
        yield Snippet(document=str(path.relative_to(root)), line=line, kind=match["info"].strip(), text=match["text"])
