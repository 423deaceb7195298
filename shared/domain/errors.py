"""How trouble is told apart: what may pass by itself, what never will, and what the caller must mend.

An expected failure is an event; a broken invariant is an ordinary exception and ends the process.
Next: `shared/runtime/http/boundary.py` turns these into RFC 9457 answers.
"""

from collections.abc import Sequence
from dataclasses import dataclass


class UpshotError(Exception):
    """The root of all that Upshot raises on purpose."""


class TransientError(UpshotError):
    """Trouble outside that may pass by itself; trying again later is right."""

    def __init__(self, detail: str, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(detail)
        self.retry_after_seconds = retry_after_seconds


class PermanentError(UpshotError):
    """Trouble outside that trying again will not mend."""


class StaleGenerationError(UpshotError):
    """A group member acted for partitions that the group has since given to another member."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flaw:
    """One thing wrong with an input: where (`#/steps/1/needs`, an RFC 6901 pointer), what, and how to mend it."""

    pointer: str
    detail: str


class InvalidInput(UpshotError):
    """What the caller sent cannot be used; `flaws` names each place. Nothing of it was taken."""

    def __init__(self, title: str, flaws: Sequence[Flaw] = ()) -> None:
        super().__init__("; ".join([title, *(f"{flaw.pointer}: {flaw.detail}" for flaw in flaws)]))
        self.title = title
        self.flaws = tuple(flaws)
