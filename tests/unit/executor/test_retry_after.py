"""`Retry-After` in either form: what a receiver wants, by its own clock, bounded, whatever stands there."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.executor.actions.http_answers import judge, retry_after
from shared.runtime.egress import Answer

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
DAY = 86_400.0


def http_date(seconds: float) -> str:
    """The instant so many seconds from now."""
    return format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120),
        (" 120 ", 120),
        ("999999999", DAY),
        ("Mon, 02 Mar 2026 09:02:00 GMT", 120),
        ("Monday, 02-Mar-26 09:02:00 GMT", 120),
        ("Mon Mar  2 09:02:00 2026", 120),
        ("Mon, 02 Mar 2026 08:00:00 GMT", 0),
        ("Mon, 02 Mar 2099 08:00:00 GMT", DAY),
    ],
)
def test_both_forms_and_the_obsolete_dates(text: str, seconds: float) -> None:
    assert retry_after({"retry-after": text}, NOW) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "-1",
        "1.5",
        "\N{SUPERSCRIPT TWO}",
        "1234567890",
        "9" * 5000,
        "Mon, 99 Mar 2026 09:02:00 GMT",
        "x" * 9000,
        "Mon, 02 Mar 2026 99:02:00 GMT",
        "Mon, 02 Mar 99999 09:02:00 GMT",
        "Mon, 02 Mar 2026 09:02:00 +999999",
        ",",
        "GMT",
    ],
)
def test_nonsense_is_passed_over(text: str) -> None:
    assert retry_after({"retry-after": text}, NOW) is None


def test_nothing_is_passed_over() -> None:
    assert retry_after({}, NOW) is None
    assert retry_after({"date": http_date(0)}, NOW) is None


@pytest.mark.parametrize("hours", [-23, 0, 23])
def test_a_date_is_measured_by_the_receivers_own_clock(hours: int) -> None:
    skew = hours * 3600
    assert retry_after({"retry-after": http_date(skew + 300), "date": http_date(skew)}, NOW) == 300


@pytest.mark.parametrize("date", ["nonsense", http_date(-30 * DAY), http_date(30 * DAY)])
def test_a_clock_that_is_none_does_not_count(date: str) -> None:
    assert retry_after({"retry-after": http_date(300), "date": date}, NOW) == 300


_DATES = st.builds(
    lambda parts, at, cut: "".join(parts)[at:cut],
    st.lists(
        st.sampled_from(
            ["Mon, ", "Monday, ", "02 ", "2 ", "Mar ", "2026 ", "-", "26", "09:02:00 ", ":", "GMT", "+0100", " "]
        )
    ),
    st.integers(0, 3),
    st.integers(0, 70),
)


@given(st.text(max_size=80) | _DATES, st.text(max_size=40) | _DATES)
def test_whatever_stands_there_is_bounded_or_nothing(text: str, date: str) -> None:
    found = retry_after({"retry-after": text, "date": date}, NOW)
    assert found is None or 0 <= found <= DAY


def test_an_answer_is_judged_by_it() -> None:
    headers = {"retry-after": "Mon, 02 Mar 2026 09:02:00 GMT"}
    answer = Answer(status=503, headers=headers, body=b"", truncated=False, elapsed_seconds=0.1)
    assert judge(answer, NOW).retry_after_seconds == 120
