"""The index answers exactly as asking every pattern would, after any adds and removes."""

import json
import random
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.errors import InvalidInput
from shared.matching import Pattern, PatternIndex, matches, parse_pattern, read_event
from shared.matching.affixes import AffixIndex
from shared.matching.casefold import fold_key
from shared.matching.index_node import CROWDED
from shared.matching.numeric import NumericRange
from shared.matching.ranges import RangeIndex

_TEXTS = st.sampled_from(
    ["", "a", "ab", "abc", "abcd", "abcde", "ABC", "xbc", "10.0.0.1", "10.00.0.1", "::1", "ß", "SS"]
)
_NUMBERS = st.sampled_from([0, 1, -1, 2, 2.5, 8, 1e300, -1e300, 0.1, 1e-320, 2**53 + 2, 2**53 + 1])
_BOUNDS = st.sampled_from([0, 1, -1, 2, 2.5, 8, 1e300, -1e300, 0.1, 1e-320])
_LITERALS = st.one_of(_TEXTS, _NUMBERS, st.sampled_from([True, False, None]))
_ENTRIES = st.one_of(
    _LITERALS,
    st.builds(lambda name, text: {name: text}, st.sampled_from(["prefix", "suffix", "equals-ignore-case"]), _TEXTS),
    st.builds(lambda name, text: {name: {"equals-ignore-case": text}}, st.sampled_from(["prefix", "suffix"]), _TEXTS),
    st.sampled_from(["*", "a*", "*c", "a*c", "*b*", "ab*d*"]).map(lambda text: {"wildcard": text}),
    st.builds(lambda sign, bound: {"numeric": [sign, bound]}, st.sampled_from(["=", "<", "<=", ">", ">="]), _BOUNDS),
    st.builds(
        lambda low, high, lower, upper: {"numeric": [lower, min(low, high), upper, max(low, high)]},
        _BOUNDS,
        _BOUNDS,
        st.sampled_from([">", ">="]),
        st.sampled_from(["<", "<="]),
    ),
    st.sampled_from(["10.0.0.0/8", "10.0.0.0/30", "0.0.0.0/0", "::/0", "::/64"]).map(lambda text: {"cidr": text}),
    st.booleans().map(lambda there: {"exists": there}),
    st.one_of(_TEXTS, st.lists(_TEXTS, min_size=1, max_size=2), _BOUNDS).map(lambda value: {"anything-but": value}),
    st.sampled_from(["prefix", "suffix", "wildcard", "equals-ignore-case"]).map(
        lambda name: {"anything-but": {name: "ab"}}
    ),
)
_PATHS = st.sampled_from(["t", "s", "d", "d.x", "d.y", "d.x.z", "d.items.n", "d.items.m"])
_FIELDS = st.dictionaries(_PATHS, st.lists(_ENTRIES, min_size=1, max_size=3), min_size=1, max_size=3)


@st.composite
def _rules(draw: Any) -> dict[str, Any]:
    fields: dict[str, Any] = draw(_FIELDS)
    if draw(st.booleans()):
        fields["$or"] = [{f"o{index}": draw(st.lists(_ENTRIES, min_size=1, max_size=2))} for index in range(2)]
    return fields


_TREES = st.recursive(
    _LITERALS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["x", "y", "z", "x.z", "items", "n", "m"]), inner, max_size=4),
    ),
    max_leaves=8,
)
_EVENTS = st.dictionaries(st.sampled_from(["t", "s", "d", "d.x", "o0", "o1"]), _TREES, max_size=5)


def _parsed(documents: list[dict[str, Any]]) -> list[Pattern]:
    patterns = []
    for document in documents:
        try:
            patterns.append(parse_pattern(document))
        except InvalidInput:
            continue  # an empty range, a 2^53 + 1 to compare with, an empty suffix to exclude
    return patterns


def _check(index: PatternIndex[int], rules: Mapping[int, tuple[Pattern, ...]], events: list[dict[str, Any]]) -> None:
    for document in events:
        event = read_event(json.dumps(document).encode())
        expected = {rule for rule, patterns in rules.items() if any(matches(each, event) for each in patterns)}

        found = index.candidates(event)

        assert len(found) == len(set(found))
        assert set(found) == expected


@settings(max_examples=200, deadline=None)
@given(st.lists(_rules(), max_size=12), st.lists(_EVENTS, min_size=1, max_size=5))
def test_equal_to_asking_every_pattern(documents: list[dict[str, Any]], events: list[dict[str, Any]]) -> None:
    rules = {number: (pattern,) for number, pattern in enumerate(_parsed(documents))}
    index: PatternIndex[int] = PatternIndex()
    for rule_id, patterns in rules.items():
        index.add(rule_id, *patterns)

    _check(index, rules, events)


@settings(max_examples=60, deadline=None)
@given(st.lists(_rules(), min_size=3, max_size=8), st.lists(_EVENTS, min_size=1, max_size=4), st.randoms())
def test_equal_after_any_adds_and_removes_and_nothing_is_left_behind(
    documents: list[dict[str, Any]], events: list[dict[str, Any]], dice: random.Random
) -> None:
    patterns = _parsed(documents)
    if not patterns:
        return
    index: PatternIndex[int] = PatternIndex()
    rules: dict[int, tuple[Pattern, ...]] = {}
    for _ in range(6 * CROWDED):
        rule_id = dice.randrange(3 * CROWDED)
        if dice.random() < 0.7:
            rules[rule_id] = tuple(dice.choices(patterns, k=dice.randint(1, 2)))
            index.add(rule_id, *rules[rule_id])
        else:
            assert index.remove(rule_id) == (rules.pop(rule_id, None) is not None)
    assert len(index) == len(rules)

    _check(index, rules, events)

    for rule_id in list(rules):
        assert index.remove(rule_id)
    _check(index, {}, events)
    assert not index.remove(0)
    assert index.is_bare


def test_crowded_buckets_become_levels_of_their_own_and_empty_again() -> None:
    index: PatternIndex[int] = PatternIndex()
    rules: dict[int, tuple[Pattern, ...]] = {}
    for number in range(600):
        document: dict[str, Any] = {"t": ["same"], "d": {"x": [{"numeric": [">", number % 50]}]}, "s": [True]}
        if number % 3 == 0:
            document["d"]["y"] = [{"prefix": f"p{number % 7}"}]
        rules[number] = (parse_pattern(document),)
        index.add(number, *rules[number])
    events = [{"t": "same", "s": True, "d": {"x": at, "y": f"p{at % 9}x"}} for at in range(0, 60, 7)] + [
        {"t": "same", "s": True, "d": [{"x": 30}, {"y": "p1"}]},
        {"t": "other", "s": True, "d": {"x": 99}},
    ]
    _check(index, rules, events)

    for number in range(0, 600, 2):
        del rules[number]
        index.remove(number)
    _check(index, rules, events)

    for number in list(rules):
        index.remove(number)
    assert index.is_bare


def test_adding_again_replaces() -> None:
    index: PatternIndex[str] = PatternIndex()
    index.add("r", parse_pattern({"t": ["a"]}))
    index.add("r", parse_pattern({"t": ["b"]}), parse_pattern({"t": ["b", "c"]}))

    assert index.candidates(read_event(b'{"t":"a"}')) == []
    assert index.candidates(read_event(b'{"t":"b"}')) == ["r"]
    assert "r" in index and len(index) == 1


@pytest.mark.parametrize("count", [1, 5])
def test_rules_without_any_pattern_never_match(count: int) -> None:
    index: PatternIndex[int] = PatternIndex()
    for number in range(count):
        index.add(number)

    assert index.candidates(read_event(b'{"t":"a"}')) == []
    assert len(index) == count


@given(st.lists(st.text(alphabet="ab", max_size=7)), st.text(alphabet="ab", max_size=9), st.data())
def test_affixes_are_found_and_forgotten(prefixes: list[str], text: str, data: Any) -> None:
    index: AffixIndex[int] = AffixIndex()
    for number, prefix in enumerate(prefixes):
        index.add(prefix, number)
    gone = data.draw(st.sets(st.sampled_from(range(len(prefixes))))) if prefixes else set()
    for number in gone:
        index.remove(prefixes[number], number)

    expected = [number for number, prefix in enumerate(prefixes) if number not in gone and text.startswith(prefix)]
    assert sorted(index.prefixes_of(text)) == expected
    assert index.is_empty == (len(gone) == len(prefixes))


_ANY_BOUND = st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.integers(-(2**53), 2**53), _BOUNDS)


@st.composite
def _ranges(draw: Any) -> NumericRange:
    low, high = sorted((draw(_ANY_BOUND), draw(_ANY_BOUND)))
    form = draw(st.integers(0, 2)) if low < high else draw(st.integers(0, 1))
    inclusive = {"low_included": draw(st.booleans()), "high_included": draw(st.booleans())}
    if form == 0:
        return NumericRange(source=(), low=low, **inclusive)
    if form == 1:
        return NumericRange(source=(), high=high, **inclusive)
    return NumericRange(source=(), low=low, high=high, **inclusive)


@given(st.lists(_ranges(), max_size=8), _ANY_BOUND, st.data())
def test_ranges_are_found_and_forgotten(ranges: list[NumericRange], number: float, data: Any) -> None:
    index: RangeIndex[tuple[NumericRange, int]] = RangeIndex()
    for position, bounds in enumerate(ranges):
        index.add(bounds, (bounds, position))
    gone = data.draw(st.sets(st.sampled_from(range(len(ranges))))) if ranges else set()
    for position in gone:
        index.remove(ranges[position], (ranges[position], position))

    expected = [at for at, bounds in enumerate(ranges) if at not in gone and bounds.holds(number)]
    found = index.around(number)
    assert sorted(position for bounds, position in found if bounds.holds(number)) == expected


@given(st.text(max_size=8))
def test_fold_keys_of_all_spellings_are_equal(text: str) -> None:
    for spelled in ("".join(char.lower() for char in text), "".join(char.upper() for char in text)):
        assert fold_key(spelled) == fold_key(text)
