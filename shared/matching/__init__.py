"""The event-pattern kernel, pure: parse a pattern once, read an event once, ask whether it matches and why.

    pattern = parse_pattern(b'{"type": ["order.refunded"], "data": {"amount_minor": [{"numeric": [">", 10000]}]}}')
    event = read_event(raw)            # or event_of(attributes, data), event_from_value(parsed)
    matches(pattern, event); explain(pattern, event)

Start at `parse.py` for the language, `evaluate.py` for its meaning, `index.py` for many patterns at once.
"""

from shared.matching.evaluate import matches
from shared.matching.event import EventFields, event_from_value, event_of, has_duplicate_keys, read_event
from shared.matching.explain import AlternativeExplanation, ClauseExplanation, Explainer, Explanation, explain
from shared.matching.index import PatternIndex
from shared.matching.narrow import narrowed
from shared.matching.parse import parse_pattern
from shared.matching.pattern import Pattern
from shared.matching.work import WORK_MAX, TooMuchWork

__all__ = [
    "WORK_MAX",
    "AlternativeExplanation",
    "ClauseExplanation",
    "EventFields",
    "Explainer",
    "Explanation",
    "Pattern",
    "PatternIndex",
    "TooMuchWork",
    "event_from_value",
    "event_of",
    "explain",
    "has_duplicate_keys",
    "matches",
    "narrowed",
    "parse_pattern",
    "read_event",
]
