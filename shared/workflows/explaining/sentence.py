"""One sentence for people on what an event led to for one workflow, and why.

Refund alert: no, data.amount_minor is 900, expected a number > 10000
"""

from typing import Literal

from shared.workflows.explaining.values import Clause, Conjunct, Outcome, Verdict
from shared.workflows.explaining.words import value_in_words
from shared.workflows.hiding import HIDDEN

VALUES_TOLD_MAX = 3


Today = Literal["live", "disabled", "archived"]


def sentence(name: str, revision: int, verdict: Verdict, outcome: Outcome, *, today: Today | None) -> str:
    """`today`: how the workflow is now, where it is explained as it is now; None: as it was."""
    return f"{name}: {_about(revision, verdict, outcome, today)}"


def _about(revision: int, verdict: Verdict, outcome: Outcome, today: Today | None) -> str:
    if today is not None:
        state = f"revision {revision}" if today == "live" else f"revision {revision}, {today}"
        return f"as it is today ({state}) it {_would(verdict)}; {_happened(outcome)}"
    match outcome.kind:
        case "superseded":
            return f"revision {revision} {_would(verdict)}; it was not the one that was live ({outcome.reason})"
        case "not_yet_created":
            return f"no, it did not exist yet; revision {revision} {_would(verdict)}"
        case "disabled" | "archived":
            return f"no, it was {outcome.kind}; by itself it {_would(verdict)}"
    match outcome.kind:
        case "admitted" | "asked" | "skipped":
            return f"yes, {_happened(outcome)}"
        case "unevaluated":
            return f"no, {_happened(outcome)}; by itself it {_would(verdict)}"
        case "undecided":
            return f"it matches, but {_happened(outcome)}"
    if verdict.matches:
        # By the clauses it matches, by the log it did not: both are told, and which of them is so.
        return f"no match is in the log, though by its clauses it {_would(verdict)}"
    return f"no, {why_not(verdict)}"


def _would(verdict: Verdict) -> str:
    return "would have matched" if verdict.matches else f"would not have matched: {why_not(verdict)}"


def _happened(outcome: Outcome) -> str:
    match outcome.kind:
        case "admitted":
            return f"it led to run {outcome.run_id} ({outcome.run_status})"
        case "skipped":
            return f"but run {outcome.run_id} was skipped ({outcome.reason_kind}): {outcome.reason}"
        case "asked":
            return f"it asked for run {outcome.run_id}, which is not shown yet"
        case "unevaluated":
            return f"it was not evaluated ({outcome.reason_kind}): {outcome.reason}"
        case "undecided" | "broken":
            return str(outcome.reason)
        case "not_yet_created":
            return "it did not exist yet then"
        case "disabled" | "archived":
            return f"it was {outcome.kind} then"
    return "no run came of it then"


def why_not(verdict: Verdict) -> str:
    """Why the verdict is no, in a phrase."""
    if verdict.broken is not None:
        return f"it cannot be compiled any more: {verdict.broken}"
    failed = verdict.first_failed
    told = next((each.in_words for each in verdict.triggers if each.in_words is not None), None)
    if told is not None and not isinstance(failed, Conjunct) and not any(each.holds for each in verdict.triggers):
        return told
    match failed:
        case Clause() as clause:
            return _clause(clause)
        case Conjunct() as conjunct:
            return _conjunct(conjunct)
    trigger = verdict.nearest
    return trigger.note if trigger is not None and trigger.note else "no event starts it"


def _clause(clause: Clause) -> str:
    if clause.reasons and clause.actual and clause.reasons[0].startswith("held by"):
        return f"{clause.path} is {clause.reasons[0]}"
    return f"{clause.path} {clause.actual_in_words}, expected {clause.expected_in_words}"


def _conjunct(conjunct: Conjunct) -> str:
    told = "; ".join(
        f"{each.path} is {value_in_words(each.value) if each.present else 'absent'}"
        for each in conjunct.values[:VALUES_TOLD_MAX]
    )
    subject = "a part of its condition that is hidden" if conjunct.text == HIDDEN else conjunct.text
    if conjunct.error is not None:
        return f"{subject} could not be evaluated: {conjunct.error}"
    return f"{subject} is false" + (f", as {told}" if told else "")
