"""Case-insensitive comparison as the pattern language defines it: character by character, asymmetric, no locale.

Each character of the **pattern** stands for its lower and its upper form (full mappings: ß stands for ß and SS, ı for
ı and I); the event's text is taken as it is. So pattern `straße` matches `STRASSE` and not the reverse, `k` never
matches the Kelvin sign, and characters outside the Basic Multilingual Plane stand for themselves only. No forms of
one character begin alike, so matching never backtracks.
Next: `text.py`, whose operators use it.
"""

import unicodedata
from dataclasses import dataclass, field

_BMP_MAX = "\uffff"


@dataclass(frozen=True, slots=True)
class CaseVariants:
    """A text of a pattern, ready to be compared without regard to case."""

    text: str
    _lower: str | None = field(init=False, repr=False, compare=False)  # of an ASCII text: the cheap way
    _forms: tuple[tuple[str, str], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        ascii_only = self.text.isascii()
        object.__setattr__(self, "_lower", self.text.lower() if ascii_only else None)
        object.__setattr__(self, "_forms", () if ascii_only else tuple(_forms(char) for char in self.text))

    def equals(self, text: str) -> bool:
        """Whether `text` is one spelling of this one."""
        if self._lower is not None:
            return len(text) == len(self._lower) and text.isascii() and text.lower() == self._lower
        return self._end_of_prefix(text) == len(text)

    def begins(self, text: str) -> bool:
        """Whether `text` begins with one spelling of this one."""
        if self._lower is not None:
            head = text[: len(self._lower)]
            return head.isascii() and head.lower() == self._lower
        return self._end_of_prefix(text) >= 0

    def ends(self, text: str) -> bool:
        """Whether `text` ends with one spelling of this one."""
        if self._lower is not None:
            tail = text[len(text) - len(self._lower) :] if len(self._lower) <= len(text) else ""
            return tail.isascii() and tail.lower() == self._lower
        end = len(text)
        for lower, upper in reversed(self._forms):
            if text.endswith(lower, 0, end):
                end -= len(lower)
            elif text.endswith(upper, 0, end):
                end -= len(upper)
            else:
                return False
        return True

    def _end_of_prefix(self, text: str) -> int:
        position = 0
        for lower, upper in self._forms:
            if text.startswith(lower, position):
                position += len(lower)
            elif text.startswith(upper, position):
                position += len(upper)
            else:
                return -1
        return position


def fold_key(text: str) -> str:
    """Equal for every text that `CaseVariants.equals` could hold to be the same: a key to find candidates by."""
    return unicodedata.normalize("NFD", text.upper().lower().upper())


def _forms(char: str) -> tuple[str, str]:
    if char > _BMP_MAX:
        return char, char
    return char.lower(), char.upper()
