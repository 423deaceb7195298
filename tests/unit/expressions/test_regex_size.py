"""What a regular expression may come to, and that no text is matched against more than it may cost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.expressions.conditions import compile_condition
from shared.expressions.regex_size import regex_size


@pytest.mark.parametrize(
    ("pattern", "states"),
    [
        ("error|refund", 0),
        ("(?i)chargeback", 0),
        ("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", 36),
        (r"\d{4}-\d{2}", 7),
        ("(.{1,500}){2}b", 1001),
        ("((a{1,30}){1,30}){1,1}b", 901),
        ("a{2,}", 3),
        ("[]{5}]a{3}", 4),
        (r"\{5}", 3),
        (r"\p{L}{10}", 320),
        ("[[:alpha:]]{3}x", 4),
    ],
)
def test_counted_repetitions_are_written_out(pattern: str, states: int) -> None:
    assert regex_size(pattern) == states


@given(st.text(alphabet="ab()[]{}0123,|*+?.\\^$:pP-", max_size=40))
def test_any_text_has_a_size(pattern: str) -> None:
    assert 0 <= regex_size(pattern) <= 10**12


def matched(condition: str, text: str) -> tuple[bool, str | None]:
    outcome = compile_condition(condition).evaluate({"event": {"data": {"s": text, "list": [text] * 50}}})
    return outcome.value, outcome.error


@pytest.mark.parametrize(
    "condition",
    [
        "event.data.s.matches('(.{1,500}){2}b')",
        "||".join(f"event.data.s.matches('[ab]*a[ab]{{15}}c{n}')" for n in range(3)),
        "(event.data.s + event.data.s + event.data.s).matches('[ab]*a[ab]{12}c')",
        "event.data.list.exists(each, each.matches('[ab]*a[ab]{40}c'))",
    ],
)
def test_patterns_too_costly_for_a_long_text_make_the_condition_false_and_say_so(condition: str) -> None:
    short, error = matched(condition, "ab")
    assert (short, error) == (False, None)
    text = "ab" * (125_000 if "list" not in condition else 3_000)
    value, error = matched(condition, text)
    assert not value
    assert error is not None
    assert "too costly" in error or "too large" in error


def test_long_texts_are_searched_for_words_and_matched_against_short_patterns() -> None:
    assert matched("event.data.s.matches('refund|chargeback')", "x" * 250_000 + "refund") == (True, None)
    assert matched("event.data.s.matches('[0-9]{4}-[0-9]{2}$')", "x" * 250_000 + "2026-03") == (True, None)
