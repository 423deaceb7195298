"""Patterns for tests that draw them at random."""

from collections.abc import Iterable, Mapping

from shared.domain.errors import InvalidInput
from shared.matching import Pattern, parse_pattern


def parsed_patterns(documents: Iterable[Mapping[str, object]]) -> list[Pattern]:
    """Those that may be saved: a range that holds nothing, or a number beyond 2^53 to compare with, is refused."""
    patterns = []
    for document in documents:
        try:
            patterns.append(parse_pattern(document))
        except InvalidInput:
            continue
    return patterns
