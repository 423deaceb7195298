"""What names a command: keys as callers write them, hashes of what is asked, revisions that changes build on."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.api.core.commands import etag, parse_idempotency_key, parse_if_match, record_id, request_text
from shared.domain.errors import InvalidInput

PRINTABLE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=200)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"]), max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(PRINTABLE.filter(str.strip))
def test_any_printable_key_survives_quoting(key):
    quoted = key.replace("\\", "\\\\").replace('"', '\\"')
    assert parse_idempotency_key(f'"{quoted}"') == key


@given(st.text(max_size=300))
def test_whatever_stands_in_the_header_is_a_bounded_key_or_invalid(text):
    try:
        key = parse_idempotency_key(text)
    except InvalidInput:
        return
    assert 0 < len(key) <= 200
    assert key.isascii()
    assert key.isprintable()


@pytest.mark.parametrize("header", ["", '""', '" "', '"open', "a b", "ä", "a\x00", "k" * 201, '"a\\n"', '"a""b"'])
def test_unusable_keys(header):
    with pytest.raises(InvalidInput):
        parse_idempotency_key(header)


def test_bare_and_quoted_are_one_key():
    assert parse_idempotency_key(" 8e03978e ") == parse_idempotency_key('"8e03978e"') == "8e03978e"


@given(JSON, JSON)
def test_equal_requests_are_equal_bytes_and_others_are_not(one, other):
    assert request_text("POST", "/a", one) == request_text("POST", "/a", one)
    assert request_text("POST", "/a", one) != request_text("PUT", "/a", one)
    assert request_text("POST", "/a", one) != request_text("POST", "/a", one, base='"1"')
    if repr(one) != repr(other) and one != other:
        assert request_text("POST", "/a", one) != request_text("POST", "/a", other)


def test_the_order_of_members_is_no_difference():
    assert request_text("POST", "/a", {"x": 1, "y": 2}) == request_text("POST", "/a", {"y": 2, "x": 1})


def test_another_payload_under_the_same_key_is_another_record():
    assert record_id("acme", "k", "h1") == record_id("acme", "k", "h1")
    assert len({record_id("acme", "k", "h1"), record_id("acme", "k", "h2"), record_id("globex", "k", "h1")}) == 3


@given(st.integers(1, 999_999_999))
def test_a_revision_comes_back_from_its_etag(revision):
    assert parse_if_match(etag(revision)) == parse_if_match(f" {revision}") == {revision}
    assert parse_if_match(f"W/{etag(revision)}") == parse_if_match(f'"0{revision}"') == set()


@given(st.lists(st.integers(1, 999_999_999)), st.sampled_from([",", ", ", " ,\t", ",,", ", , "]))
def test_of_a_list_each_revision_is_named(revisions, between):
    tags = [*map(etag, revisions), '"a,b"', 'W/"7"']
    assert parse_if_match(f",{between.join(tags)} ,") == set(revisions)


@pytest.mark.parametrize("header", ['"a"', '""', '"-1"', '"0"', '"01"', '"1234567890"', 'W/"1"', '"é"'])
def test_tags_of_no_revision_match_nothing(header):
    assert parse_if_match(header) == set()


@given(st.text(alphabet='W/"1, \t*a', max_size=30))
def test_whatever_stands_in_if_match_is_a_list_of_tags_or_invalid(text):
    try:
        found = parse_if_match(text)
    except InvalidInput:
        return
    assert found is None or found <= {int(digits) for digits in re.findall(r"[0-9]+", text)}


def test_any_revision():
    assert parse_if_match("*") is None


@pytest.mark.parametrize(
    "header", ["", ",", '"', "1.5", "a", '"1" "2"', '"1 2"', '*, "1"', "1, 2", 'w/"1"', '"1";', "01"]
)
def test_what_is_no_list_of_tags(header):
    with pytest.raises(InvalidInput):
        parse_if_match(header)
