"""What the kernel's scan says of a text: "nothing lost" never where something is, and always of ordinary texts."""

import json
import random
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.errors import InvalidInput
from shared.matching import native, read_event
from shared.matching.event import DEPTH_MAX, SlowlyRead, read_event_in_python
from shared.matching.json_text import ordered_object, read_json

pytestmark = pytest.mark.skipif(
    not native.IS_THERE, reason="the matching kernel is not there: python scripts/kernel.py says why"
)

_DIGITS = st.from_regex(r"-?(0|[1-9][0-9]{0,21})(\.[0-9]{1,19})?([eE][+-]?[0-9]{1,4})?", fullmatch=True)
_STRINGS = st.one_of(
    st.text(max_size=20).map(json.dumps),
    st.text(max_size=20).map(lambda text: json.dumps(text, ensure_ascii=False)),
    st.text(alphabet='a":{}[],\\1.', max_size=20).map(json.dumps),
)
_NAMES = st.sampled_from(['"a"', '"b"', '"\\u0061"', '"é"', '"\\u00e9"', '""', '"a:"', '"abcdefghi"', '"abcdefghj"'])
_SPACE = st.sampled_from(["", "", "", " ", "\n\t "])


def _joined(opening: str, items: list[str], closing: str, space: str) -> str:
    return opening + space + f"{space},{space}".join(items) + space + closing


def _objects(inner: Any) -> Any:
    members = st.lists(st.tuples(_NAMES, inner), max_size=4)
    return st.builds(
        lambda pairs, space: _joined("{", [f"{name}{space}:{space}{value}" for name, value in pairs], "}", space),
        members,
        _SPACE,
    )


_TEXTS = st.recursive(
    st.one_of(_DIGITS, _STRINGS, st.sampled_from(["true", "false", "null"])),
    lambda inner: st.one_of(
        st.builds(lambda items, space: _joined("[", items, "]", space), st.lists(inner, max_size=4), _SPACE),
        _objects(inner),
    ),
    max_leaves=12,
)


def _loses(text: str) -> bool:
    """Whether the fast parser's value is not all that the text says, judged by the reader that keeps everything."""
    exact = read_json(text, title="text", on_object=ordered_object)
    return bool(_differs(orjson.loads(text), exact))


def _differs(parsed: Any, exact: Any) -> bool:
    if hasattr(exact, "members"):
        return len(parsed) != len(exact.members) or any(_differs(parsed[key], value) for key, value in exact.members)
    if isinstance(exact, list):
        return any(_differs(one, other) for one, other in zip(parsed, exact, strict=True))
    if isinstance(parsed, int | float) and not isinstance(parsed, bool):
        token = getattr(exact, "token", None)
        return bool(parsed != exact) if token is None else not (isinstance(parsed, int) and str(parsed) == token)
    return bool(parsed != exact)


@given(_TEXTS)
def test_nothing_is_called_whole_that_lost_something(text: str) -> None:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return  # 1e309: the scan is not asked
    if native.is_lossless(text.encode()):
        assert not _loses(text)


@given(_objects(_TEXTS))
def test_both_ways_read_the_same_event_and_agree_on_what_was_read_slowly(text: str) -> None:
    fast, in_python = read_event(text.encode()), read_event_in_python(text.encode())

    assert fast == in_python
    if type(fast) is SlowlyRead:
        assert type(in_python) is SlowlyRead


@pytest.mark.parametrize(
    "text",
    [
        '{"type":"order.refunded","data":{"amount_minor":1050,"currency":"EUR","lines":[{"a":1},{"a":1}],"x":null}}',
        '{ "a" : 1.50 ,\n\t"b" : [ -0.25e10, 1E5, 3e-7 ], "c" : { } , "d" : "\\u00e9 \\" \\\\" }',
        '{"id":999999999999999999,"negative":-999999999999999999,"zero":0,"minus":-0,"same":{"id":1}}',
        '{"é":1,"e":2,"\U0001f600":{"é":"\U0001f600"}}',
        '{"account":"12345678901234567890","formula":"{\\"a\\":1,\\"a\\":2}"}',
        json.dumps({f"member {number}": number for number in range(200)}),
        json.dumps([{"a": 1, "b": {"a": 2}}] * 500),
        json.dumps({"a": {"b": {"c": [{"d": [True, False, None, {}, [], ""]}]}}}, indent=8),
    ],
)
def test_ordinary_texts_are_whole(text: str) -> None:
    assert native.is_lossless(text.encode())


@pytest.mark.parametrize(
    "token", ["0.30000000000000001", "123456789012345678901", "-9999999999999999999", "1.5e-320", "1e-400", "1e+0309"]
)
@pytest.mark.parametrize("layout", ["%s", "[%s]", '{"n":%s}', '{"n" : %s , "m":1}', '{"a":["x",{"b":[1,%s]}]}'])
def test_long_numbers_are_looked_at_closer(token: str, layout: str) -> None:
    assert not native.is_lossless(layout.replace("%s", token).encode())


@pytest.mark.parametrize("length", [*range(1, 40), 100, 1_000])
def test_names_that_come_twice_are_seen_wherever_they_stand(length: int) -> None:
    name, other = "n" * length, "n" * (length - 1) + "m"

    for space in ("", " ", " " * 20):
        assert not native.is_lossless(f'{{"{name}":1,"{name}":2}}{space}'.encode())
        assert not native.is_lossless(f'{{"{name}":{{"{name}":1}},"{other}":[],{space}"{name}":2}}'.encode())
        assert native.is_lossless(f'{{"{name}":1,"{other}":{{"{name}":2}}}}{space}'.encode())


def test_an_empty_name_and_an_escaped_one_are_looked_at() -> None:
    assert not native.is_lossless(b'{"":1,"":2}')
    assert not native.is_lossless(b'{"a":1,"\\u0061":2}')
    assert native.is_lossless(b'{"":1,"a":2}')


@pytest.mark.parametrize("count", [64, 65, 255, 256, 257, 20_000])
def test_a_member_that_comes_twice_is_seen_among_many(count: int) -> None:
    names = [f'"member-{number}":0' for number in range(count)]
    dice = random.Random(count)

    for _ in range(5):
        again = [*names, dice.choice(names)]
        dice.shuffle(again)
        assert not native.is_lossless(("{" + ",".join(again) + "}").encode())
    assert type(read_event(("{" + ",".join(names) + "}").encode())) is dict


def test_depth_is_judged_as_before() -> None:
    for depth in (DEPTH_MAX - 1, DEPTH_MAX, DEPTH_MAX + 1, DEPTH_MAX + 20):
        for text in ('{"a":' * depth + "1" + "}" * depth, '{"a":' + "[" * depth + "1" + "]" * depth + "}"):
            outcomes = []
            for read in (read_event, read_event_in_python):
                try:
                    outcomes.append(str(read(text.encode())))
                except InvalidInput as error:
                    outcomes.append(repr(error))
            assert outcomes[0] == outcomes[1]


@given(st.binary(max_size=200))
def test_any_bytes_are_read_within_their_bounds(raw: bytes) -> None:
    assert native.is_lossless(raw) in (True, False)


@given(_TEXTS, st.data())
def test_any_damaged_text_is_read_within_its_bounds(text: str, data: Any) -> None:
    raw = bytearray(text.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw)))
        raw[at : at + data.draw(st.integers(0, 2))] = data.draw(
            st.sampled_from([b"", b'"', b"\\", b"{", b"}", b"]", b":"])
        )
    assert native.is_lossless(bytes(raw)) in (True, False)


def test_what_is_no_bytes_is_left_to_python() -> None:
    assert read_event(bytearray(b'{"a":1}')) == {"a": 1}  # type: ignore[arg-type]  # what callers may have all the same
    with pytest.raises(TypeError):
        read_event()  # type: ignore[call-arg]  # on purpose
