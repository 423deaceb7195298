"""Taking a condition apart: the parts are its own text, and together they mean what it means."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.expressions import compile_condition, conjuncts_of, values_named
from shared.expressions.conjuncts import CONJUNCTS_MAX

ROOTS = frozenset({"event"})


def parts(text: str) -> list[str]:
    return [each.text for each in conjuncts_of(compile_condition(text, roots=ROOTS), ROOTS)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("event.a", ["event.a"]),
        ("event.a && event.b", ["event.a", "event.b"]),
        ("(event.a && event.b) && (event.c)", ["event.a", "event.b", "(event.c)"]),
        ("((event.a == 'x && y' && event.b))", ["event.a == 'x && y'", "event.b"]),
        ("event.a || event.b && event.c", ["event.a || event.b && event.c"]),
        ("event.a && (event.b || event.c && event.d)", ["event.a", "(event.b || event.c && event.d)"]),
        ("event.l.all(x, x > 1 && x < 3) && event.a", ["event.l.all(x, x > 1 && x < 3)", "event.a"]),
        ("event.a ? event.b && event.c : event.d", ["event.a ? event.b && event.c : event.d"]),
        ("(event.a && event.b // one )\n) && event.c // (two", ["event.a", "event.b // one )", "event.c // (two"]),
    ],
)
def test_it_is_taken_apart_where_all_must_hold(text: str, expected: list[str]) -> None:
    assert parts(text) == expected


def test_too_many_parts_are_left_together() -> None:
    text = " && ".join(["event.a"] * (CONJUNCTS_MAX + 1))
    assert parts(text) == [text]
    assert len(parts(" && ".join(["event.a"] * CONJUNCTS_MAX))) == CONJUNCTS_MAX


_ATOMS = st.sampled_from(["event.a == 1", "event.b == 'x'", "has(event.c)", "event.l.exists(x, x == 1 && x != 2)"])
_TREES = st.recursive(
    _ATOMS,
    lambda inner: st.builds(
        lambda one, operator, two: f"({one} {operator} {two})", inner, st.sampled_from(["&&", "||", "&&"]), inner
    ),
    max_leaves=8,
)
_EVENTS = st.fixed_dictionaries(
    {},
    optional={"a": st.sampled_from([1, 2, "x"]), "b": st.sampled_from(["x", 1]), "c": st.none(), "l": st.just([1])},
)


@given(_TREES, _EVENTS)
def test_all_parts_hold_exactly_where_the_whole_holds(text: str, event: dict[str, Any]) -> None:
    whole = compile_condition(text, roots=ROOTS)
    context = {"event": event}
    taken = conjuncts_of(whole, ROOTS)

    assert all(each.evaluate(context).value for each in taken) == whole.evaluate(context).value
    assert all(each.text in text for each in taken)


def test_the_values_that_it_names() -> None:
    condition = compile_condition("event.a.b == 1 && event['c-d'] == 1 && event.l[0].x == 2", roots=ROOTS)
    found = values_named(condition, {"event": {"a": {"b": None}, "l": [{"x": 2}]}})

    assert [(each.path, each.present, each.value) for each in found] == [
        ("event.a.b", True, None),
        ("event['c-d']", False, None),
        ("event.l", True, [{"x": 2}]),
    ]
