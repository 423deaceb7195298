"""The index answers exactly as asking every pattern would, after any adds and removes."""

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.matching import Pattern, PatternIndex, matches, parse_pattern, read_event
from shared.matching.affixes import AffixIndex
from shared.matching.casefold import fold_key
from shared.matching.facets import NumberFacet
from shared.matching.index_bucket import CROWDED
from shared.matching.numeric import NumericRange
from shared.testing.examples import examples
from shared.testing.patterns import parsed_patterns

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
_PATHS = st.sampled_from(["t", "s", "d", "d.x", "d.y", "d.x.z", "d.x.z.m", "d.items.n", "d.items.m", "s.x", "x.z"])
_FIELDS = st.dictionaries(_PATHS, st.lists(_ENTRIES, min_size=1, max_size=3), min_size=1, max_size=3)


_WALKS = st.sampled_from([1, 1_000_000])  # with the walk written out from the second event on, and never
_KERNEL = st.booleans()  # with the compiled kernel, where it is there, and in Python alone


@st.composite
def _rules(draw: Any) -> dict[str, Any]:
    fields: dict[str, Any] = draw(_FIELDS)
    if draw(st.booleans()):
        fields["$or"] = [{f"o{index}": draw(st.lists(_ENTRIES, min_size=1, max_size=2))} for index in range(2)]
    return fields


@dataclass(frozen=True)
class _Members:
    """An object as written: a key may come twice."""

    pairs: list[tuple[str, Any]]


@dataclass(frozen=True)
class _Token:
    """A number as written."""

    token: str


def _text(value: Any) -> str:
    match value:
        case _Members(pairs):
            return "{" + ",".join(f"{json.dumps(key)}:{_text(member)}" for key, member in pairs) + "}"
        case list():
            return "[" + ",".join(map(_text, value)) + "]"
        case _Token(token):
            return token
    return orjson.dumps(value).decode()  # as most write: a text that stays on the fast way


_TOKENS = st.sampled_from(["0.30000000000000001", "1e309", "9007199254740993", "123456789012345678901", "1.0", "8e0"])
_TREES = st.recursive(
    st.one_of(_LITERALS, _LITERALS, _LITERALS, _TOKENS.map(_Token)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(st.tuples(st.sampled_from(["x", "y", "z", "x.z", "z.m", "items", "n", "m"]), inner), max_size=4).map(
            _Members
        ),
    ),
    max_leaves=8,
)
_ROOT_KEYS = st.sampled_from(["t", "s", "d", "x", "d.x", "d.x.z", "x.z", "o0", "o1"])
_EVENTS = st.lists(st.tuples(_ROOT_KEYS, _TREES), max_size=5).map(_Members).map(lambda members: _text(members))


def _check(index: PatternIndex[int], rules: Mapping[int, tuple[Pattern, ...]], events: list[str]) -> None:
    for text in events:
        event = read_event(text.encode())
        expected = {rule for rule, patterns in rules.items() if any(matches(each, event) for each in patterns)}

        found = index.candidates(event)

        assert len(found) == len(set(found))
        assert set(found) == expected


@settings(max_examples=examples(250), deadline=None)
@given(st.lists(_rules(), max_size=12), st.lists(_EVENTS, min_size=1, max_size=5), _WALKS, _KERNEL)
def test_equal_to_asking_every_pattern(
    documents: list[dict[str, Any]], events: list[str], walks: int, use_kernel: bool
) -> None:
    rules = {number: (pattern,) for number, pattern in enumerate(parsed_patterns(documents))}
    index: PatternIndex[int] = PatternIndex(walks_before_code=walks, use_kernel=use_kernel)
    for rule_id, patterns in rules.items():
        index.add(rule_id, *patterns)

    _check(index, rules, events + events)


@settings(max_examples=examples(60), deadline=None)
@given(
    st.lists(_rules(), min_size=3, max_size=8), st.lists(_EVENTS, min_size=1, max_size=4), st.randoms(), _WALKS, _KERNEL
)
def test_equal_after_any_adds_and_removes_and_nothing_is_left_behind(
    documents: list[dict[str, Any]], events: list[str], dice: random.Random, walks: int, use_kernel: bool
) -> None:
    patterns = parsed_patterns(documents)
    if not patterns:
        return
    index: PatternIndex[int] = PatternIndex(walks_before_code=walks, use_kernel=use_kernel)
    rules: dict[int, tuple[Pattern, ...]] = {}
    for step in range(6 * CROWDED):
        rule_id = dice.randrange(3 * CROWDED)
        if dice.random() < 0.7:
            rules[rule_id] = tuple(dice.choices(patterns, k=dice.randint(1, 2)))
            index.add(rule_id, *rules[rule_id])
        else:
            assert index.remove(rule_id) == (rules.pop(rule_id, None) is not None)
        if step % CROWDED == 0:
            _check(index, rules, events)
    assert len(index) == len(rules)

    _check(index, rules, events)

    for rule_id in list(rules):
        assert index.remove(rule_id)
    _check(index, {}, events)
    assert not index.remove(0)
    assert index.is_bare


@pytest.mark.parametrize("use_kernel", [True, False])
@pytest.mark.parametrize("walks", [1, 1_000_000])
def test_crowded_buckets_become_levels_of_their_own_and_empty_again(walks: int, use_kernel: bool) -> None:
    index: PatternIndex[int] = PatternIndex(walks_before_code=walks, use_kernel=use_kernel)
    rules: dict[int, tuple[Pattern, ...]] = {}
    for number in range(600):
        document: dict[str, Any] = {"t": ["same"], "d": {"x": [{"numeric": [">", number % 50]}]}, "s": [True]}
        if number % 3 == 0:
            document["d"]["y"] = [{"prefix": f"p{number % 7}"}]
        rules[number] = (parse_pattern(document),)
        index.add(number, *rules[number])
    documents: list[dict[str, Any]] = [
        *({"t": "same", "s": True, "d": {"x": at, "y": f"p{at % 9}x"}} for at in range(0, 60, 7)),
        {"t": "same", "s": True, "d": [{"x": 30}, {"y": "p1"}]},
        {"t": "other", "s": True, "d": {"x": 99}},
    ]
    events = [json.dumps(each) for each in documents]
    _check(index, rules, events)

    for number in range(0, 600, 2):
        del rules[number]
        index.remove(number)
    _check(index, rules, events)

    for number in list(rules):
        index.remove(number)
    assert index.is_bare


def test_members_are_what_some_rule_looks_at_and_no_more() -> None:
    index: PatternIndex[int] = PatternIndex()
    assert index.members == frozenset()
    index.add(1, parse_pattern({"type": ["a"], "data": {"x": {"y": [1]}}}))
    index.add(2, parse_pattern({"type": ["b"], "subject": [{"exists": False}]}))
    assert index.members == {"type", "data", "subject"}
    index.remove(2)
    assert index.members == {"type", "data"}


def test_adding_again_replaces() -> None:
    index: PatternIndex[str] = PatternIndex()
    index.add("r", parse_pattern({"t": ["a"]}))
    index.add("r", parse_pattern({"t": ["b"]}), parse_pattern({"t": ["b", "c"]}))

    assert index.candidates(read_event(b'{"t":"a"}')) == []
    assert index.candidates(read_event(b'{"t":"b"}')) == ["r"]
    assert "r" in index and len(index) == 1


@pytest.mark.parametrize("use_kernel", [True, False])
@pytest.mark.parametrize(
    "event",
    [
        '{"t":"a","d":{"k7":"v"}}',
        '{"t":"a","d":{"k7":"v","k8":"pre","n":[1],"o":{"k1":"v"}}}',
        '{"t":"a","d":{"k7":["v"]}}',
        '{"t":["a","b"],"d":{"k7":"v"}}',
        '{"t":"a","d":{"k7":{"k":"v"}}}',
        '{"t":"a","d":{"k8":{"k":["x","v"]},"k9":{"k":["prefix"]}}}',
        '{"t":"a","d":{"k8.k":"v","k9":"v"}}',
        '{"d":{"k8":{"l":[{"k":"v","m":"w"},{"k":"u","m":"z"}]}}}',
        '{"d":{"k8":{"l":[{"k":"v","m":"z"},{"k":"u","m":"z"}]}}}',
        '{"t":"a","d":{"k3":"x","k3":"v","k4":"pre"}}',
        '{"t":"b","t":"a","d":{"k7":"v"}}',
        '{"t":"a","d.k7":"v","d":{}}',
        '{"t":"a","d.k7":"v"}',
        '{"t":"a","d":[{"k7":"v"},{"k8":"prefix"}]}',
        '{"t":"a","d":{"k9":7,"k10":123456789012345678901,"k11":null}}',
        json.dumps({"t": "a", "d": {f"k{number}": "v" for number in range(90)}}),
        json.dumps({"t": "a", "d": {f"k{number}": "v" for number in range(0, 200, 9)}}),
        '{"t":"a","d":"v"}',
        '{"d":null}',
        "{}",
    ],
)
def test_many_keys_of_one_object_are_found_whatever_else_it_has(event: str, use_kernel: bool) -> None:
    entries: list[list[Any]] = [["v"], ["v", {"prefix": "pre"}], [{"numeric": [">", 5]}], [{"exists": True}]]
    rules: dict[int, tuple[Pattern, ...]] = {
        number: (
            parse_pattern({"t": ["a"], "d": {f"k{number % 60}": entries[number % 4]}}),
            parse_pattern({"d": {f"k{number % 60}": {"k": entries[number % 4]}}}),
        )
        for number in range(120)
    }
    for number in range(2 * CROWDED):
        rules[500 + number] = (parse_pattern({"d": {"k8": {"l": {"k": ["v"], "m": ["z"]}}}}),)
    rules[1000] = (parse_pattern({"t": ["a"], "d": {"k7": ["v"], "k8": [{"exists": False}]}}),)
    index: PatternIndex[int] = PatternIndex(walks_before_code=1, use_kernel=use_kernel)
    for rule_id, patterns in rules.items():
        index.add(rule_id, *patterns)

    _check(index, rules, [event] * 3)


@pytest.mark.parametrize("use_kernel", [True, False])
@pytest.mark.parametrize("many", [1, 40])
@pytest.mark.parametrize(
    "event",
    [
        '{"t":"t1","d":{"x":"v"}}',
        '{"t":"t1","d.x":"v"}',
        '{"t":"t1","d.x":"v","d":{"x":"w"}}',
        '{"t":"t1","d.x":["w","v"],"d":{"x":"w"}}',
        '{"t":"t1","d":{"x":["w","v"]}}',
        '{"t":"t1","d":[{"x":"w"},{"x":"v"}]}',
        '{"t":"t1","d":{"x":"w","x":"v"}}',
        '{"t":"t1","d":{"x":{"y":"v"}}}',
        '{"t":"t1","d":{"x.y":"v"}}',
        '{"t":"t1","d.x.y":"v","d.x":"v"}',
        '{"t":"t1","d":null}',
        '{"t":"t1","d":{"x":null}}',
        '{"t":["t0","t1"],"d":{"x":"v","n":"v"}}',
        '{"d":[{"t":"t1"}],"t":"t2","d":{"x":"v"}}',
    ],
)
def test_what_is_left_to_ask_of_a_rule_is_found_wherever_the_event_has_it(
    event: str, many: int, use_kernel: bool
) -> None:
    rests: list[dict[str, Any]] = [
        {"d": {"x": ["v"]}},
        {"d": {"x": ["v"], "n": [{"exists": False}]}},
        {"d": {"x": {"y": ["v"]}}},
        {"d": {"x": [{"prefix": "v"}]}},
        {"d": {"x": [None, {"exists": False}]}},
    ]
    documents = [{"t": [f"t{number % 50}"], **rests[number % 5]} for number in range(5 * 50 * many // 10)]
    documents += [{"t": ["t1"], **rest} for rest in rests]
    if many > 1:
        documents += rests  # or else no rule is found by these paths at all
    rules = {number: (parse_pattern(document),) for number, document in enumerate(documents)}
    index: PatternIndex[int] = PatternIndex(walks_before_code=1, use_kernel=use_kernel)
    for rule_id, patterns in rules.items():
        index.add(rule_id, *patterns)

    _check(index, rules, [event] * 3)


@pytest.mark.parametrize("use_kernel", [True, False])
def test_paths_that_are_deeper_than_source_can_be_indented_are_found(use_kernel: bool) -> None:
    keys = ["k"] * 99
    document: Any = ["v"]
    value: Any = "v"
    for key in keys:
        document, value = {key: document}, {key: value}
    index: PatternIndex[int] = PatternIndex(walks_before_code=1, use_kernel=use_kernel)
    index.add(1, parse_pattern(document))

    _check(index, {1: (parse_pattern(document),)}, [json.dumps(value)] * 3)


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
_ANY_NUMBER = st.one_of(
    _ANY_BOUND, st.integers(-(2**63), 2**63), st.sampled_from([2**53 + 1, 2**60, 10**18, 1152921504606847000])
)


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


@given(st.lists(_ranges(), max_size=8), _ANY_NUMBER, st.data())
def test_ranges_are_found_and_forgotten(ranges: list[NumericRange], number: float, data: Any) -> None:
    facet: NumberFacet[int] = NumberFacet()
    for position, bounds in enumerate(ranges):
        facet.add(bounds, position)
    gone = data.draw(st.sets(st.sampled_from(range(len(ranges))))) if ranges else set()
    for position in gone:
        facet.remove(ranges[position], position)

    expected = [at for at, bounds in enumerate(ranges) if at not in gone and bounds.holds(number)]
    found: list[int] = []
    facet.probe(number, found)
    assert sorted(found) == expected


@pytest.mark.parametrize("use_kernel", [True, False])
@pytest.mark.parametrize(
    ("token", "held"),
    [
        ("1152921504606847000", True),  # the shortest decimal of the bound's double, which is 24 less
        ("1152921504606846976", False),  # that double, written as no one writes it: digits are lost
        ("9007199254740993", False),
        ("9007199254740992", True),
        ("1e3", True),
        ("1000.0", True),
    ],
)
def test_integers_beyond_a_double_are_found_as_the_evaluator_would(token: str, held: bool, use_kernel: bool) -> None:
    pattern = parse_pattern('{"n":[{"numeric":[">",5,"<=",1152921504606847000]}]}')
    index: PatternIndex[int] = PatternIndex(walks_before_code=1, use_kernel=use_kernel)
    index.add(1, pattern)
    event = read_event(f'{{"n":{token}}}'.encode())

    assert matches(pattern, event) == held
    for _ in range(3):
        assert index.candidates(event) == ([1] if held else [])


@given(st.text(max_size=8))
def test_fold_keys_of_all_spellings_are_equal(text: str) -> None:
    for spelled in ("".join(char.lower() for char in text), "".join(char.upper() for char in text)):
        assert fold_key(spelled) == fold_key(text)
