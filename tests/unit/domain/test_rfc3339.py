"""RFC 3339 instants in and out."""

import contextlib
import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.domain import rfc3339


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
        ("2016-12-31T18:29:60.25-05:30", datetime(2017, 1, 1, 0, 0, 0, 250000, UTC)),
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
        *("2018-04-05T17:31:05.Z", "2018-04-05T17:31:05.z", "2018-04-05T17:31:05.+05:30", "2018-04-05T17:31:05.-05:30"),
        *("2018-04-05T17:31:05+05:60", "2018-04-05T17:31:05-05:99", "2018-04-05T17:31:05.5+05:60"),
        *("2018-04-05T17:31:60Z", "2018-04-05T23:59:60+01:00", "2018-04-05T17:31:60.5-05:00", "2018-04-05T24:00:00Z"),
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


# RFC 3339 §5.6; a space stands for the T as the section's note allows. Ranges of days and leap seconds are the calendar's.
_GRAMMAR = re.compile(
    r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])[Tt ]([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]+)?"
    r"([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
)
_TWO_DIGITS = st.integers(0, 99).map("{:02d}".format)
_NEARLY = st.builds(
    "{}-{}-{}{}{}:{}:{}{}{}".format,
    st.sampled_from(["2016", "2024", "0001", "9999", "0000"]),
    st.sampled_from(["01", "02", "12", "13", "00"]),
    st.sampled_from(["01", "28", "29", "31", "32", "00"]),
    st.sampled_from(["T", "t", " ", "", "X"]),
    st.sampled_from(["00", "18", "23", "24"]) | _TWO_DIGITS,
    st.sampled_from(["00", "29", "59", "60"]) | _TWO_DIGITS,
    st.sampled_from(["00", "59", "60", "61"]) | _TWO_DIGITS,
    st.sampled_from(["", ".", ".5", ".123456", ".1234567890", ",5", ". ", ".-5", ".+5", ".5 ", "Z"]),
    st.sampled_from(
        ["Z", "z", "", "+05:30", "-00:00", "+05:60", "+24:00", "-23:59", "+0530", "+05", "+05:30:10", "+5:30"]
    ),
)


@given(_NEARLY)
@example("2016-12-31T23:59:60.Z")
def test_what_is_taken_follows_the_grammar(text: str) -> None:
    try:
        rfc3339.parse(text)
    except ValueError:
        taken = False
    else:
        taken = True
    if taken:
        assert _GRAMMAR.fullmatch(text)
    elif _GRAMMAR.fullmatch(text):
        assert _is_off_the_calendar(text)


def _is_off_the_calendar(text: str) -> bool:
    """A day that its month does not have, an instant outside the years 1 to 9999, or a 60th second that is no day's last."""
    without_offset = text[:17] + ("59" if text[17] == "6" else text[17:19])
    try:
        local = datetime.fromisoformat(without_offset.replace("t", "T").replace(" ", "T"))
        offset = (
            timedelta() if text[-1] in "Zz" else timedelta(hours=int(text[-6:-3]), minutes=int(text[-6] + text[-2:]))
        )
        utc = local - offset
        return text[17] == "6" and ((utc.hour, utc.minute) != (23, 59) or utc.year == 9999)
    except (ValueError, OverflowError):
        return True


def test_a_naive_time_is_refused() -> None:
    with pytest.raises(ValueError, match="zone"):
        rfc3339.render(datetime(2018, 4, 5))
