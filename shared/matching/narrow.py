"""What a pattern demands of some paths alone: a cheap first look at an event of which little has been read yet.

Guarantee: an event that matches the pattern matches the narrowed one, whatever else it holds; so what the narrowed pattern
refuses need not be read any further. The opposite does not hold.
"""

from collections.abc import Collection

from shared.matching.pattern import Alternative, Pattern


def narrowed(pattern: Pattern, paths: Collection[str]) -> Pattern | None:
    """`pattern` with its demands on `paths` only; None where some alternative demands nothing of them."""
    alternatives = [
        Alternative(tuple(field for field in alternative.fields if field.path in paths))
        for alternative in pattern.alternatives
    ]
    if not all(alternative.fields for alternative in alternatives):
        return None
    return Pattern(tuple(dict.fromkeys(alternatives)))
