"""The wildcard language: `*` is any run of characters, none included; `\\*` and `\\\\` are themselves.

Refused: two wildcards in a row, any other escape, more than five wildcards (its cost would no longer be bounded).
Matching is greedy search of the literal pieces, left to right: linear in text times pieces, no backtracking.
Next: `text.py`, whose `Wildcard` operator uses it.
"""

from dataclasses import dataclass

from shared.domain.errors import PermanentError

WILDCARDS_MAX = 5


class WildcardError(PermanentError):
    """A wildcard pattern that is none; says why and how to mend it."""


@dataclass(frozen=True, slots=True)
class WildcardPieces:
    """The literal pieces between the wildcards; n + 1 pieces for n wildcards, the first and last maybe empty."""

    pieces: tuple[str, ...]

    def matches(self, text: str) -> bool:
        """Whether the whole of `text` is described."""
        pieces = self.pieces
        if len(pieces) == 1:
            return text == pieces[0]
        head, tail = pieces[0], pieces[-1]
        if len(text) < len(head) + len(tail) or not text.startswith(head) or not text.endswith(tail):
            return False
        position, end = len(head), len(text) - len(tail)
        for piece in pieces[1:-1]:
            found = text.find(piece, position, end)
            if found < 0:
                return False
            position = found + len(piece)
        return True


def read_wildcard(source: str) -> WildcardPieces:
    """The pieces of a wildcard text; raises `WildcardError`."""
    pieces: list[str] = []
    piece: list[str] = []
    position = 0
    while position < len(source):
        char = source[position]
        following = source[position + 1 : position + 2]
        if char == "*":
            if following == "*":
                raise WildcardError(f"two wildcards in a row at character {position}; one `*` already means any text")
            pieces.append("".join(piece))
            piece = []
        elif char == "\\":
            if following not in ("*", "\\"):
                raise WildcardError(
                    f"a stray backslash at character {position}; write `\\\\` for one, `\\*` for a star"
                )
            piece.append(following)
            position += 1
        else:
            piece.append(char)
        position += 1
    pieces.append("".join(piece))
    if len(pieces) - 1 > WILDCARDS_MAX:
        raise WildcardError(f"{len(pieces) - 1} wildcards; at most {WILDCARDS_MAX} are allowed, name more of the text")
    return WildcardPieces(tuple(pieces))
