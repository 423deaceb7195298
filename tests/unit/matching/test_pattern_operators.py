"""What each operator means, against independent definitions."""

import ipaddress
import json
import re
import unicodedata
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shared.domain.errors import InvalidInput
from shared.matching import matches, parse_pattern, read_event
from shared.matching.casefold import CaseVariants, fold_key

_SHORT = st.text(alphabet="abAB*\\ßſıİ\u0345🂡", max_size=6)
_SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from([0.5, 1e300]), _SHORT)


def _holds(entry: Any, value: Any) -> bool:
    return matches(parse_pattern({"f": [entry]}), read_event(json.dumps({"f": value}).encode()))


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, bool) or isinstance(right, bool) or left is None or right is None:
        return left is right
    return bool(left == right)


@given(_SCALARS, _SCALARS)
def test_a_literal_holds_for_its_own_value_only(literal: Any, value: Any) -> None:
    assert _holds(literal, value) == _same(literal, value)


@given(st.one_of(_SHORT, st.integers(-3, 3)), _SCALARS)
def test_anything_but_is_the_complement_of_the_literal(excluded: str | int, value: Any) -> None:
    assert _holds({"anything-but": excluded}, value) == (not _same(excluded, value))
    assert _holds({"anything-but": [excluded]}, value) == (not _same(excluded, value))


@given(st.sampled_from(["prefix", "suffix", "equals-ignore-case", "wildcard"]), _SHORT, _SCALARS)
def test_anything_but_an_operator_is_its_complement(name: str, text: str, value: Any) -> None:
    try:
        complement = _holds({"anything-but": {name: text}}, value)
    except InvalidInput:
        return
    assert complement == (not _holds({name: text}, value))


_NUMBER_TOKENS = st.from_regex(r"-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?", fullmatch=True)


def _is_comparable(token: str) -> bool:
    value = float(token)
    return value - value == 0 and Decimal(token) == Decimal(repr(value))


@given(_NUMBER_TOKENS, _NUMBER_TOKENS, st.sampled_from(["=", "<", "<=", ">", ">="]))
def test_numeric_compares_the_written_decimals(bound: str, value: str, comparison: str) -> None:
    text = '{"f":[{"numeric":["' + comparison + '",' + bound + "]}]}"
    if not _is_comparable(bound):
        with pytest.raises(InvalidInput):
            parse_pattern(text)
        return
    compared = {
        "=": Decimal(value) == Decimal(bound),
        "<": Decimal(value) < Decimal(bound),
        "<=": Decimal(value) <= Decimal(bound),
        ">": Decimal(value) > Decimal(bound),
        ">=": Decimal(value) >= Decimal(bound),
    }[comparison]

    event = read_event(b'{"f":' + value.encode() + b"}")

    assert matches(parse_pattern(text), event) == (_is_comparable(value) and compared)


@given(_NUMBER_TOKENS, _NUMBER_TOKENS)
def test_a_number_literal_is_the_same_number_or_the_same_token(literal: str, value: str) -> None:
    equal = _is_comparable(literal) and _is_comparable(value) and Decimal(literal) == Decimal(value)
    pattern = parse_pattern('{"f":[' + literal + "]}")

    assert matches(pattern, read_event(b'{"f": ' + value.encode() + b"}")) == (equal or literal == value)


@pytest.mark.parametrize(
    ("literal", "value", "expected"),
    [
        ("9007199254740993", "9007199254740993", True),
        ("9007199254740993", "9007199254740992", False),
        ("12345678901234567890", "12345678901234567890", True),
        ("12345678901234567890123", "12345678901234567890123", True),
        ("12345678901234567890123", "12345678901234567890124", False),
        ("0.30000000000000001", "0.3", False),
        ("0.30000000000000001", "0.30000000000000001", True),
        ("1e309", "1e309", True),
        ("1e309", "1e310", False),
        ("1e-400", "1e-400", True),
        ("0", "1e-400", False),
        ("0", "-0.0e-400", True),
        ("100000000000000000000", "1e20", True),
    ],
)
def test_numbers_that_lose_digits_equal_their_own_token_only(literal: str, value: str, expected: bool) -> None:
    pattern = parse_pattern('{"f":[' + literal + "]}")

    assert matches(pattern, read_event(b'{"f":' + value.encode() + b"}")) is expected


@given(_SHORT, _SHORT)
def test_wildcard_is_the_obvious_regex(source: str, text: str) -> None:
    try:
        holds = _holds({"wildcard": source}, text)
    except InvalidInput:
        return
    regex = "".join(".*" if token == "*" else re.escape(token[-1]) for token in re.findall(r"\\.|.", source, re.DOTALL))
    assert holds == (re.fullmatch(regex, text, re.DOTALL) is not None)


@given(_SHORT, st.integers(0, 63))
def test_ignoring_case_means_lower_or_upper_form_of_each_pattern_character(text: str, choice: int) -> None:
    spelled = "".join(
        char if char > "\uffff" else (char.upper() if choice >> index & 1 else char.lower())
        for index, char in enumerate(text)
    )

    assert _holds({"equals-ignore-case": text}, spelled)
    assert _holds({"prefix": {"equals-ignore-case": text}}, spelled + "tail")
    assert _holds({"suffix": {"equals-ignore-case": text}}, "head" + spelled)
    assert fold_key(spelled) == fold_key(text)


@pytest.mark.parametrize(
    ("pattern", "value", "expected"),
    [
        ("straße", "STRASSE", True),
        ("STRASSE", "straße", False),
        ("ı", "I", True),
        ("k", "\u212a", False),
        ("i", "İ", False),
        ("ς", "Σ", True),
        ("𐐨", "𐐀", False),
        ("𐐨", "𐐨", True),
        ("é", unicodedata.normalize("NFD", "é"), False),
        ("aB", "AbC", False),
    ],
)
def test_ignoring_case_is_not_unicode_case_folding(pattern: str, value: str, expected: bool) -> None:
    assert CaseVariants(pattern).equals(value) is expected


def test_no_two_forms_of_a_character_begin_or_end_alike_so_matching_needs_no_backtracking() -> None:
    for code in range(0x10000):
        if 0xD800 <= code < 0xE000:
            continue
        lower, upper = chr(code).lower(), chr(code).upper()
        if lower != upper:
            assert not lower.startswith(upper) and not upper.startswith(lower)
            assert not lower.endswith(upper) and not upper.endswith(lower)
        assert fold_key(lower) == fold_key(upper)


@given(st.ip_addresses(), st.integers(0, 127), st.ip_addresses())
def test_cidr_is_the_network(base: Any, length: int, address: Any) -> None:
    assume(length < base.max_prefixlen)
    assume(all(ip.version == 4 or ip.ipv4_mapped is None for ip in (base, address)))
    network = ipaddress.ip_network(f"{base}/{length}", strict=False)

    assert _holds({"cidr": f"{base}/{length}"}, str(address)) == (address in network)
    last = network[-1]
    if last.version == 4 or last.ipv4_mapped is None:
        assert _holds({"cidr": f"{base}/{length}"}, str(last))


@pytest.mark.parametrize(
    ("entry", "value", "expected"),
    [
        ("2001:db8::1", "2001:0DB8:0:0::1", True),
        ("10.0.0.1", "10.00.0.1", True),
        ("10.0.0.1", "10.0.0.2", False),
        ("999.0.0.1", "999.0.0.1", True),
        ({"exactly": "10.0.0.1"}, "10.00.0.1", False),
        ({"cidr": "10.0.0.0/24"}, "::ffff:10.0.0.33", False),
        ({"cidr": "10.0.0.0/24"}, "::ffff:a00:21", False),
        ({"cidr": "10.0.0.0/24"}, "10.0.0.0x1", False),
        ({"cidr": "0.0.0.0/0"}, "٨.8.8.8", False),
        ({"prefix": ""}, "", True),
        ({"prefix": ""}, 1, False),
        ({"numeric": [">=", 0]}, True, False),
        ({"anything-but": 1}, None, True),
        ({"anything-but": "x"}, ["x", "y"], True),
        ({"anything-but": "x"}, ["x"], False),
        ({"anything-but": "x"}, [], False),
        ({"anything-but": "x"}, {"y": 1}, False),
        ({"exists": True}, None, True),
        ({"exists": True}, [], False),
        ({"exists": True}, {"x": 1}, False),
        ({"exists": False}, {"x": 1}, True),
        ({"exists": False}, None, False),
    ],
)
def test_named_cases(entry: Any, value: Any, expected: bool) -> None:
    assert _holds(entry, value) is expected
