"""Why an event matches a pattern, or does not: each field with what it asked for and what it found.

The verdict comes from the same functions that decide, so an explanation never disagrees with the matcher.
Next: nothing; this is what the tester and the console show.
"""

import json
from dataclasses import dataclass

from shared.matching.evaluate import field_holds, stuck_at
from shared.matching.event import EventFields
from shared.matching.fields import Leaf, leaves_at
from shared.matching.numbers import LossyNumber
from shared.matching.pattern import Alternative, FieldPattern, Pattern

ACTUAL_VALUES_MAX = 20
_ACTUAL_CHARACTERS_MAX = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class ClauseExplanation:
    """One field: the entries it expected (as JSON text), the values found (JSON texts, at most 20), the verdict.

    `pointer` is the field's place in the pattern; `reason` is a sentence, empty where the clause holds.
    """

    path: str
    pointer: str
    expected: str
    actual: tuple[str, ...]
    holds: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AlternativeExplanation:
    """One branch that `$or` unfolds to; `inconsistent` names the array where its fields hold in different elements."""

    holds: bool
    clauses: tuple[ClauseExplanation, ...]
    inconsistent: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The verdict, every alternative, and the first clause that failed in the alternative that came nearest."""

    matches: bool
    alternatives: tuple[AlternativeExplanation, ...]
    first_failed: ClauseExplanation | None

    @property
    def reason(self) -> str:
        """One sentence for people."""
        if self.matches:
            return "the event matches"
        if self.first_failed is not None:
            return f"{self.first_failed.path}: {self.first_failed.reason}"
        return "no choice of array elements satisfies all fields"


def explain(pattern: Pattern, event: EventFields) -> Explanation:
    """The verdict on an event with its reasons."""
    alternatives = tuple(_explain_alternative(alternative, event) for alternative in pattern.alternatives)
    if any(alternative.holds for alternative in alternatives):
        return Explanation(matches=True, alternatives=alternatives, first_failed=None)
    nearest = min(alternatives, key=lambda alternative: sum(not clause.holds for clause in alternative.clauses))
    failed = next((clause for clause in nearest.clauses if not clause.holds), None)
    return Explanation(matches=False, alternatives=alternatives, first_failed=failed)


def _explain_alternative(alternative: Alternative, event: EventFields) -> AlternativeExplanation:
    array_names: dict[int, str] = {}
    found = [(field, leaves_at(event, field.path, array_names)) for field in alternative.fields]
    verdicts = [field_holds(field, leaves) for field, leaves in found]
    reasons = ["" if holds else _why_not(field, leaves) for (field, leaves), holds in zip(found, verdicts, strict=True)]
    inconsistent: str | None = None
    stuck = stuck_at(found) if all(verdicts) else None
    if stuck is not None:
        inconsistent = _shared_array(found, stuck, array_names)
        verdicts[stuck] = False
        reasons[stuck] = (
            f"held by different elements of {inconsistent} than the fields before it"
            if inconsistent is not None
            else "a value is there in some element, and absence was asked for"
        )
    clauses = tuple(
        ClauseExplanation(
            path=field.path,
            pointer=field.pointer,
            expected=_json(field.describe()),
            actual=tuple(_json(value) for value, _ in leaves[:ACTUAL_VALUES_MAX]),
            holds=holds,
            reason=reason,
        )
        for (field, leaves), holds, reason in zip(found, verdicts, reasons, strict=True)
    )
    return AlternativeExplanation(holds=all(verdicts), clauses=clauses, inconsistent=inconsistent)


def _why_not(field: FieldPattern, leaves: list[Leaf]) -> str:
    if not leaves:
        return "the event has no value here"
    if field.or_absent and not field.operators:
        return "a value is there, and absence was asked for"
    return "the value is not held" if len(leaves) == 1 else f"none of the {len(leaves)} values is held"


def _shared_array(found: list[tuple[FieldPattern, list[Leaf]]], stuck: int, names: dict[int, str]) -> str | None:
    """The innermost array that the field the search got stuck at shares with a field before it."""
    mine = {array for _, place in found[stuck][1] for array, _ in place}
    before = {array for _, leaves in found[:stuck] for _, place in leaves for array, _ in place}
    shared = sorted((names[array] for array in mine & before), key=lambda name: (name.count("."), name))
    return f"{shared[-1]}[]" if shared else None


def _json(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=_token).encode("utf-8", "replace").decode()
    return text if len(text) <= _ACTUAL_CHARACTERS_MAX else f"{text[:_ACTUAL_CHARACTERS_MAX]}…"


def _token(value: object) -> str:
    return value.token if isinstance(value, LossyNumber) else str(value)
