"""YAML that says the same as JSON, and nothing else; whatever comes, no other exception and no great cost."""

import contextlib
import json

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from shared.domain.errors import InvalidInput
from shared.runtime.http.yaml_text import read_yaml

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=8), inner, max_size=4)
    ),
    max_leaves=20,
)


def flaw(text: str | bytes) -> str:
    with pytest.raises(InvalidInput) as caught:
        read_yaml(text.encode() if isinstance(text, str) else text)
    return caught.value.flaws[0].detail


@given(JSON_VALUES)
def test_json_is_yaml(value):
    assert read_yaml(json.dumps(value, ensure_ascii=False).encode()) == value


class Quoting(yaml.SafeDumper):
    """Quotes every text. Of itself this writer is one of YAML 1.1, to which `0E0` is no number: it leaves that bare."""


Quoting.add_representer(str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"'))


@given(JSON_VALUES)
@example(["0E0", "1e3", "0o7", "5"])
@example({"0E0": "0E0"})
def test_what_a_yaml_writer_quotes_comes_back(value):
    text = yaml.dump(value, Dumper=Quoting, allow_unicode=True)
    assert (
        read_yaml(text.encode()) == pytest.approx(value)
        if isinstance(value, float)
        else read_yaml(text.encode()) == value
    )


@given(st.binary(max_size=300) | st.text(max_size=200).map(str.encode))
def test_whatever_comes_is_a_value_or_invalid_input(body):
    with contextlib.suppress(InvalidInput):
        read_yaml(body)


def test_scalars_are_read_by_the_core_schema():
    text = "a: no\nb: on\nc: 2026-01-01\nd: 1_000\ne: 010\nf: 0E0\ng: ~\nh: 0x1F\ni: true\nj: 12:30\nk: '5'\nl: .5\nm: <<\n"
    assert read_yaml(text.encode()) == {
        "a": "no",
        "b": "on",
        "c": "2026-01-01",
        "d": "1_000",
        "e": 10,
        "f": 0.0,
        "g": None,
        "h": 31,
        "i": True,
        "j": "12:30",
        "k": "5",
        "l": 0.5,
        "m": "<<",
    }


def test_anchors_repeat_what_they_name():
    assert read_yaml(b"a: &x [1, 2]\nb: *x\n") == {"a": [1, 2], "b": [1, 2]}


def test_a_billion_laughs_are_refused_at_once():
    lines = ["a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    assert "counting what its aliases repeat" in flaw("\n".join(lines))


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3: the key 'a' stands twice"),
        ("a: &x [*x]\n", "names nothing"),
        ("a: *gone\n", "names nothing|undefined alias"),
        ("[" * 300 + "]" * 300, "nested deeper"),
        ("[" * 100_000, "nested deeper|exceeded max depth"),
        ("a: !!python/object/apply:os.system ['id']\n", "tag"),
        ("a: !!binary aGk=\n", "tag"),
        ("x: &x {a: 1}\ny:\n  <<: *x\n", "merge keys"),
        ("? [a, b]\n: 1\n", "a key must be a text"),
        ("&x [a]: 1\n", "a key must be a text"),
        ("a: 1\n---\nb: 2\n", "more than one document"),
        ("a: .nan\n", "no number that JSON has"),
        ("a: 1e999\n", "too large"),
        ("a: [1, 2\n", "line"),
        ("a: 'b\n", "line"),
        ("\tx: 1", "line"),
        ("", "empty"),
        ("# nothing\n", "empty"),
    ],
)
def test_what_is_refused_says_why(text, hint):
    assert any(each in flaw(text) for each in hint.split("|"))


def test_bytes_are_bounded_and_utf8():
    assert "bytes" in flaw(b"a: " + b"x" * 300_000)
    assert "UTF-8" in flaw(b"a: \xff\xfe")
    assert "control" in flaw("a: \x00").lower() or "special characters" in flaw("a: \x00").lower()


@pytest.mark.parametrize(
    "number",
    [
        *("12345678901234567890123456789", "18446744073709551616", "0.12345678901234567890"),
        *("1e-400", "3e-324", "-1e-99999999999999999999"),
    ],
)
def test_digits_that_no_number_keeps_are_refused_with_their_line(number):
    with pytest.raises(InvalidInput, match=f"line 2: {number}.* quote or round it"):
        read_yaml(f"b: 1\na: {number}".encode())
    assert read_yaml(f'"{number}"'.encode()) == number


@pytest.mark.parametrize(
    "number", ["18446744073709551615", "-9223372036854775808", "0.1234567890123456", "1e300", "5e-324", "0e-400"]
)
def test_digits_that_a_number_keeps_are_kept(number):
    assert read_yaml(number.encode()) == json.loads(number)
