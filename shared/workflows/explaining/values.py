"""What an explanation is: values that are shown as they stand. Whatever is secret in them is hidden already.

Next: `workflow.py`, which makes them; `sentence.py`, which says them to people.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

TriggerKindName = str
"""The keys of the trigger in its document, joined by `+`: `event`, `event+pattern`, `manual`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    """One field that a trigger's pattern names.

    `pointer`: its place in the document; `expected`: what stands there; `actual`: the values found, of which
    `actual_left_out` more are not shown (empty: the event has none there); `reasons`: each way in which it fails, empty
    where it holds. `counted`: it belongs to the branch of `$or` that came nearest, or to no branch.
    """

    pointer: str
    path: str
    expected: object
    expected_in_words: str
    actual: tuple[object, ...]
    actual_left_out: int
    actual_in_words: str
    holds: bool
    reasons: tuple[str, ...]
    counted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """One trigger of the document. `clauses` in the document's order; `held` of `total` counted ones hold.

    `note`: why no clause can say it: no event ever starts it, or what `$or` has too much of is left out. `in_words`: what
    to tell people of it rather than the first clause that failed.
    """

    pointer: str
    kind: TriggerKindName
    holds: bool
    clauses: tuple[Clause, ...]
    held: int
    total: int
    note: str | None = None
    in_words: str | None = None
    window: Clause | None = None
    """The last of `clauses`, where the trigger is about more than one event: asked after the condition."""

    @property
    def first_failed(self) -> Clause | None:
        return next((clause for clause in self.clauses if clause.counted and not clause.holds), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A path that a condition names and what is there; `present` False: nothing."""

    path: str
    present: bool
    value: object


@dataclass(frozen=True, slots=True, kw_only=True)
class Conjunct:
    """One of the parts of a condition that must all hold. `error`: why it could not be evaluated, which counts as false."""

    text: str
    holds: bool
    error: str | None
    values: tuple[Named, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionVerdict:
    """The whole condition's verdict, and where it was lost: `first_failed` is the part that decided it."""

    pointer: str
    holds: bool
    error: str | None
    conjuncts: tuple[Conjunct, ...]
    first_failed: Conjunct | None

    @property
    def held(self) -> int:
        return sum(conjunct.holds for conjunct in self.conjuncts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether one revision's triggers and condition hold for one event. `nearest` is the trigger with the largest share
    of clauses that hold; `broken`: why this revision cannot be used any more, nothing else is then known."""

    matches: bool
    triggers: tuple[Trigger, ...] = ()
    nearest: Trigger | None = None
    condition: ConditionVerdict | None = None
    broken: str | None = None

    @property
    def held(self) -> int:
        """Clauses of the nearest trigger, and parts of the condition, that hold."""
        return (self.nearest.held if self.nearest else 0) + (self.condition.held if self.condition else 0)

    @property
    def total(self) -> int:
        return (self.nearest.total if self.nearest else 0) + (len(self.condition.conjuncts) if self.condition else 0)

    @property
    def share(self) -> float:
        """0 where there is nothing to count, and 1 only where it matches."""
        if self.matches:
            return 1.0
        # Parts of a condition can hold one by one where the whole is too much to evaluate.
        return min(self.held, self.total - 1) / self.total if self.total else 0.0

    @property
    def first_failed(self) -> Clause | Conjunct | None:
        """The first clause, in the document's order, that kept it from matching."""
        if self.matches:
            return None
        failed = self.nearest.first_failed if self.nearest is not None and not self.nearest.holds else None
        of_condition = self.condition.first_failed if self.condition is not None else None
        if failed is not None and self.nearest is not None and failed is self.nearest.window:
            return of_condition or failed
        return failed or of_condition


OutcomeKind = Literal[
    "admitted",
    "skipped",
    "asked",
    "unevaluated",
    "not_matched",
    "undecided",
    "not_yet_created",
    "disabled",
    "archived",
    "superseded",
    "broken",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What the event led to for one workflow, as the log says it.

    `admitted` and `skipped` have a run; `asked`: the run is in the log, its fold is not shown yet; `unevaluated`: the
    event's budget was used up (`reason`); `undecided`: it matches, but no match of the event was found in the log (yet);
    `not_yet_created`, `disabled`, `archived`, `superseded`: it was not live; `broken`: it could not be compiled.
    """

    kind: OutcomeKind
    reason_kind: str | None = None
    reason: str | None = None
    run_id: str | None = None
    run_status: str | None = None


def pointer_parts(pointer: str) -> Sequence[str]:
    """The segments of `#/a/b`, unescaped."""
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.removeprefix("#").split("/")[1:]]
