"""The compiled kernel of matching, where this machine could build it; without it everything works, in Python alone.

Two things in C: a scan of an event's text for what the parser may have lost, and an index of rules made of common
operators. Guarantee: with it and without it the answers are the same.
Next: `encode.py`, what the index is told; `store.h`, how it is made; `scripts/kernel.py` compiles it.
"""

from typing import Any, Final

CONTRACT: Final = 2  # as module.c's: a kernel of another contract is none

try:
    from shared.matching.native import _kernel
except ImportError:
    IS_THERE = False
else:
    IS_THERE = _kernel.CONTRACT == CONTRACT

if IS_THERE:
    from shared.matching.native._kernel import BUILT_FROM, Index, Reader, is_lossless


def new_index() -> "Index[Any] | None":  # Any: whatever rules are known by
    """An empty index; None where there is no kernel."""
    return Index() if IS_THERE else None


__all__ = ["BUILT_FROM", "IS_THERE", "Index", "Reader", "is_lossless", "new_index"]
