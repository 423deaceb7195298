"""Why an event matches a pattern, or does not: each field with what it asked for and what it found.

The verdict comes from the same functions that decide, so an explanation never disagrees with the matcher.
Next: `shared/workflows/explaining`, which says it of a workflow's triggers, in the words of its document.
"""

import json
from dataclasses import dataclass, replace

from shared.matching.evaluate import field_holds, stuck_at
from shared.matching.event import EventFields
from shared.matching.fields import Leaf, leaves_at
from shared.matching.numbers import LossyNumber
from shared.matching.pattern import Alternative, FieldPattern, Pattern

ACTUAL_VALUES_MAX = 20
_ACTUAL_CHARACTERS_MAX = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class ClauseExplanation:
    """One field, the values found (at most 20 of `found`), the verdict.

    `reason` is a sentence, empty where the clause holds. `held_apart`: it holds alone, but in no choice of array elements
    that the fields before it leave.
    """

    field: FieldPattern
    values: tuple[object, ...]
    found: int
    holds: bool
    reason: str
    held_apart: bool = False

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
    clause that failed in it."""

    matches: bool
    alternatives: tuple[AlternativeExplanation, ...]
    nearest: AlternativeExplanation
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
    looking = _Looking(event)
    alternatives = tuple(looking.explain_alternative(alternative) for alternative in pattern.alternatives)
    nearest = min(alternatives, key=lambda each: (not each.holds, sum(not clause.holds for clause in each.clauses)))
    if nearest.holds:
        return Explanation(matches=True, alternatives=alternatives, nearest=nearest, first_failed=None)
    failed = next((clause for clause in nearest.clauses if not clause.holds), None)
    return Explanation(matches=False, alternatives=alternatives, nearest=nearest, first_failed=failed)


class _Looking:
    """Looks at each field once, in however many alternatives it stands: `$or` copies what is beside it."""

    def __init__(self, event: EventFields) -> None:
        self._event = event
        self._array_names: dict[int, str] = {}
        self._seen: dict[int, tuple[list[Leaf], ClauseExplanation]] = {}

    def explain_alternative(self, alternative: Alternative) -> AlternativeExplanation:
        looked = [self._look(field) for field in alternative.fields]
        clauses = [clause for _, clause in looked]
        inconsistent: str | None = None
        if all(clause.holds for clause in clauses):
            found = [(field, leaves) for field, (leaves, _) in zip(alternative.fields, looked, strict=True)]
            stuck = stuck_at(found)
            if stuck is not None:
                inconsistent = _shared_array(found, stuck, self._array_names)
                reason = (
                    f"held by different elements of {inconsistent} than the fields before it"
                    if inconsistent is not None
                    else "a value is there in some element, and absence was asked for"
                )
                clauses[stuck] = replace(clauses[stuck], holds=False, reason=reason, held_apart=True)
        holds = all(clause.holds for clause in clauses)
        return AlternativeExplanation(holds=holds, clauses=tuple(clauses), inconsistent=inconsistent)

    def _look(self, field: FieldPattern) -> tuple[list[Leaf], ClauseExplanation]:
        known = self._seen.get(id(field))
        if known is None:
            leaves = leaves_at(self._event, field.path, self._array_names)
            holds = field_holds(field, leaves)
            clause = ClauseExplanation(
                field=field,
                values=tuple(value for value, _ in leaves[:ACTUAL_VALUES_MAX]),
                found=len(leaves),
                holds=holds,
                reason="" if holds else _why_not(field, leaves),
            )
            known = self._seen[id(field)] = (leaves, clause)
        return known


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
