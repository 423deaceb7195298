"""Reading JSON from outside: one meaning or none."""

import json
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.errors import InvalidInput
from shared.domain.json_text import DEPTH_MAX, lost_numbers, read_json, read_json_with_whole_numbers, with_member
from shared.testing.examples import examples


def flaw_of(body: bytes) -> str:
    with pytest.raises(InvalidInput) as caught:
        read_json(body)
    (flaw,) = caught.value.flaws
    assert flaw.pointer == "#"
    return flaw.detail


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "empty"),
        (b" \r\n\t", "empty"),
        (b"this is not JSON", "cannot be parsed"),
        (b'{"a":1', "cannot be parsed"),
        (b"{'a':1}", "cannot be parsed"),
        (b"[1,]", "cannot be parsed"),
        (b"NaN", "cannot be parsed"),
        (b"{} {}", "cannot be parsed"),
        (b"a=1&b=2", "cannot be parsed"),
        (b'{"a":"\xff"}', "not UTF-8: byte 6"),
        ('{"a":1}'.encode("utf-16"), "not UTF-8"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        (b'"\\ud800"', "cannot be parsed"),
        (b"[" * 10_000 + b"]" * 10_000, "nested deeper than 128"),
        (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "nested deeper than 128"),
        (b"[" * 129 + b"]" * 129, "nested deeper than 128"),
        (b"[" * 1_000 + b"]" * 1_000, "nested deeper than 128"),
        (b'{"a":1,"a":2}', "'a' stands twice"),
        (b'{"a":1,"b":{"c":1,"d":[{"c":1,"c" : 1}]}}', "'c' stands twice"),
        (b'{"a":1,"\\u0061":2}', "'a' stands twice"),
        (b'{"":1,"":1}', "'' stands twice"),
        (b'{"x":"\\u003a\\u003A","a":"::","a":""}', "'a' stands twice"),
    ],
)
def test_what_has_no_single_meaning_is_refused_with_its_flaw(body: bytes, why: str) -> None:
    assert why in flaw_of(body)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * DEPTH_MAX + b"]" * DEPTH_MAX,
        b'{"a":' * DEPTH_MAX + b"1" + b"}" * DEPTH_MAX,
        b"[" + b",".join([b"[[[]]]"] * 500) + b"]",
        json.dumps(["[" * 500, '"[{' * 200, "\\" * 301 + '"[', "]" * 9]).encode(),
        json.dumps([[["\\", '\\"', "[\\"]] * 100]).encode(),
        b'{"time":"12:30:00","url":"https://x/:","quoted":"\\"a\\":1"}',
        b'{"a" : 1 , "b"\n:\t2}',
        b'{"a":{"b":1},"b":1,"c":[{"b":1},{"b":1}]}',
        b'{"escaped":"\\u003a\\u003c","a":1}',
        b'"text"',
        b"null",
    ],
)
def test_what_has_one_meaning_is_read(body: bytes) -> None:
    assert read_json(body) == json.loads(body)


def test_numbers_beyond_64_bits_are_read_as_doubles() -> None:
    assert read_json(b"12345678901234567890123456789") == 12345678901234567890123456789.0


@pytest.mark.parametrize("token", ["9223372036854775808", "18446744073709551616", "-9223372036854775809", "9" * 300])
def test_whole_numbers_beyond_64_bits_are_read_as_written_where_that_is_asked_for(token: str) -> None:
    assert read_json_with_whole_numbers(b'{"a": [%s, 1.5, "%s"]}' % (token.encode(), b"1" * 30)) == {
        "a": [int(token), 1.5, "1" * 30]
    }
    with pytest.raises(InvalidInput):
        read_json_with_whole_numbers(b'{"a": %s, "a": 1}' % token.encode())


@pytest.mark.parametrize(
    "number", ["1" * 5000 + "e-4900", "-" + "7" * 5000, "1." + "1" * 4302, "1" * 2500 + "." + "1" * 2500]
)
def test_a_number_of_thousands_of_digits_is_refused(number: str) -> None:
    told = flaw_of(b'{"a":%s}' % number.encode())
    assert "are the most" in told or "cannot be parsed" in told


def test_digits_of_a_text_are_none_of_a_number() -> None:
    assert read_json(b'{"a":"%s","b":%s}' % (b"1" * 9000, b"1" * 300)) == {"a": "1" * 9000, "b": float("1" * 300)}


def test_a_long_key_is_cut_in_the_message() -> None:
    key = b"k" * 5_000
    assert len(flaw_of(b'{"' + key + b'":1,"' + key + b'":2}')) < 200


class Members(list[tuple[str, object]]):
    """An object as written: keys may stand twice."""


texts = st.text(alphabet=st.sampled_from('ab:"\\[]{}, \u00e9\U0001f600\n'), max_size=8)
documents = st.recursive(
    st.none() | st.integers(-5, 5) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.lists(st.tuples(texts, inner), max_size=4).map(Members),
    max_leaves=30,
)


def written(document: object, escape: bool, colon: str) -> str:
    def quoted(text: str) -> str:
        plain = json.dumps(text, ensure_ascii=escape)
        return plain.replace(":", "\\u003a") if escape else plain

    match document:
        case Members():
            members = (f"{quoted(key)}{colon}{written(value, escape, colon)}" for key, value in document)
            return "{" + ",".join(members) + "}"
        case list():
            return "[" + ",".join(written(each, escape, colon) for each in document) + "]"
        case str():
            return quoted(document)
        case _:
            return json.dumps(document)


def has_twins(document: object) -> bool:
    match document:
        case Members():
            keys = [key for key, _ in document]
            return len(set(keys)) < len(keys) or any(has_twins(value) for _, value in document)
        case list():
            return any(map(has_twins, document))
        case _:
            return False


@given(document=documents, escape=st.booleans(), colon=st.sampled_from([":", " :", ": ", "\n:\t"]))
@settings(max_examples=examples(500), deadline=None)
def test_a_key_that_stands_twice_is_always_found_and_never_imagined(document: object, escape: bool, colon: str) -> None:
    text = written(document, escape, colon)
    if has_twins(document):
        assert "twice" in flaw_of(text.encode())
    else:
        assert read_json(text.encode()) == json.loads(text)


@given(
    depth=st.integers(1, 2 * DEPTH_MAX),
    wide=st.integers(0, 200),
    text=st.text(alphabet=st.sampled_from('[]{}"\\x'), max_size=30),
    objects=st.booleans(),
)
@settings(max_examples=examples(200), deadline=None)
def test_depth_is_counted_exactly_whatever_strings_hold(depth: int, wide: int, text: str, objects: bool) -> None:
    document: object = text
    for level in range(depth):
        document = {text: document} if objects and level % 2 else [document, text]
    body = json.dumps([document, *[[text]] * wide]).encode()
    if depth + 1 > DEPTH_MAX:
        assert "nested deeper" in flaw_of(body)
    else:
        assert read_json(body) == json.loads(body)


@given(
    fields=st.dictionaries(st.text(max_size=5), st.integers(-5, 5) | texts, max_size=3),
    name=st.text(max_size=5),
    raw=st.sampled_from([b"{}", b' {"a" : 1.10000000000000000000001}\n', b"820982911946154508123", b'"\\u0000"']),
)
def test_a_member_is_spliced_in_to_the_byte(fields: dict[str, object], name: str, raw: bytes) -> None:
    if name in fields:
        with pytest.raises(ValueError, match="already"):
            with_member(fields, name, raw)
        return
    text = with_member(fields, name, raw)
    assert raw in text
    assert json.loads(text) == {**fields, name: json.loads(raw)}
    assert list(json.loads(text)) == [*fields, name]


@given(st.binary(max_size=60))
@settings(max_examples=examples(300), deadline=None)
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        read_json(body)
    except InvalidInput as error:
        assert error.flaws


@given(
    token=st.one_of(
        st.integers(-(2**70), 2**70).map(str),
        st.floats(allow_nan=False, allow_infinity=False).map(repr),
        st.from_regex(r"-?(0|[1-9][0-9]{0,24})(\.[0-9]{1,24})?(e-?[0-9]{1,2})?", fullmatch=True),
    )
)
def test_numbers_that_would_be_read_as_others_are_named_with_their_place(token: str) -> None:
    body = b'{"a~": [1, {"n": %s}], "text": "12345678901234567890123"}' % token.encode()
    value = read_json(body)
    assert isinstance(value, dict)
    read = value["a~"][1]["n"]
    is_kept = Decimal(token) == (Decimal(read) if isinstance(read, int) else Decimal(repr(read)))
    assert lost_numbers(body) == ([] if is_kept else [(("a~", 1, "n"), token)])


@pytest.mark.parametrize("token", ["1e-400", "3e-324", "-1e-99999999999999999999"])
def test_a_number_too_small_to_be_one_is_lost_whatever_its_exponent(token: str) -> None:
    assert lost_numbers(b"[%s]" % token.encode()) == [((0,), token)]
