"""What one rendering of a template may use up, and the meter that counts it.

Guarantee: every filter and loop asks the meter before it makes something, so no template outruns these limits by more
than one small step.
Next: `filters/`, whose every function takes the meter first.
"""

from dataclasses import dataclass
from typing import Final, NoReturn


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateLimits:
    """Per rendering of one document, unless said otherwise."""

    template_characters_max: int = 16_384  # of one string leaf
    document_depth_max: int = 64
    output_bytes_max: int = 262_144
    together_bytes_max: int = 1_048_576  # of the output of several documents that share a meter
    text_characters_max: int = 262_144  # of what one filter makes
    list_items_max: int = 10_000  # of what one filter makes or takes
    range_items_max: int = 1_000
    loop_iterations_max: int = 10_000  # of all loops together
    block_nesting_max: int = 10
    integer_magnitude_max: int = 10**30
    work_max: int = 16_000_000  # characters touched; an item of a list counts as 16


LIMITS: Final = TemplateLimits()
_CHARACTERS_PER_ITEM: Final = 16


class RenderProblem(Exception):
    """Why a template can't be rendered; `templates.py` adds where."""


class TooMuchTogether(Exception):
    """Documents that share a meter are together more than it allows; which of them ran out says nothing about it."""


@dataclass(slots=True)
class Meter:
    """Counts down over one rendering, or over several: see `shared_meter`."""

    work_left: int = LIMITS.work_max
    iterations_left: int = LIMITS.loop_iterations_max
    bytes_left: int = LIMITS.output_bytes_max
    is_shared: bool = False

    def spend(self, characters: int) -> None:
        self.work_left -= characters
        if self.work_left < 0:
            self._refuse("the template does too much work: shorten its loops or the text in them")

    def text(self, characters: int) -> None:
        """Called with the length of a text about to be made."""
        if characters > LIMITS.text_characters_max:
            raise RenderProblem(f"a text would have {characters} characters; at most {LIMITS.text_characters_max}")
        self.spend(characters)

    def items(self, count: int) -> None:
        """Called with the length of a list about to be made or walked."""
        if count > LIMITS.list_items_max:
            raise RenderProblem(f"a list of {count} items; at most {LIMITS.list_items_max}")
        self.spend(count * _CHARACTERS_PER_ITEM)

    def iterate(self, rounds: int) -> None:
        """Called before a loop starts."""
        self.iterations_left -= rounds
        if self.iterations_left < 0:
            self._refuse(f"its loops run more than {LIMITS.loop_iterations_max} rounds")

    def put_out(self, size: int) -> None:
        """Called with the bytes of each value that goes into the document."""
        self.bytes_left -= size
        if self.bytes_left < 0:
            most = LIMITS.together_bytes_max if self.is_shared else LIMITS.output_bytes_max
            self._refuse(f"the output is longer than {most} bytes")

    def _refuse(self, detail: str) -> NoReturn:
        raise TooMuchTogether(f"rendered together: {detail}") if self.is_shared else RenderProblem(detail)

    def weigh(self, value: object, depth: int = 0) -> None:
        """Spends what walking all of a JSON value costs."""
        if depth > LIMITS.document_depth_max * 2:
            raise RenderProblem("a value is nested too deeply")
        if isinstance(value, str):
            self.spend(_CHARACTERS_PER_ITEM + len(value))
        elif isinstance(value, dict):
            self.spend(_CHARACTERS_PER_ITEM * len(value))
            for below in value.values():
                self.weigh(below, depth + 1)
        elif isinstance(value, list | tuple):
            self.spend(_CHARACTERS_PER_ITEM * len(value))
            for below in value:
                self.weigh(below, depth + 1)
        else:
            self.spend(_CHARACTERS_PER_ITEM)


def shared_meter() -> Meter:
    """For documents that are rendered one after the other for one purpose: all of them may take as much time as one."""
    return Meter(bytes_left=LIMITS.together_bytes_max, is_shared=True)
