"""What an event leads to, cut down to what a record may hold: whoever has most of it stands back, and nobody else waits.

A match carries its workflow's steps, so that a hundred large workflows, or tens of thousands that the budget left out, can
amount to more than the log takes. What does not go in is left unevaluated, by priority, and the record says so. Pure.
"""

from collections.abc import Sequence
from dataclasses import replace

from shared.domain.errors import Flaw, InvalidInput
from shared.domain.json_text import dump_json
from shared.domain.records import EventMatched, Unevaluated
from shared.workflows.left_out import RECORD_BYTES_MAX

OTHERS = Unevaluated(workflow_id="*", reason=RECORD_BYTES_MAX)
"""Stands for all workflows that the record has no room to name."""


def fit(matched: EventMatched, bytes_max: int) -> EventMatched:
    """`matched` with as many of its matches, from the first on, as go into so many bytes of JSON.

    Raises `InvalidInput` where not even the event does.
    """
    if len(dump_json(matched)) <= bytes_max:
        return matched
    bare = replace(matched, matches=(), unevaluated=(OTHERS,))
    left = bytes_max - len(dump_json(bare))
    if left < 0:
        detail = f"it is {-left} bytes too large for the record that would tell what it leads to"
        raise InvalidInput("an event too large to be matched", [Flaw(pointer="#/data", detail=detail)])
    kept, left = _prefix(matched.matches, left)
    out = [Unevaluated(workflow_id=each.workflow_id, reason=RECORD_BYTES_MAX) for each in matched.matches[kept:]]
    out += matched.unevaluated
    named, _ = _prefix(out, left)
    unevaluated = tuple(out[:named]) if named == len(out) else (*out[:named], OTHERS)
    return replace(matched, matches=matched.matches[:kept], unevaluated=unevaluated)


def _prefix(values: Sequence[object], bytes_left: int) -> tuple[int, int]:
    """How many of them, from the first on, go into so many bytes of a JSON array, and how many bytes are left then."""
    for count, value in enumerate(values):
        size = len(dump_json(value)) + 1  # its comma
        if size > bytes_left:
            return count, bytes_left
        bytes_left -= size
    return len(values), bytes_left
