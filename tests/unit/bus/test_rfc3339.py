"""RFC 3339 instants in and out."""

import contextlib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.bus import rfc3339


@given(st.datetimes(timezones=st.just(UTC)))
def test_parse_undoes_render(instant: datetime) -> None:
    assert rfc3339.parse(rfc3339.render(instant)) == instant


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2018-04-05T17:31:00Z", datetime(2018, 4, 5, 17, 31, tzinfo=UTC)),
        ("2018-04-05t17:31:00z", datetime(2018, 4, 5, 17, 31, tzinfo=UTC)),
        ("2018-04-05T17:31:00.123456789+02:00", datetime(2018, 4, 5, 15, 31, 0, 123456, UTC)),
        ("2018-04-05T17:31:00.5-00:00", datetime(2018, 4, 5, 17, 31, 0, 500000, UTC)),
        ("2016-12-31T23:59:60Z", datetime(2017, 1, 1, tzinfo=UTC)),
        ("2016-12-31T23:59:60+00:00", datetime(2017, 1, 1, tzinfo=UTC)),
    ],
)
def test_what_rfc_3339_allows(text: str, instant: datetime) -> None:
    assert rfc3339.parse(text) == instant


@pytest.mark.parametrize(
    "text",
    [
        *("", "yesterday", "2018-04-05", "2018-04-05T17:31Z", "2018-04-05T17:31:00", "20180405T173100.0000Z"),
        *("2018-W14-4T17:31:00Z", "2018-04-05T17:31:00+0200", "2018-04-05T17:31:00+02", "2018-04-05T17:31:00,5Z"),
        *("2018-04-05T17:31:61Z", "2018-13-05T17:31:00Z", "0001-01-01T00:00:00+02:00", "2018-04-05T17:31:00+02:00:30"),
        *("9999-12-31T23:59:60Z", "2018-04-05X17:31:00Z", "٢٠١٨-٠٤-٠٥T17:31:00Z", "2018-04-05T17:31:00 Z"),
    ],
)
def test_what_it_does_not(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        rfc3339.parse(text)


@given(st.text(max_size=40))
def test_any_text_is_an_instant_or_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert rfc3339.parse(text).tzinfo is UTC


def test_a_naive_time_is_refused() -> None:
    with pytest.raises(ValueError, match="zone"):
        rfc3339.render(datetime(2018, 4, 5))
