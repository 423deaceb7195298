"""A workflow's condition explained: the whole condition's verdict, and the first of its conjuncts that is false.

The condition is the one that the matcher evaluates; its conjuncts only say where it was lost. Next: `workflow.py`.
"""

from collections.abc import Mapping

from shared.expressions import Condition, NamedValue, conjuncts_of, values_named
from shared.workflows.check import WORKFLOW_ROOTS
from shared.workflows.event_secrets import EventSecrets
from shared.workflows.explaining.values import ConditionVerdict, Conjunct, Named
from shared.workflows.hiding import HIDDEN, Hiding, cut

_EVENT_ROOT = "event."


def explain_condition(condition: Condition, context: Mapping[str, object], secrets: EventSecrets) -> ConditionVerdict:
    """`context`: `start_context` of this revision and event, as the matcher evaluates it."""
    outcome = condition.evaluate(context)
    parts = [(part, part.evaluate(context)) for part in conjuncts_of(condition, WORKFLOW_ROOTS)]
    shown = []
    deciding: Conjunct | None = None
    for part, verdict in parts:
        conjunct = _conjunct(part, verdict.value, verdict.error, context, secrets)
        shown.append(conjunct)
        # A false conjunct absorbs the errors of the others, so it is what decided; only without one did an error decide.
        decides = not verdict.value and (verdict.error is None) == (outcome.error is None)
        if deciding is None and decides and not outcome.value:
            deciding = conjunct
    if deciding is None and not outcome.value:
        deciding = next((conjunct for conjunct in shown if not conjunct.holds), None)
    if deciding is None and not outcome.value:
        # Each part alone can be evaluated, all of them together cannot.
        deciding = _conjunct(condition, False, outcome.error, context, secrets)
    return ConditionVerdict(
        pointer="#/if",
        holds=outcome.value,
        error=_shown_error(condition, outcome.error, secrets),
        conjuncts=tuple(shown),
        first_failed=deciding,
    )


def _conjunct(
    part: Condition, holds: bool, error: str | None, context: Mapping[str, object], secrets: EventSecrets
) -> Conjunct:
    return Conjunct(
        text=HIDDEN if secrets.hiding.names_secret(part.text) else cut(part.text),
        holds=holds,
        error=_shown_error(part, error, secrets),
        values=tuple(_named(each, secrets.hiding) for each in values_named(part, context)),
    )


def _named(each: NamedValue, hiding: Hiding) -> Named:
    # Names of secrets are asked for in the event's own path: a root is nobody's key.
    path = each.path.removeprefix(_EVENT_ROOT)
    return Named(path=each.path, present=each.present, value=hiding.shown(path, each.value) if each.present else None)


def _shown_error(condition: Condition, error: str | None, secrets: EventSecrets) -> str | None:
    return secrets.error(condition, error) if error is not None else None
