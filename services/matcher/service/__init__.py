"""The matcher's shell over the bus port's own loop: fetch, fold definitions up to now, decide, append, then commit.

Guarantees: a workflow that was answered 201 sees every later event, because definitions are folded at least up to where they
ended when the batch's records were appended (`Bus.watermarks`, `as_of`); an offset is committed only after what its record
led to is durable; whoever dies in between derives the same ids again. What cannot be understood becomes a dead letter with
its position and reason.
"""

from services.matcher.service.matcher import Matcher
from services.matcher.service.matching import Matching

__all__ = ["Matcher", "Matching"]
