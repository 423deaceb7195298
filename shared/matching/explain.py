"""Why an event matches a pattern, or does not: each field with what it asked for and what it found.

The verdict comes from the same functions that decide, so an explanation never disagrees with the matcher. Looking at every
field of every alternative takes more than deciding does, and has work of its own: what it does not come to is said to be so.
Next: `shared/workflows/explaining`, which says it of a workflow's triggers, in the words of its document.
"""

import json
from dataclasses import dataclass, replace

from shared.matching.evaluate import field_holds, first_matching, stuck_at, verdict
from shared.matching.event import EventFields
from shared.matching.looked import Looked
from shared.matching.numbers import LossyNumber
from shared.matching.pattern import Alternative, FieldPattern, Pattern
from shared.matching.work import WORK_MAX, TooMuchWork, Work

ACTUAL_VALUES_MAX = 20
TOO_MUCH = "to look at all of the event's arrays takes more than one event may cost"
_ACTUAL_CHARACTERS_MAX = 200
_LOOKING_PART = 2
"""Of the work that deciding may cost, the reasons have a half."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClauseExplanation:
    """One field, the values found (at most 20 of `found`), the verdict.

    `reason` is a sentence, empty where the clause holds. `held_apart`: it holds alone, but in no choice of array elements
    that the fields before it leave. `looked_at` False: the event's work was used up before.
    """

    field: FieldPattern
    values: tuple[object, ...]
    found: int
    holds: bool
    reason: str
    held_apart: bool = False
    looked_at: bool = True

    @property
    def path(self) -> str:
        """Keys joined by dots."""
        return self.field.path

    @property
    def pointer(self) -> str:
        """The field's place in the pattern."""
        return self.field.pointer

    @property
    def expected(self) -> str:
        """The field's entries as JSON text."""
        return _json(self.field.describe())

    @property
    def actual(self) -> tuple[str, ...]:
        """`values` as JSON texts, cut where they are long."""
        return tuple(_json(value) for value in self.values)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlternativeExplanation:
    """One branch that `$or` unfolds to; `inconsistent` names the array where its fields hold in different elements."""

    holds: bool
    clauses: tuple[ClauseExplanation, ...]
    inconsistent: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The verdict, every alternative, the one that came nearest (the first that holds, where one does), and the first
    clause that failed in it. `is_open`: whether it matches cannot be told with the work that one event may cost."""

    matches: bool
    alternatives: tuple[AlternativeExplanation, ...]
    nearest: AlternativeExplanation
    first_failed: ClauseExplanation | None
    is_open: bool = False

    @property
    def reason(self) -> str:
        """One sentence for people."""
        if self.matches:
            return "the event matches"
        if self.is_open:
            return TOO_MUCH
        if self.first_failed is not None:
            return f"{self.first_failed.path}: {self.first_failed.reason}"
        return "no choice of array elements satisfies all fields"


class Explainer:
    """Explains patterns of one event, with the work that one event may cost for all of them."""

    def __init__(self, event: EventFields, work_max: int = WORK_MAX) -> None:
        self._deciding = Looked(event, Work(work_max))
        self._looking = _Looking(Looked(event, Work(work_max // _LOOKING_PART)))

    def verdict(self, pattern: Pattern) -> bool | None:
        """Whether the event matches, without reasons. None: it cannot be told any more."""
        return verdict(pattern.alternatives, self._deciding)

    def explain(self, pattern: Pattern) -> Explanation:
        """The verdict with its reasons."""
        matching: Alternative | None = None
        is_open = False
        try:
            matching = first_matching(pattern.alternatives, self._deciding)
        except TooMuchWork:
            is_open = True
        # what matches comes first, while there is work left to say why
        decisive = self._looking.explain_alternative(matching) if matching is not None else None
        alternatives = tuple(
            decisive
            if decisive is not None and alternative is matching
            else self._looking.explain_alternative(alternative)
            for alternative in pattern.alternatives
        )
        nearest = decisive or min(alternatives, key=lambda each: sum(not clause.holds for clause in each.clauses))
        failed = next((clause for clause in nearest.clauses if not clause.holds), None) if decisive is None else None
        return Explanation(
            matches=decisive is not None,
            alternatives=alternatives,
            nearest=nearest,
            first_failed=failed,
            is_open=is_open,
        )


def explain(pattern: Pattern, event: EventFields) -> Explanation:
    """The verdict on an event with its reasons."""
    return Explainer(event).explain(pattern)


class _Looking:
    """Looks at each field once, in however many alternatives it stands: `$or` copies what is beside it."""

    def __init__(self, looked: Looked) -> None:
        self._looked = looked
        self._seen: dict[int, ClauseExplanation] = {}

    def explain_alternative(self, alternative: Alternative) -> AlternativeExplanation:
        clauses = [self._look(field) for field in alternative.fields]
        inconsistent: str | None = None
        if all(clause.holds for clause in clauses):
            try:
                stuck = stuck_at(alternative.fields, self._looked)
            except TooMuchWork:
                clauses[-1] = replace(clauses[-1], holds=False, reason=TOO_MUCH, held_apart=True)
                stuck = None
            if stuck is not None:
                inconsistent = _shared_array(alternative, stuck, self._looked)
                reason = (
                    f"held by different elements of {inconsistent} than the fields before it"
                    if inconsistent is not None
                    else "a value is there in some element, and absence was asked for"
                )
                clauses[stuck] = replace(clauses[stuck], holds=False, reason=reason, held_apart=True)
        holds = all(clause.holds for clause in clauses)
        return AlternativeExplanation(holds=holds, clauses=tuple(clauses), inconsistent=inconsistent)

    def _look(self, field: FieldPattern) -> ClauseExplanation:
        known = self._seen.get(id(field))
        if known is None:
            try:
                known = self._clause(field)
            except TooMuchWork:
                known = ClauseExplanation(
                    field=field, values=(), found=0, holds=False, reason=TOO_MUCH, looked_at=False
                )
            self._seen[id(field)] = known
        return known

    def _clause(self, field: FieldPattern) -> ClauseExplanation:
        values = self._looked.spread(field.path).values
        holds = field_holds(field, self._looked)
        return ClauseExplanation(
            field=field,
            values=tuple(values[:ACTUAL_VALUES_MAX]),
            found=len(values),
            holds=holds,
            reason="" if holds else _why_not(field, len(values)),
        )


def _why_not(field: FieldPattern, found: int) -> str:
    if not found:
        return "the event has no value here"
    if field.or_absent and not field.operators:
        return "a value is there, and absence was asked for"
    return "the value is not held" if found == 1 else f"none of the {found} values is held"


def _shared_array(alternative: Alternative, stuck: int, looked: Looked) -> str | None:
    """The innermost array that the field the search got stuck at shares with a field before it."""
    arrays = [looked.spread(field.path).arrays for field in alternative.fields[: stuck + 1]]
    before: frozenset[int] = frozenset().union(*arrays[:-1])
    shared = sorted(
        (looked.array_names[array] for array in arrays[-1] & before), key=lambda name: (name.count("."), name)
    )
    return f"{shared[-1]}[]" if shared else None


def _json(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=_token).encode("utf-8", "replace").decode()
    return text if len(text) <= _ACTUAL_CHARACTERS_MAX else f"{text[:_ACTUAL_CHARACTERS_MAX]}…"


def _token(value: object) -> str:
    return value.token if isinstance(value, LossyNumber) else str(value)
