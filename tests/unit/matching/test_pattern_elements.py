"""Conditions on array elements: one choice for all fields, found without blowing up."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.matching import event_from_value, matches, parse_pattern
from shared.matching.evaluate import stuck_at
from shared.matching.fields import leaves_at
from shared.matching.looked import Looked, value_holds
from shared.matching.pattern import Alternative
from shared.matching.work import Work


def _matches(pattern: dict[str, Any], event: dict[str, Any]) -> bool:
    return matches(parse_pattern(pattern), event_from_value(event))


@pytest.mark.parametrize(
    ("pattern", "event", "expected"),
    [
        ({"a": {"x": [1], "y": [2]}}, {"a": [{"x": 1}, {"y": 2}]}, False),
        ({"a": {"x": [1], "y": [2]}}, {"a": [{"x": 1, "y": 2}, {"y": 3}]}, True),
        ({"a": {"x": [1]}, "b": {"y": [2]}}, {"a": [{"x": 0}, {"x": 1}], "b": [{"y": 2}]}, True),
        ({"a": {"b": {"x": [1], "y": [2]}}}, {"a": [{"b": [{"x": 1}, {"y": 2}]}]}, False),
        ({"a": {"n": ["q"], "b": {"x": [1]}}}, {"a": [{"n": "p", "b": [{"x": 1}]}, {"n": "q", "b": []}]}, False),
        ({"d": {"t": ["b"], "n": ["x"]}}, {"d": {"t": ["a", "b"], "n": "x"}}, True),
        ({"a": [2]}, {"a": [[1], [2, 3]]}, True),
        ({"a": {"x": [1], "y": [2]}}, {"a": [[{"x": 1}], [{"y": 2}]]}, False),
        # absence: of any element while none is chosen, of the chosen one after
        ({"a": {"b": [{"exists": False}]}}, {"a": [{"b": 1}, {"c": 1}]}, False),
        ({"a": {"b": [{"exists": False}], "c": [1]}}, {"a": [{"b": 1}, {"c": 1}]}, False),
        ({"a": {"b": [1], "c": [{"exists": False}]}}, {"a": [{"c": 1}, {"b": 1}]}, True),
        ({"a": {"b": [1], "c": [{"exists": False}]}}, {"a": [{"b": 1, "c": 1}, {"b": 2}]}, False),
        ({"a": {"b": [{"exists": False}]}, "c": [1]}, {"a": [{"x": 1}], "c": 1}, True),
        ({"a": {"b": [{"exists": False}, 2], "c": [1]}}, {"a": [{"b": 3, "c": 1}, {"b": 2, "c": 1}]}, True),
        # two spellings of one path are two arrays
        ({"a": {"b": {"x": [1], "y": [2]}}}, {"a.b": [{"x": 1}], "a": {"b": [{"y": 2}]}}, True),
        ({"a": {"b": {"x": [1], "y": [2]}}}, {"a.b": [{"x": 1}], "a": {"b": [{"y": 3}]}}, False),
    ],
)
def test_named_cases(pattern: dict[str, Any], event: dict[str, Any], expected: bool) -> None:
    assert _matches(pattern, event) is expected


_TREES = st.recursive(
    st.integers(0, 2),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["x", "y", "z", "x.y"]), inner, max_size=3),
    ),
    max_leaves=10,
)
_ENTRIES = st.lists(
    st.one_of(st.integers(0, 2), st.just({"exists": False}), st.just({"exists": True})), min_size=1, max_size=2
)
_FIELDS = st.dictionaries(
    st.sampled_from(["a", "a.x", "a.y", "a.z", "a.x.y", "a.x.z", "a.y.x"]), _ENTRIES, min_size=1, max_size=4
)


@given(_FIELDS, st.dictionaries(st.sampled_from(["a", "a.x"]), _TREES, min_size=1))
def test_the_search_finds_what_trying_every_choice_finds(fields: dict[str, Any], event: dict[str, Any]) -> None:
    (alternative,) = parse_pattern(fields).alternatives
    root = event_from_value(event)

    assert matches(parse_pattern(fields), event_from_value(event)) == _by_trying_everything(alternative, root)


def _by_trying_everything(alternative: Alternative, root: dict[str, Any]) -> bool:
    options = []
    for field in alternative.fields:
        leaves = leaves_at(root, field.path, Work(), {})
        held = [place for value, place in leaves if value_holds(field, value)]
        options.append([(leaves, place) for place in held] + ([(leaves, None)] if field.or_absent else []))
    return any(_is_consistent(choice) for choice in itertools.product(*options))


def _is_consistent(choice: Any) -> bool:
    chosen: dict[int, int] = {}
    for leaves, place in choice:
        if place is None:
            if any(all(chosen.get(array, at) == at for array, at in other) for _, other in leaves):
                return False
        else:
            if any(chosen.get(array, at) != at for array, at in place):
                return False
            chosen.update(place)
    return True


def _work(pattern: dict[str, Any], event: dict[str, Any]) -> int:
    (alternative,) = parse_pattern(pattern).alternatives
    work = Work()
    before = work.left
    stuck_at(alternative.fields, Looked(event_from_value(event), work))
    return before - work.left


@pytest.mark.parametrize(
    ("pattern", "event_of_size"),
    [
        (
            {"d": {"a": [{"exists": True}], "b": [1], "c": [2]}},
            lambda size: {"d": [{"a": 1, "b": 1, "c": 1} for _ in range(size)]},
        ),
        (
            {"d": {"a": [1], "b": [1]}, "e": {"a": [1]}},
            lambda size: {
                "d": [{"a": 1}, {"b": 1}] * size,
                "e": [{"a": 1}] * size,
            },
        ),
        (
            {"a": {"b": {"x": [1], "y": [1]}, "c": {"x": [1], "y": [2]}}},
            lambda size: {
                "a": [{"b": [{"x": 1, "y": 1}] * size, "c": [{"x": 1, "y": 1}] * size} for _ in range(2)],
            },
        ),
        (
            {"d": {"a": [{"exists": True}], "b": [{"exists": False}]}},
            lambda size: {"d": [{"a": 1, "b": 1} for _ in range(size)]},
        ),
    ],
)
def test_the_search_is_linear_in_the_values(pattern: dict[str, Any], event_of_size: Any) -> None:
    event_small, event_large = event_of_size(50), event_of_size(500)
    assert not _matches(pattern, event_large)

    assert _work(pattern, event_large) <= 12 * _work(pattern, event_small)
    assert _work(pattern, event_large) <= 30 * json.dumps(event_large).count("1")
