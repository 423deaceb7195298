"""Conditions (CEL), templates (Liquid) and canonical JSON: pure, bounded, without a clock.

Start at `conditions.py` and `templates.py`; the rest are their parts.
"""

from shared.expressions.canonical import canonical_json, sha256_hex
from shared.expressions.conditions import ROOTS, Condition, Outcome, compile_condition
from shared.expressions.conjuncts import NamedValue, conjuncts_of, values_named
from shared.expressions.limits import LIMITS, Meter, TemplateLimits, TooMuchTogether, shared_meter
from shared.expressions.template_checks import is_template
from shared.expressions.templates import (
    PartialRender,
    Template,
    TemplateError,
    check_template,
    compile_template,
    render_text,
)

__all__ = [
    "LIMITS",
    "ROOTS",
    "Condition",
    "Meter",
    "NamedValue",
    "Outcome",
    "PartialRender",
    "Template",
    "TemplateError",
    "TemplateLimits",
    "TooMuchTogether",
    "canonical_json",
    "check_template",
    "compile_condition",
    "compile_template",
    "conjuncts_of",
    "is_template",
    "render_text",
    "sha256_hex",
    "shared_meter",
    "values_named",
]
