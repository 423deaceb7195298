"""How large a regular expression is once its counted repetitions are written out.

That many states its matcher may have to step through at every character: `(.{1,500}){2}` has a thousand, and takes five
seconds for a text of 250,000. One pass over the pattern, which the library has accepted.
"""

import re
from typing import Final

_REPETITION: Final = re.compile(r"\{(\d+)(,)?(\d*)\}")
_ESCAPE_OR_CLASS: Final = re.compile(
    r"\\(?:(?P<unicode>[pP](?:\{[^}]*\}|.))|x\{[^}]*\}|.)|\[\^?\]?(?:\[:[^\]]*:\]|\\.|[^\]\\])*\]", re.DOTALL
)
_OPERATORS: Final = frozenset(".[(\\*+?{")
_UNICODE_CLASS_STATES: Final = 32
_SIZE_MAX: Final = 10**9


def regex_size(pattern: str) -> int:
    """In states, about. A pattern that only spells texts out is 0: its matcher never has to follow two ways at once."""
    if _OPERATORS.isdisjoint(pattern.removeprefix("(?i)")):
        return 0
    groups: list[int] = []
    size = last = at = 0
    while at < len(pattern):
        found: re.Match[str] | None
        if pattern[at] == "(":
            groups.append(size)
            size = last = 0
            at += 1
        elif pattern[at] == ")" and groups:
            last = size
            size += groups.pop()
            at += 1
        elif found := _REPETITION.match(pattern, at):
            low, open_ended, high = found.groups()
            times = max(int(high) if high else int(low) + bool(open_ended), 1)
            size = min(size + last * (times - 1), _SIZE_MAX)
            last = min(last * times, _SIZE_MAX)
            at = found.end()
        elif found := _ESCAPE_OR_CLASS.match(pattern, at):
            last = _UNICODE_CLASS_STATES if found["unicode"] else 1
            size += last
            at = found.end()
        else:
            last = last if pattern[at] in "*+?" else 1
            size += 1
            at += 1
    return max(size + sum(groups), 1)
