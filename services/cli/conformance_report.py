"""What `upshot conformance …` commands share: how a file's rows are read, and the report: counts, a line per row that differs.

Next: `conformance_patterns.py`, which fills one from the event-pattern corpus.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from shared.domain.errors import Flaw, InvalidInput


@dataclass(frozen=True, slots=True, kw_only=True)
class ConformanceReport:
    """The outcome of one file of cases.

    `reported` counts rows on which the references themselves disagree or where ours is a policy: shown where they
    differ, never held against us. `lines` are `ID: expected X, got Y`, in file order, one per row that differs.
    """

    passed: int
    failed: int
    reported: int
    lines: list[str]

    @property
    def exit_code(self) -> int:
        """1 iff any row failed."""
        return 1 if self.failed else 0

    @property
    def summary(self) -> str:
        """The last line of the command's output."""
        return f"{self.passed} passed, {self.failed} failed, {self.reported} reported"


def read_rows(path: Path) -> Iterator[object]:
    """The rows of a JSON list or of JSON lines, blank lines left out. Raises InvalidInput for a file that is neither."""
    text = path.read_text(encoding="utf-8")
    try:
        if text.lstrip().startswith("["):
            yield from json.loads(text)
            return
        for line in text.splitlines():
            if line.strip():
                yield json.loads(line)
    except ValueError as error:
        raise InvalidInput("The file holds no cases.", [Flaw(pointer="#", detail=str(error))]) from None
