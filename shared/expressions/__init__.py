"""Conditions (CEL), templates (Liquid) and canonical JSON: pure, bounded, without a clock.

Start at `conditions.py` and `templates.py`; the rest are their parts.
"""

from shared.expressions.canonical import canonical_json, sha256_hex
from shared.expressions.conditions import ROOTS, Condition, Outcome, compile_condition

__all__ = ["ROOTS", "Condition", "Outcome", "canonical_json", "compile_condition", "sha256_hex"]
