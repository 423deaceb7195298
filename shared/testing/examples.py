"""How many examples property tests draw. Each run draws new ones, so the suite draws a part and many runs see many.

`UPSHOT_TEST_EXAMPLES=1000 pytest tests/unit` draws ten times what the tests name. `tests/conftest.py` makes this the default of
tests that name nothing.
"""

import os

PERCENT = int(os.environ.get("UPSHOT_TEST_EXAMPLES", "25"))
USUAL = 100
_LEAST = 8


def examples(number: int = USUAL) -> int:
    """The share of `number` that this run draws, at least a few."""
    return max(min(number, _LEAST), number * PERCENT // 100)
