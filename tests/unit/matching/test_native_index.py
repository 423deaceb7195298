"""The compiled index by itself: exact whatever collides, whatever kind a text is of, and nothing held or lost on the way."""

import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.matching import Pattern, PatternIndex, event_from_value, matches, native, parse_pattern, read_event
from shared.matching.native.encode import encoded
from shared.matching.pattern import FieldPattern
from shared.testing.examples import examples
from shared.testing.patterns import parsed_patterns
from shared.testing.scripts import script

pytestmark = pytest.mark.skipif(
    not native.IS_THERE, reason="the matching kernel is not there: python scripts/kernel.py says why"
)

_EVERY_BIT = 2**64 - 1
_MASKS = st.sampled_from([_EVERY_BIT, 0, 1, 0xFF << 48, 7 << 56])  # of hashes: all, none, few, tags or parts only
_TEXTS = st.sampled_from(
    [
        "",
        "a",
        "ab",
        "abc",
        "abcdefghi",
        "é",
        "aé",
        "éa",
        "éab",
        "日本",
        "日本語",
        "a日",
        "😀",
        "😀a",
        "ab😀",
        "\ud800",
        "ÿ",
        "Ā",
    ]
)
_NUMBERS = st.sampled_from(
    [0, -0.0, 1, -1, 2, 2.5, 8, 63.999, 64, 1e300, -1e300, 0.1, 5e-324, -5e-324, 2**53, -(2**53), 2**53 - 1, 2.0**60]
)
_EVENT_NUMBERS = st.one_of(_NUMBERS, st.sampled_from([2**53 + 1, 2**63, 2**64 - 1, -(2**53) - 1]))
_BOUNDS = st.lists(_NUMBERS, min_size=2, max_size=2, unique_by=float).map(sorted)
_ENTRIES = st.one_of(
    _TEXTS,
    _TEXTS,
    _NUMBERS,
    st.sampled_from([True, False, None]),
    _TEXTS.map(lambda text: {"prefix": text}),
    _TEXTS.map(lambda text: {"suffix": text}),
    _BOUNDS.map(lambda both: {"numeric": [">=", both[0], "<", both[1]]}),
    _BOUNDS.map(lambda both: {"numeric": [">", both[0], "<=", both[1]]}),
    _NUMBERS.map(lambda number: {"numeric": ["<", number]}),
    _NUMBERS.map(lambda number: {"numeric": ["=", number]}),
    st.lists(_TEXTS, min_size=1, max_size=12, unique=True).map(lambda texts: {"anything-but": texts}),
    st.lists(_NUMBERS, min_size=1, max_size=3).map(lambda numbers: {"anything-but": numbers}),
    st.booleans().map(lambda there: {"exists": there}),
)
_PATHS = ["t", "s", "d", "d.x", "d.y", "d.x.z", "e.x", "d..y"]
_RULES = st.dictionaries(
    st.sampled_from(_PATHS), st.lists(_ENTRIES, min_size=1, max_size=4), min_size=1, max_size=len(_PATHS)
)
_SCALARS = st.one_of(_TEXTS, _EVENT_NUMBERS, st.sampled_from([True, False, None]))
_VALUES = st.recursive(
    st.one_of(_SCALARS, _SCALARS, _SCALARS),
    lambda inner: st.one_of(
        st.dictionaries(st.sampled_from(["x", "y", "z", "", "x.z", "n"]), inner, max_size=5),
        st.lists(inner, max_size=2),
    ),
    max_leaves=6,
)
_EVENTS = st.dictionaries(st.sampled_from(["t", "s", "d", "e", "other", "d.x"]), _VALUES, max_size=6)


def _told(pattern: Pattern, dice: random.Random) -> Any:
    """As the index in Python would tell it, filed under any field that can lead to it; None where the kernel cannot."""
    (alternative,) = pattern.alternatives
    fields: list[FieldPattern] = list(alternative.fields)
    dice.shuffle(fields)
    for at in range(len(fields)):
        told = encoded((fields[at], *fields[:at], *fields[at + 1 :]))
        if told is not None:
            return told
    return None


def _is_plain(value: Any) -> bool:
    """Whether the kernel has no reason to leave an event to Python."""
    if isinstance(value, dict):
        return all("." not in key and _is_plain(member) for key, member in value.items())
    return not isinstance(value, list) and not (type(value) is int and abs(value) > 2**53)


@settings(max_examples=examples(200), deadline=None)
@given(st.lists(_RULES, max_size=14), st.lists(_EVENTS, min_size=1, max_size=6), _MASKS, st.randoms())
def test_equal_to_asking_every_pattern_after_adds_and_removes(
    documents: list[dict[str, Any]], trees: list[dict[str, Any]], mask: int, dice: random.Random
) -> None:
    index = native.Index[int](hash_mask=mask)
    patterns = [(pattern, told) for pattern in parsed_patterns(documents) if (told := _told(pattern, dice)) is not None]
    rules: dict[int, tuple[Pattern, int]] = {}
    for step in range(4 * len(patterns)):
        pattern, told = dice.choice(patterns)
        if rules and dice.random() < 0.3:
            _, number = rules.pop(dice.choice(list(rules)))
            index.remove(number)
        else:
            rules[step] = (pattern, index.add(step, told))
    assert len(index) == len(rules)
    for tree in trees:
        event = event_from_value(tree)
        expected = {rule for rule, (pattern, _) in rules.items() if matches(pattern, event)}
        for _ in range(2):
            found = index.find(event)
            if found is None:
                assert not _is_plain(tree)
            else:
                assert set(found) == expected
    for _, number in rules.values():
        index.remove(number)
    assert index.is_bare
    assert index.find(event_from_value({})) == []


@pytest.mark.parametrize("mask", [_EVERY_BIT, 0])
def test_crowded_buckets_become_levels_many_deep_and_are_left_again(mask: int) -> None:
    dice = random.Random(3)
    keys = "abcd"
    documents = [
        {"t": ["same"], **{key: [f"{dice.randrange(3)}" for _ in range(1 + (key == "b"))] for key in keys}}
        for _ in range(300 if mask else 120)
    ]
    patterns = [parse_pattern(document) for document in documents]
    index = native.Index[int](hash_mask=mask)
    fields = {id(pattern): {each.path: each for each in pattern.alternatives[0].fields} for pattern in patterns}
    rules: dict[int, int] = {}

    def check() -> None:
        for _ in range(30):
            tree = {"t": "same", **{key: f"{dice.randrange(3)}" for key in keys}}
            expected = {number for number in rules if matches(patterns[number], event_from_value(tree))}
            assert set(index.find(tree) or ()) == expected

    for number, pattern in enumerate(patterns):
        order = ["t", *dice.sample(keys, len(keys))]
        told = encoded([fields[id(pattern)][path] for path in order])
        assert told is not None
        rules[number] = index.add(number, told)
    check()
    for number in dice.sample(list(rules), len(rules) // 2):
        index.remove(rules.pop(number))
    check()
    for kernel_number in rules.values():
        index.remove(kernel_number)
    assert index.is_bare


def _index_of(*documents: dict[str, Any], mask: int = _EVERY_BIT) -> "native.Index[int]":
    index = native.Index[int](hash_mask=mask)
    for number, document in enumerate(documents):
        told = encoded(parse_pattern(document).alternatives[0].fields)
        assert told is not None
        index.add(number, told)
    return index


@pytest.mark.parametrize("mask", [_EVERY_BIT, 0])
def test_equal_hashes_are_not_taken_for_equal_values(mask: int) -> None:
    texts = ["ab", "ac", "aé", "日本", "日語", "abc", "abd"]
    numbers = [0, 1, 2.5, -1, 1e300]
    index = _index_of(
        *({"t": [text]} for text in texts),
        *({"t": [{"prefix": text}]} for text in texts),
        *({"t": [number]} for number in numbers),
        *({"t": [constant]} for constant in (True, False, None)),
        *({"t": [{"numeric": [">=", number, "<", number + 1]}]} for number in numbers[:4]),
        *({"u": [text]} for text in texts),
        mask=mask,
    )
    kinds = [len(texts), len(texts), len(numbers), 3, 4]
    first = [sum(kinds[:at]) for at in range(len(kinds))]

    for text in [*texts, "xy", "a", "abz", "日本ab"]:
        expected = [at for at, exact in enumerate(texts) if exact == text]
        expected += [first[1] + at for at, prefix in enumerate(texts) if text.startswith(prefix)]
        assert sorted(index.find({"t": text}) or ()) == expected
    for number in [*numbers, 0.5, 3.4, -0.0, 7]:
        expected = [first[2] + at for at, exact in enumerate(numbers) if exact == number]
        expected += [first[4] + at for at, low in enumerate(numbers[:4]) if low <= number < low + 1]
        assert sorted(index.find({"t": number}) or ()) == expected
    for at, constant in enumerate((True, False, None)):
        assert index.find({"t": constant}) == [first[3] + at]


def test_ranges_end_where_they_say() -> None:
    bounds = [(sign_low, sign_high) for sign_low in (">", ">=") for sign_high in ("<", "<=")]
    index = _index_of(*({"t": [{"numeric": [low, 10, high, 12.5]}]} for low, high in bounds))
    as_rest = _index_of(*({"a": ["a"], "t": [{"numeric": [low, 10, high, 12.5]}]} for low, high in bounds))

    for number in (9, 9.999, 10, 10.001, 11, 12.499, 12.5, 12.501, 13):
        expected = [
            at
            for at, (low, high) in enumerate(bounds)
            if (number > 10 or (number == 10 and low == ">=")) and (number < 12.5 or (number == 12.5 and high == "<="))
        ]
        assert sorted(index.find({"t": number}) or ()) == expected
        assert sorted(as_rest.find({"a": "a", "t": number}) or ()) == expected


@pytest.mark.parametrize(
    "tree",
    [
        {"d": {"x": ["v"]}},
        {"d": [{"x": "v"}]},
        {"d.x": "v"},
        {"d.x": "v", "d": {"x": "w"}},
        {"d": {"x": 2**53 + 1}},
        {"d": {"x": ("v", "w")}},
        {"d": ({"x": "v"}, {"x": "w"})},
    ],
)
def test_events_that_take_more_are_left_to_python(tree: dict[str, Any]) -> None:
    assert _index_of({"d": {"x": ["v"]}}).find(tree) is None


def test_what_no_rule_looks_at_does_not_matter() -> None:
    index = _index_of({"d": {"x": ["v"]}})

    assert index.find({"d": {"x": "v", "lines": [1], "y.z": 1}, "n": 2**70, "a.b": [[]], 7: 8}) is None  # a key of 7
    assert index.find({"d": {"x": "v", "lines": [1], "y.z": 1}, "n": 2**70, "a.b": [[]]}) == [0]


def test_a_slowly_read_event_is_left_to_python() -> None:
    event = read_event(b'{"d":{"x":"v","x":"w"}}')

    assert _index_of({"d": {"x": ["v"]}}).find(event) is None


def test_prefixes_may_end_within_texts_of_any_width() -> None:
    texts = ["ab", "aé", "é", "日本", "a日", "😀", "ab😀", "日😀"]
    index = _index_of(*({"t": [{"prefix": text}]} for text in texts))

    for text in texts:
        for more in ("", "c", "é", "語", "😀"):
            expected = [number for number, prefix in enumerate(texts) if (text + more).startswith(prefix)]
            assert sorted(index.find({"t": text + more}) or ()) == expected


def test_long_texts_and_many_values_on_one_path_are_exact() -> None:
    texts = [f"{'x' * length}{number}" for length in (0, 7, 8, 15, 16, 40, 3_000) for number in range(60)]
    index = _index_of(*({"t": [text]} for text in texts))

    for number, text in enumerate(texts):
        assert index.find({"t": text}) == [number]
        assert index.find({"t": text + "x"}) == []


def test_many_prefix_lengths_and_grid_widths_are_all_looked_up() -> None:
    lengths = range(1, 90)
    ranges = [(-(2.0**exponent), 2.0**exponent) for exponent in range(-300, 300, 7)]
    index = _index_of(
        *({"t": [{"prefix": "p" * length}]} for length in lengths),
        *({"n": [{"numeric": [">", low, "<", high]}]} for low, high in ranges),
    )

    assert len(index.find({"t": "p" * 50}) or ()) == 50
    for value in (0, 1, -1.5, 1e-80, 1e80, 2.0**35):
        expected = sum(low < value < high for low, high in ranges)
        assert len(index.find({"n": value}) or ()) == expected


def test_rules_of_many_fields_are_known_up_to_a_limit() -> None:
    event = {f"k{number}": "v" for number in range(20)}
    for count, is_known in ((5, True), (16, True), (17, False)):
        pattern = parse_pattern({f"k{number}": ["v"] for number in range(count)})
        told = encoded(pattern.alternatives[0].fields)
        assert (told is not None) == is_known
        index: PatternIndex[int] = PatternIndex()
        index.add(1, pattern)
        assert index.candidates(event_from_value(event)) == [1]


def test_an_id_is_answered_once_whoever_finds_it() -> None:
    index: PatternIndex[str] = PatternIndex()
    index.add("both", parse_pattern({"t": ["a"]}), parse_pattern({"t": [{"wildcard": "a*"}]}))
    index.add("twice", parse_pattern({"t": ["a", {"prefix": "a"}]}))
    for number in range(40):
        index.add(f"other {number}", parse_pattern({"t": ["a"]}), parse_pattern({"t": [{"prefix": "a"}]}))

    found = index.candidates(read_event(b'{"t":"a"}'))

    assert sorted(found) == sorted(["both", "twice", *(f"other {number}" for number in range(40))])


def test_wide_objects_and_deep_paths_cost_no_more_than_their_members() -> None:
    index = _index_of({"a": {"b": {"c": {"d": {"e": ["v"]}}}}}, {"m9999": ["v"]})
    event = read_event(json.dumps({f"m{number}": "v" for number in range(20_000)}).encode())

    assert index.find(event) == [1]
    assert index.find({"a": {"b": {"c": {"d": {"e": "v"}}}}}) == [0]
    assert index.find({"a": {"b.c": {}}}) is None
    assert index.find({"a": {"b": {"c": "x", "c.d": 1}}}) is None


def test_the_kernel_is_built_from_these_sources() -> None:
    assert script("kernel").state() == native.BUILT_FROM, "compile it anew: python scripts/kernel.py"
