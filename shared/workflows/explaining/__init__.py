"""Why a workflow was started by an event, and why not: the matcher's own evaluation, told clause by clause. Pure.

Start at `workflow.py` (one revision and one event to a `Verdict`), `values.py` says what that is, `sentence.py` says it
to people. Values that are secret are hidden on the way in (`shared/workflows/hiding.py`; `event_secrets.py` for texts): no
verdict holds them.
"""

from shared.workflows.explaining.sentence import Today, sentence, why_not
from shared.workflows.explaining.values import (
    Clause,
    ConditionVerdict,
    Conjunct,
    Named,
    Outcome,
    OutcomeKind,
    Trigger,
    Verdict,
)
from shared.workflows.explaining.windows import WindowKnown, WindowsKnown, windows_known
from shared.workflows.explaining.workflow import EventSeen, explain_start, see_event

__all__ = [
    "Clause",
    "ConditionVerdict",
    "Conjunct",
    "EventSeen",
    "Named",
    "Outcome",
    "OutcomeKind",
    "Today",
    "Trigger",
    "Verdict",
    "WindowKnown",
    "WindowsKnown",
    "explain_start",
    "see_event",
    "sentence",
    "why_not",
    "windows_known",
]
