"""What one event's arrays may cost is counted, the same for whoever asks, and what it does not suffice for is never a no."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.matching import (
    WORK_MAX,
    EventFields,
    Explainer,
    Pattern,
    PatternIndex,
    TooMuchWork,
    event_from_value,
    matches,
    parse_pattern,
)
from shared.matching.evaluate import verdict
from shared.matching.looked import Looked
from shared.matching.work import Work
from shared.testing.examples import examples

_ENTRIES = st.lists(
    st.sampled_from(["p", "q", 1, {"prefix": "p"}, {"wildcard": "*q"}, {"numeric": [">", 0]}, {"exists": False}]),
    min_size=1,
    max_size=2,
)
_PATTERNS = st.lists(
    st.dictionaries(st.sampled_from(["t", "l.x", "l.y", "l.m.x", "l.m.y", "k.x"]), _ENTRIES, min_size=1, max_size=3),
    min_size=1,
    max_size=6,
)
_SCALARS = st.sampled_from(["p", "q", "pq", 1, 0])
_INNER = st.dictionaries(st.sampled_from(["x", "y"]), _SCALARS, max_size=2)
_ELEMENTS = st.lists(
    st.one_of(_INNER, st.builds(lambda own, inner: {**own, "m": inner}, _INNER, st.lists(_INNER, max_size=3))),
    max_size=5,
)
_EVENTS = st.builds(
    lambda t, here, there: event_from_value({"t": t, "l": here, "k": there}), _SCALARS, _ELEMENTS, _ELEMENTS
)


def _parsed(*documents: dict[str, Any]) -> list[Pattern]:
    return [parse_pattern(document) for document in documents]


def _index(patterns: list[Pattern], work_max: int, *, use_kernel: bool = True) -> PatternIndex[int]:
    index: PatternIndex[int] = PatternIndex(work_max=work_max, use_kernel=use_kernel, walks_before_code=1)
    for number, pattern in enumerate(patterns):
        index.add(number, pattern)
    return index


@settings(max_examples=examples(300), deadline=None)
@given(_PATTERNS, _EVENTS, st.integers(0, 200), st.booleans())
def test_index_evaluator_and_explanation_are_told_the_same(
    documents: list[dict[str, Any]], event: EventFields, work_max: int, use_kernel: bool
) -> None:
    patterns = _parsed(*documents)
    truth = [matches(pattern, event) for pattern in patterns]
    index = _index(patterns, work_max, use_kernel=use_kernel)

    looked = Looked(event, Work(work_max))
    one_by_one = [verdict(pattern.alternatives, looked) for pattern in patterns]
    assert [told for _, told in index.in_order(event, range(len(patterns)))] == one_by_one
    explainer = Explainer(event, work_max)
    explained = [explainer.explain(pattern) for pattern in patterns]
    assert [None if each.is_open else each.matches for each in explained] == one_by_one
    assert all(told in (None, true) for told, true in zip(one_by_one, truth, strict=True))
    for _ in range(2):  # what one event cost is not the next one's
        try:
            found = index.candidates(event)
        except TooMuchWork:
            continue
        assert sorted(found) == [number for number, true in enumerate(truth) if true]


def _spelled_thrice(size: int) -> EventFields:
    """What lies at `d.p.q` lies in three arrays, of which a choice each can be made; only the last of all serves `z`."""
    return event_from_value(
        {
            "d.p.q": [*({"a": 1} for _ in range(size - 1)), {"a": 1, "z": 1}],
            "d.p": [{"q.b": 1, "q.z": 0} for _ in range(size)],
            "d": [{"p.q.c": 1, "p.q.z": 0} for _ in range(size)],
        }
    )


_THRICE = parse_pattern({"d": {"p": {"q": {"a": [1], "b": [1], "c": [1], "z": [1]}}}})


def test_a_search_that_is_not_ended_is_no_no() -> None:
    assert matches(_THRICE, _spelled_thrice(6))
    event = _spelled_thrice(80)
    with pytest.raises(TooMuchWork):
        matches(_THRICE, event)
    assert list(_index([_THRICE], WORK_MAX).in_order(event, [0])) == [(0, None)]
    explained = Explainer(event).explain(_THRICE)
    assert (explained.matches, explained.is_open) == (False, True)
    assert "more than one event may cost" in explained.reason


def _lines(count: int) -> EventFields:
    data = {"l": [{"a": 1, "b": 1, "c": 1, "y": 1, "zz": 1} for _ in range(count)]}
    return event_from_value({"type": "t", "data": data})


def test_rules_share_what_was_found_at_a_path_and_held_by_a_field() -> None:
    event = _lines(5_000)
    patterns = _parsed(*({"type": ["t"], "data": {"l": {key: [1] for key in ("a", "b", "c", "y", "zz")}}},) * 30)
    assert all(told for _, told in _index(patterns, WORK_MAX).in_order(event, range(30)))


def test_what_is_beyond_the_work_is_left_open_in_order_but_not_what_plain_values_decide() -> None:
    event = _lines(2_000)
    patterns = _parsed(
        *({"data": {"l": {"a": [{"numeric": [">", -number]}], "b": [1]}}} for number in range(1, 9)),
        {"type": ["t"]},
        {"type": ["u"], "data": {"l": {"a": [1]}}},
    )
    index = _index(patterns, 40_000)
    with pytest.raises(TooMuchWork):
        index.candidates(event)
    told = [each for _, each in index.in_order(event, range(10))]
    left_open = told[:8].index(None)
    assert left_open > 0
    assert told == [True] * left_open + [None] * (8 - left_open) + [True, False]
    assert index.candidates(event_from_value({"type": "t"})) == [8]


def test_the_same_search_costs_the_same_wherever_its_arrays_lie_in_memory() -> None:
    spent = set()
    kept = []
    for size in range(20):
        kept.append(bytearray(size * 97))
        event = _spelled_thrice(6)
        kept.append(bytearray(json.dumps(event).encode()))
        work = Work()
        before = work.left
        assert verdict(_THRICE.alternatives, Looked(event, work))
        spent.add(before - work.left)
    assert len(spent) == 1
