"""Reading events: nothing that JSON says is lost, whichever way the text is read."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.errors import InvalidInput
from shared.matching import event_from_value, event_of, has_duplicate_keys, matches, parse_pattern, read_event
from shared.matching.event import DEPTH_MAX, read_value
from shared.matching.json_text import ordered_object, read_json
from shared.matching.numbers import LossyNumber, read_number

_TOKENS = st.one_of(
    st.from_regex(r"-?(0|[1-9][0-9]{0,18})(\.[0-9]{1,18})?([eE][+-]?[0-9]{1,3})?", fullmatch=True),
    st.text(max_size=6).map(json.dumps),
    st.text(alphabet='ab:,1234567890 {}[]e-\\"', max_size=24).map(json.dumps),
    st.sampled_from(["true", "false", "null", "[]", "{}"]),
)
_SPACE = st.sampled_from(["", "", " ", "\n", "\t "])
_KEY_TEXTS = st.sampled_from(['"a"', '"b"', '"a.b"', '"a:b"', '"a b"', '"\\u0061"', '"é"', '"\\u003a"'])


@st.composite
def _texts(draw: Any, depth: int = 0) -> str:
    """JSON texts in every spelling: spaces, escapes, duplicate members, long numbers."""
    kind = draw(st.integers(0, 3 if depth < 3 else 0))
    if kind == 0 and depth:
        return str(draw(_TOKENS))
    inner = [draw(_texts(depth + 1)) for _ in range(draw(st.integers(0, 3)))]
    space = draw(_SPACE)
    if kind == 1 and depth:
        return "[" + f"{space},{space}".join(inner) + "]"
    members = [f"{draw(_KEY_TEXTS)}{space}:{space}{value}" for value in inner]
    return "{" + f",{space}".join(members) + "}"


def _exactly(value: Any) -> Any:
    """The tree that `read_value` promises, from the reader that keeps everything."""
    if isinstance(value, list):
        return [_exactly(item) for item in value]
    if not hasattr(value, "members"):
        return value
    members: dict[str, list[Any]] = {}
    for key, member in value.members:
        members.setdefault(key, []).append(_exactly(member))
    return {key: found[0] if len(found) == 1 else tuple(found) for key, found in members.items()}


def _normal(value: Any) -> Any:
    """Large integers and lossy numbers may be kept either way: by their token they are the same."""
    if isinstance(value, dict):
        return {key: _normal(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_normal(item) for item in value)
    if isinstance(value, int) and not isinstance(value, bool):
        return read_number(str(value))
    return value


@given(_texts())
def test_the_fast_way_and_the_slow_way_read_the_same(text: str) -> None:
    exact = _exactly(read_json(text, title="text", on_object=ordered_object))

    assert _normal(read_value(text.encode())) == _normal(exact)
    assert has_duplicate_keys(text.encode()) == ("(" in repr(_shape(exact)))


def _shape(value: Any) -> Any:
    if isinstance(value, dict):
        return [_shape(member) for member in value.values()]
    if isinstance(value, list):
        return [_shape(item) for item in value]
    return (0, *map(_shape, value)) if isinstance(value, tuple) else 0


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a":1,"a":2}',
        b'{ "a" : 1 , "a" : 2 }',
        b'{"a":1,"\\u0061":2}',
        b'{"a":1,"x":"\\u003a","a":2}',
        b'{"a":1,"a":2,"n":1e20,"m":1E5}',
    ],
)
def test_both_values_of_a_duplicate_member_match(raw: bytes) -> None:
    event = read_event(raw)

    assert matches(parse_pattern({"a": [1]}), event)
    assert matches(parse_pattern({"a": [2]}), event)
    assert has_duplicate_keys(raw)


@pytest.mark.parametrize("token", ["0.30000000000000001", "1e309", "123456789012345678901", "1.5e-320", "1e-400"])
@pytest.mark.parametrize("layout", ['{"n":%s}', '{ "n" : %s, "k":"\\u00e9" }', '{"x":["\\/",%s],"n":%s}'])
def test_digits_survive_every_layout(token: str, layout: str) -> None:
    text = layout.replace("%s", token)

    assert read_event(text.encode())["n"] == read_number(token)


def test_long_digit_runs_in_strings_stay_on_the_fast_way() -> None:
    root = read_event(b'{"account": "12345678901234567890", "k":"\\u00e9", "n": 1.5}')

    assert root == {"account": "12345678901234567890", "k": "é", "n": 1.5}


@pytest.mark.parametrize(
    "raw", [b"", b"[1]", b'"x"', b"1", b'{"a":1} x', b'{"a":NaN}', b"{'a':1}", b"\xff", b'{"a":01}']
)
def test_what_is_no_json_object_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidInput):
        read_event(raw)


@pytest.mark.parametrize("text", ['{"a":', "[", '{"a":[1,'])
def test_depth_is_bounded_whichever_way_it_is_read(text: str) -> None:
    for nested in (text * 100_000, '{"a":' * (DEPTH_MAX + 1) + "1e309" + "}" * (DEPTH_MAX + 1)):
        with pytest.raises(InvalidInput):
            read_event(nested.encode())
    deep = '{"a":' * (DEPTH_MAX - 1) + "1" + "}" * (DEPTH_MAX - 1)
    assert matches(parse_pattern({"b": [{"exists": False}]}), read_event(deep.encode()))


def test_lone_surrogates_are_kept_apart() -> None:
    event = read_event(b'{"a":"\\ud800"}')

    assert matches(parse_pattern('{"a":["\\ud800"]}'), event)
    assert not matches(parse_pattern('{"a":["\\ud801"]}'), event)


def test_an_event_is_put_together_from_envelope_and_data() -> None:
    data = b'{"amount_minor": 12345678901234567890123, "tags": ["x", "y"]}'

    event = event_of({"type": "order.refunded", "tenantid": "t1"}, data)

    whole = b'{"type":"order.refunded","tenantid":"t1","data":' + data + b"}"
    assert event == read_event(whole)
    assert event["data"]["amount_minor"] == LossyNumber("12345678901234567890123")
    assert "data" not in event_of({"type": "x"}, None)
    assert event_of({}, b"[1]") == {"data": [1]}
    with pytest.raises(InvalidInput):
        event_of({}, b"plain text")


def test_a_parsed_value_is_checked_and_copied() -> None:
    shared_list = [{"x": 1}, {"y": 2}]
    event = event_from_value({"a": shared_list, "b": shared_list})

    assert matches(parse_pattern({"a": {"x": [1]}, "b": {"y": [2]}}), event)  # two arrays, though one Python list
    assert event_from_value({"n": 2**64}) == {"n": LossyNumber("18446744073709551616")}
    for bad in ({"a": (1, 2)}, {"a": float("inf")}, {"a": {1: 2}}, {"a": b"x"}):
        with pytest.raises(InvalidInput):
            event_from_value(bad)


@given(st.recursive(st.one_of(st.integers(), st.text(), st.floats(allow_nan=False)), st.lists, max_leaves=5))
def test_what_is_written_canonically_is_read_as_it_is(value: Any) -> None:
    try:
        raw = orjson.dumps({"v": value})
    except TypeError:
        return  # beyond 64 bits, or infinite as null: not canonical
    if b"null" not in raw:
        assert read_event(raw)["v"] == value
