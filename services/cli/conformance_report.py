"""What every `upshot conformance …` command reports, whatever it checks: counts, and one line per row that differs.

Next: `conformance_patterns.py`, which fills one from the event-pattern corpus.
"""

from dataclasses import dataclass


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
