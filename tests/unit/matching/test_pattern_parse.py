"""Reading patterns: what is refused, where the flaw is, and that nothing but `InvalidInput` ever escapes."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.errors import InvalidInput
from shared.matching import event_from_value, explain, matches, parse_pattern, read_event

_SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=5)
)
_KEYS = st.one_of(
    st.text(max_size=3),
    st.sampled_from(
        ["$or", "prefix", "suffix", "numeric", "anything-but", "exists", "wildcard", "cidr", "equals-ignore-case"]
    ),
)
_JSON = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(_KEYS, inner, max_size=4)),
    max_leaves=12,
)


def _flaws(source: Any, **options: Any) -> dict[str, str]:
    with pytest.raises(InvalidInput) as caught:
        parse_pattern(source, **options)
    return {flaw.pointer: flaw.detail for flaw in caught.value.flaws}


@pytest.mark.parametrize(
    ("source", "pointer", "says"),
    [
        ("[1]", "#", "JSON object"),
        ("{}", "#", "empty object"),
        ('{"a": "x"}', "#/a", "write [value]"),
        ('{"a": []}', "#/a", "empty array"),
        ('{"a": {"b/c": {}}}', "#/a/b~1c", "empty object"),
        ('{"a": [["x"]]}', "#/a/0", "no array in an array"),
        ('{"a": [{}]}', "#/a/0", "exactly one key"),
        ('{"a": ["ok", {"prefix": "a", "suffix": "b"}]}', "#/a/1", "exactly one key"),
        ('{"a": [{"Prefix": "x"}]}', "#/a/0", "case-sensitive"),
        ('{"a": [{"prefix": ["x"]}]}', "#/a/0/prefix", "one string"),
        ('{"a": [{"prefix": {"wildcard": "x"}}]}', "#/a/0/prefix/wildcard", "equals-ignore-case"),
        ('{"a": [{"exists": "true"}]}', "#/a/0/exists", "true or false"),
        ('{"a": [{"wildcard": "a**b"}]}', "#/a/0/wildcard", "in a row"),
        ('{"a": [{"wildcard": "a\\\\b"}]}', "#/a/0/wildcard", "backslash"),
        ('{"a": [{"wildcard": "*a*b*c*d*e*"}]}', "#/a/0/wildcard", "at most 5"),
        ('{"a": [{"cidr": "10.0.0.0"}]}', "#/a/0/cidr", "10.0.0.0/8"),
        ('{"a": [{"cidr": "10.0.0.1/32"}]}', "#/a/0/cidr", "plain string"),
        ('{"a": [{"cidr": "::ffff:a00:1/120"}]}', "#/a/0/cidr", "no IPv4 or IPv6"),
        ('{"a": [{"numeric": [">", 5, "<", 5]}]}', "#/a/0/numeric", "below"),
        ('{"a": [{"numeric": ["<", 5, ">", 0]}]}', "#/a/0/numeric", "lower bound"),
        ('{"a": [{"numeric": ["!=", 5]}]}', "#/a/0/numeric/0", "numeric takes"),
        ('{"a": [{"numeric": ["=", "5"]}]}', "#/a/0/numeric/1", "without quotes"),
        ('{"a": [{"numeric": ["=", 9007199254740993]}]}', "#/a/0/numeric/1", "fewer digits"),
        ('{"a": [{"numeric": ["<", 1e309]}]}', "#/a/0/numeric/1", "fewer digits"),
        ('{"a": [{"anything-but": ["x", 1]}]}', "#/a/0/anything-but", "list of strings"),
        ('{"a": [{"anything-but": true}]}', "#/a/0/anything-but", "list of strings"),
        ('{"a": [{"anything-but": {"cidr": "10.0.0.0/8"}}]}', "#/a/0/anything-but/cidr", "prefix"),
        ('{"a": [{"anything-but": {"prefix": ""}}]}', "#/a/0/anything-but/prefix", "empty prefix"),
        ('{"$or": [{"a": [1]}]}', "#/$or", "at least two"),
        ('{"$or": {"x": [1]}}', "#/$or", "array of two or more"),
        ('{"$or": [{"a": [1]}, 1]}', "#/$or/1", "object of fields"),
        ('{"$or": [{"prefix": ["x"]}, {"b": [2]}]}', "#/$or/0/prefix", "operator's name"),
        ('{"a": [1], "a": [2]}', "#/a", "twice"),
        ('{"a": {"b": [1]}, "a.b": [2]}', "#/a.b", "described twice"),
        ('{"a": [1], "$or": [{"a": [2]}, {"b": [3]}]}', "#/$or/0/a", "described twice"),
        ('{"a": [1]} x', "#", "line 1, column 12"),
        ('{"a": [NaN]}', "#", "NaN"),
        (b'{"a": ["\xff"]}', "#", "UTF-8"),
        ({"a": [float("nan")]}, "#/a/0", "no JSON value"),
        ({"a": [{1}]}, "#/a/0", "set"),
        ({1: ["x"]}, "#", "no string"),
    ],
)
def test_a_flaw_says_where_what_and_how_to_mend(source: Any, pointer: str, says: str) -> None:
    flaws = _flaws(source)

    assert says in flaws[pointer]


def test_all_flaws_are_named_at_once() -> None:
    assert set(_flaws('{"a": 1, "b": [], "c": {"d": [{"x": 1}]}}')) == {"#/a", "#/b", "#/c/d/0"}


def test_duplicate_keys_last_wins_on_request_and_objects_are_merged() -> None:
    pattern = parse_pattern('{"a": ["x"], "a": ["y"], "o": {"p": [1]}, "o": {"q": [2]}}', duplicate_keys="last_wins")

    assert pattern.paths == {"a", "o.p", "o.q"}
    assert matches(pattern, event_from_value({"a": "y", "o": {"p": 1, "q": 2}}))
    assert not matches(pattern, event_from_value({"a": "y", "o": {"q": 2}}))
    assert not matches(pattern, event_from_value({"a": "x", "o": {"p": 1, "q": 2}}))


def test_or_as_a_field_only_on_request() -> None:
    source = '{"$or": [{"cidr": "10.0.0.0/24"}]}'

    assert "#/$or/0/cidr" in _flaws(source)
    assert matches(parse_pattern(source, legacy_or=True), event_from_value({"$or": "10.0.0.9"}))
    assert "#/$or" in _flaws('{"$or": [{"a": [1]}]}', legacy_or=True)


def test_bounds_on_alternatives_fields_and_depth() -> None:
    many = [{"a": [number]} for number in range(1001)]
    assert any("combinations" in detail for detail in _flaws({"$or": many}).values())
    parse_pattern({"$or": many[:1000]})
    three = {"$or": [{"a": [1]}, {"b": [1]}, {"c": [1]}]}
    parse_pattern({f"f{index}": three for index in range(6)})
    assert any("together" in detail for detail in _flaws({f"f{index}": three for index in range(7)}).values())

    assert "at most 256" in _flaws({f"f{index}": [1] for index in range(257)})["#"]
    parse_pattern({f"f{index}": [1] for index in range(256)})

    deep: dict[str, Any] = {"x": [1]}
    for _ in range(150):
        deep = {"x": deep}
    assert any("levels" in detail for detail in _flaws(deep).values())
    assert _flaws('{"x":' * 100_000)


@given(_JSON)
def test_parsing_is_total_and_text_and_value_agree(document: Any) -> None:
    text = json.dumps(document)
    outcomes: list[Any] = []
    for source in (text, document) if isinstance(document, dict) else (text,):
        try:
            outcomes.append(parse_pattern(source))
        except InvalidInput as refusal:
            assert refusal.flaws
            outcomes.append([flaw.pointer for flaw in refusal.flaws])

    assert all(outcome == outcomes[0] for outcome in outcomes)


@given(st.one_of(st.text(max_size=40), st.binary(max_size=40)))
def test_any_text_parses_or_is_refused(text: str | bytes) -> None:
    try:
        parse_pattern(text)
    except InvalidInput as refusal:
        assert refusal.flaws


@given(
    st.dictionaries(st.sampled_from(["a", "b", "$or"]), st.lists(_JSON, min_size=1, max_size=3), min_size=1),
    st.dictionaries(st.sampled_from(["a", "b", "a.b"]), _JSON),
)
def test_what_parses_can_be_asked_and_explained(document: dict[str, Any], event: dict[str, Any]) -> None:
    try:
        pattern = parse_pattern(document)
    except InvalidInput:
        return
    fields = read_event(json.dumps(event).encode())

    assert explain(pattern, fields).matches == matches(pattern, fields)


def test_unfolding_is_bounded_before_it_is_done() -> None:
    fields = {f"b{number}": [1] for number in range(250)}
    alternatives = [{"a": [number]} for number in range(1000)]
    for document in ({"$or": alternatives, **fields}, {**fields, "$or": alternatives}):
        assert "more than 10000 fields together" in _flaws(document)["#"]
    parse_pattern({"$or": alternatives, "b": [1], "c": [2]})
