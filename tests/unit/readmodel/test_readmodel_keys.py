"""What a key column holds, what a cursor says, and what a server is told of a password."""

import base64
from datetime import UTC, datetime

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shared.domain.errors import InvalidInput
from shared.readmodel.connect import OWNER, SERVICE, ConnectParameters, as_role, role_credentials
from shared.readmodel.cursors import Cursor, read_cursor, write_cursor
from shared.readmodel.deltas import KEY_CHARACTERS_MAX, key_text, plain_text

TEXTS = st.text(max_size=2 * KEY_CHARACTERS_MAX)
INSTANTS = st.datetimes(min_value=datetime(1970, 1, 1), timezones=st.just(UTC))


@given(TEXTS)
def test_a_key_fits_an_index_and_holds_no_nul(text: str) -> None:
    key = key_text(text)
    assert len(key) <= KEY_CHARACTERS_MAX
    assert "\0" not in key
    assert 3 * len(key.encode("utf-8", "surrogatepass")) < 2704
    assert key_text(text) == key


@given(TEXTS, TEXTS)
def test_different_texts_have_different_keys(one: str, other: str) -> None:
    assume(one != other)
    assert key_text(one) != key_text(other)


def test_long_texts_that_begin_alike_have_different_keys() -> None:
    assert key_text("a" * 1000) != key_text("a" * 1001)
    assert key_text("a\0") != key_text("a\N{REPLACEMENT CHARACTER}")


@given(TEXTS)
def test_plain_text_changes_nothing_but_nul(text: str) -> None:
    assert plain_text(text).replace("\N{REPLACEMENT CHARACTER}", "\0") == text.replace(
        "\N{REPLACEMENT CHARACTER}", "\0"
    )
    assert "\0" not in plain_text(text)


TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=50)


@given(st.sampled_from(["events", "runs"]), INSTANTS, TEXTS)
def test_a_cursor_by_time_comes_back(kind: str, instant: datetime, last: str) -> None:
    cursor = Cursor(kind=kind, after=instant, id=last)
    assert read_cursor(kind, write_cursor(cursor)) == cursor


@given(TEXTS, TEXTS)
def test_a_cursor_by_name_comes_back(name: str, last: str) -> None:
    cursor = Cursor(kind="workflows", after=name, id=last)
    assert read_cursor("workflows", write_cursor(cursor)) == cursor


@given(st.text(max_size=60))
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        read_cursor("events", text)


@pytest.mark.parametrize(
    "packed",
    [
        b'[2,"events",["2026-01-01T00:00:00+00:00"],"e"]',
        b'[1,"runs",["2026-01-01T00:00:00+00:00"],"e"]',
        b'[1,"events",["2026-01-01T00:00:00"],"e"]',
        b'[1,"events",["yesterday"],"e"]',
        b'[1,"events",["9999-12-31T23:59:59-23:59"],"e"]',
        b'[1,"events",["2026-01-01T00:00:00+00:00"],"a\\u0000"]',
        b'[1,"events","a\\u0000","e"]',
        b'[1,"events",7,"e"]',
        b"[1]",
        b"{}",
    ],
)
def test_a_cursor_of_another_version_list_or_shape_is_refused(packed: bytes) -> None:
    with pytest.raises(InvalidInput, match="begin without one"):
        read_cursor("events", base64.urlsafe_b64encode(packed).decode())


def test_roles_have_passwords_of_their_own_the_same_everywhere() -> None:
    assert role_credentials(b"key", SERVICE) == role_credentials(b"key", SERVICE)
    passwords = {role_credentials(key, role).password for key in (b"key", b"other") for role in (SERVICE, OWNER)}
    assert len(passwords) == 4
    parameters = as_role(ConnectParameters(host="h", database="d", user="admin", password="x"), b"key", SERVICE)
    assert (parameters.host, parameters.database, parameters.user) == ("h", "d", SERVICE)
