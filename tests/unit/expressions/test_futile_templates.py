"""What no context can fill is told on saving, and still compiles: what was saved before may never get there."""

import pytest

from shared.domain.errors import InvalidInput
from shared.expressions import LIMITS, check_template, compile_template


@pytest.mark.parametrize(
    "text",
    [
        "{% for i in (1..2000000) %}x{% endfor %}",
        "{{ (1..2000000) | join }}",
        "{% if event.subject %}{% assign r = (1..2000000) %}{% endif %}",
        "{% if (-1000..1000) contains 'a' %}x{% endif %}",
        "{{ (1..1001) }}",
        f"{{{{ (1..{'9' * 4000}) }}}}",
    ],
)
def test_a_range_beyond_the_bound_is_told_at_its_leaf(text: str) -> None:
    compile_template({"a": [text]})
    with pytest.raises(InvalidInput) as refused:
        check_template({"a": ["x", text]})
    (flaw,) = refused.value.flaws
    assert flaw.pointer == "#/a/1"
    assert flaw.detail.startswith(f"a range has at most {LIMITS.range_items_max} numbers (line 1, column ")


@pytest.mark.parametrize(
    "text",
    ["{{ (1..1000) }}", "{{ (1000..1) }}", "{% for i in (1..inputs.n) %}{% endfor %}", "{{ (inputs.a..2000000) }}"],
)
def test_what_some_context_can_fill_passes(text: str) -> None:
    check_template({"a": [text]})


def test_what_does_not_compile_is_told_as_before() -> None:
    with pytest.raises(InvalidInput, match="can't be used"):
        check_template("{{ nobody.x }}")
