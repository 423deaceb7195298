"""Reading payloads of unknown shape, and the alphabet of types."""

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.sources import Delivery, Headers
from services.ingest.sources.reading import event_type, form_fields, identifier, member, moment, text
from services.ingest.sources.signing import bound_to_body, printable, unix_seconds
from shared.domain.errors import InvalidInput

PAYLOAD = {"a": {"b": [{"c": "deep"}]}, "id": 820982911946154508, "flag": True, "empty": ""}


def test_members_are_found_by_keys_and_indexes() -> None:
    assert member(PAYLOAD, "a", "b", "0", "c") == "deep"
    for path in (
        ("a", "x"),
        ("a", "b", "1"),
        ("a", "b", "-1"),
        ("a", "b", "²"),
        ("id", "x"),
        ("a", "b", "0", "c", "0"),
    ):
        assert member(PAYLOAD, *path) is None


def test_texts_and_ids_keep_every_digit_and_refuse_other_types() -> None:
    assert identifier(PAYLOAD, "id") == "820982911946154508"
    assert identifier(PAYLOAD, "flag") is None
    assert identifier({"id": 1.5}, "id") is None
    assert identifier({"id": "x" * 201}, "id") is None
    assert identifier({"id": "a\x00b"}, "id") is None
    assert text(PAYLOAD, "empty") is None
    assert text({"a": "x\0y", "b": "\0"}, "a") == "xy"
    assert text({"b": "\0"}, "b") is None
    assert text(PAYLOAD, "id") is None


@pytest.mark.parametrize(
    ("found", "instant"),
    [
        (1767225600, datetime(2026, 1, 1, tzinfo=UTC)),
        ("2026-01-01T01:00:00+01:00", datetime(2026, 1, 1, tzinfo=UTC)),
        ("2026-01-01T00:00:00.5Z", datetime(2026, 1, 1, 0, 0, 0, 500_000, tzinfo=UTC)),
        ("2026-01-01T00:00:00", None),
        ("yesterday", None),
        ("", None),
        (-1, None),
        (10**18, None),
        (True, None),
        (1.5, None),
        (None, None),
    ],
)
def test_moments(found: object, instant: datetime | None) -> None:
    assert moment({"t": found}, "t") == instant


@given(st.text())
def test_any_text_is_a_moment_or_none(found: str) -> None:
    moment(found)


@pytest.mark.parametrize(
    ("parts", "name"),
    [
        (("github", "issues", "opened"), "github.issues.opened"),
        (("github", "push", None), "github.push"),
        (("crm", "deal won!"), "crm.deal_won_"),
        (("My Shop", "..order..paid.."), "My_Shop.order.paid"),
        (("a/b", "Ünï"), "a_b._n_"),
        (("...", ""), "unknown"),
        (("x" * 300,), "x" * 200),
    ],
)
def test_types_keep_to_their_alphabet(parts: tuple[str | None, ...], name: str) -> None:
    assert event_type(*parts) == name


@given(st.lists(st.one_of(st.none(), st.text(alphabet=st.characters())), max_size=4))
def test_any_parts_make_a_type(parts: list[str | None]) -> None:
    name = event_type(*parts)
    assert re.fullmatch(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*", name)
    assert len(name) <= 200


@given(st.text(alphabet=st.characters()))
def test_timestamps_are_plain_digits(header: str) -> None:
    seconds = unix_seconds(header)
    assert seconds is None or re.fullmatch("[0-9]{1,12}", header)


def test_unusual_timestamps_are_none() -> None:
    assert [unix_seconds(each) for each in ("", "1\n", " 1", "+1", "1_0", "1.0", "١", "9" * 13)] == [None] * 8


def test_long_names_differ_where_they_differ_late() -> None:
    assert printable("x" * 500 + "a") != printable("x" * 500 + "b")
    assert len(printable("x" * 500)) <= 200
    assert printable("\ud800").encode()


def test_an_unsigned_id_names_only_its_own_bytes() -> None:
    assert bound_to_body("d1", b"a") == bound_to_body("d1", b"a")
    assert len({bound_to_body("d1", b"a"), bound_to_body("d1", b"b"), bound_to_body("d2", b"a")}) == 3


def form(body: bytes, content_type: str = "application/x-www-form-urlencoded; charset=utf-8") -> Delivery:
    return Delivery(
        body=body, headers=Headers.of([("Content-Type", content_type)]), received_at=0.0, source_name="slack"
    )


def test_forms_are_read_where_the_content_type_says_so() -> None:
    assert form_fields(form(b"a=1&b=%C3%A9&c=")) == {"a": "1", "b": "é", "c": ""}
    assert form_fields(form(b"a=1", "application/json")) is None


@pytest.mark.parametrize("body", [b"a=%FF", b"a=\xff", b"&".join([b"a=1"] * 201)])
def test_a_form_that_cannot_be_read_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidInput):
        form_fields(form(body))


def test_repeated_headers_are_joined() -> None:
    headers = Headers.of([("X-A", "1"), ("x-a", "2"), ("X-B", "3")])
    assert headers.get("x-a") == "1, 2"
    assert headers.get("x-none", "x-b") == "3"
    assert headers.get("x-none") is None
