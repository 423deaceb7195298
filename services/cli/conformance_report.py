"""What `upshot conformance …` commands share: each row of a file is judged, counted, and shown where it differs.

Next: `conformance_rows.py` for how a file is read, `conformance_patterns.py`, which judges the event-pattern corpus.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from services.cli.conformance_rows import BadRow, Row


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a row expects and what ours made of it, in words. `reported_only`: the references disagree, or ours is a policy."""

    expected: str
    got: str
    agrees: bool
    reported_only: bool


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


def report_on(rows: Iterable[Row | BadRow], judge: Callable[[Row], Verdict | BadRow]) -> ConformanceReport:
    """Every row, in order. One that is no case has failed: `row-N: expected a case, got …`."""
    passed = failed = reported = 0
    lines: list[str] = []
    for number, row in enumerate(rows, 1):
        verdict = row if isinstance(row, BadRow) else _judged(row, judge)
        if isinstance(verdict, BadRow):
            lines.append(f"row-{number}: expected a case, got {verdict.what}")
            failed += 1
            continue
        if not verdict.agrees:
            name = isinstance(row, dict) and row.get("id")
            lines.append(f"{name or f'row-{number}'}: expected {verdict.expected}, got {verdict.got}")
        if verdict.reported_only:
            reported += 1
        elif verdict.agrees:
            passed += 1
        else:
            failed += 1
    return ConformanceReport(passed=passed, failed=failed, reported=reported, lines=lines)


def _judged(row: Row, judge: Callable[[Row], Verdict | BadRow]) -> Verdict | BadRow:
    try:
        return judge(row)
    except RecursionError:  # what can be read may still be too deep to be written out again
        return BadRow("a row that is nested too deeply")
