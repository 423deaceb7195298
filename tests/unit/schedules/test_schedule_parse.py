"""What a user writes under `schedule:` becomes a schedule, or every flaw with its place and its mending."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.errors import InvalidInput
from shared.schedules import CATCH_UP_MAX, Schedule, parse_schedule


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def following(value: dict[str, Any], start: str, count: int, zone: str = "UTC") -> list[str]:
    schedule, instant, found = parse_schedule(value, zone=zone), at(start), []
    for _ in range(count):
        following = schedule.next_after(instant)
        if following is None:
            return [*found, "never"]
        instant = following
        found.append(instant.isoformat().removesuffix("+00:00"))
    return found


def flaws(value: object) -> list[tuple[str, str]]:
    with pytest.raises(InvalidInput) as caught:
        parse_schedule(value, zone="UTC")
    return [(each.pointer, each.detail) for each in caught.value.flaws]


def test_what_is_not_said_has_defaults() -> None:
    schedule = parse_schedule({"cron": "0 8 * * *"}, zone="UTC")

    assert (schedule.overlap, schedule.catch_up_max) == ("skip", 1)


def test_the_workflows_zone_holds_unless_the_schedule_names_its_own() -> None:
    daily = {"daily": {"at": "08:30"}}

    assert following(daily, "2026-01-01T00:00", 1, "Europe/Paris") == ["2026-01-01T07:30:00"]
    own = {**daily, "timezone": "America/New_York"}
    assert following(own, "2026-01-01T00:00", 1, "Europe/Paris") == ["2026-01-01T13:30:00"]


def test_an_interval_counts_from_the_epoch_or_from_its_start() -> None:
    quarter = {"interval": {"minutes": 15}}

    assert following(quarter, "2026-01-01T00:07:30", 2) == ["2026-01-01T00:15:00", "2026-01-01T00:30:00"]
    assert following({"interval": {"days": 7}}, "2026-01-01T00:00", 1) == ["2026-01-08T00:00:00"]
    shifted = {**quarter, "starting_at": "2026-01-01T10:04:05+01:00"}
    assert following(shifted, "2025-01-01T00:00", 2) == ["2026-01-01T09:04:05", "2026-01-01T09:19:05"]


def test_an_interval_of_a_day_is_24_hours_whatever_clocks_do() -> None:
    found = following({"interval": {"days": 1}, "timezone": "Europe/Paris"}, "2026-03-27T12:00", 3)

    assert found == ["2026-03-28T00:00:00", "2026-03-29T00:00:00", "2026-03-30T00:00:00"]


def test_a_day_that_a_month_does_not_have_is_skipped() -> None:
    found = following({"monthly": {"on": 31, "at": "00:00"}}, "2026-01-31T00:00", 3)

    assert found == ["2026-03-31T00:00:00", "2026-05-31T00:00:00", "2026-07-31T00:00:00"]


def test_the_last_day_of_a_month_is_in_every_month() -> None:
    found = following({"monthly": {"on": ["last", 1], "at": ["00:00"]}}, "2028-01-31T00:00", 3)

    assert found == ["2028-02-01T00:00:00", "2028-02-29T00:00:00", "2028-03-01T00:00:00"]


def test_days_of_the_week_have_long_names_too() -> None:
    found = following({"weekly": {"on": ["Monday", "thu"], "at": "06:00"}}, "2026-01-01T06:00", 3)

    assert found == ["2026-01-05T06:00:00", "2026-01-08T06:00:00", "2026-01-12T06:00:00"]


@pytest.mark.parametrize("cron", ["0 0 30 2 *", "0 0 31 2,4,6,9,11 *"])
def test_a_day_that_no_month_has_never_comes(cron: str) -> None:
    schedule = parse_schedule({"cron": cron}, zone="UTC")

    assert schedule.next_after(at("2026-01-01T00:00")) is None
    assert schedule.missed(at("2026-01-01T00:00"), at("2096-01-01T00:00"), 5) == []


def test_the_rarest_day_is_found() -> None:
    assert following({"cron": "0 0 * 2 MON#5"}, "2072-03-01T00:00", 1) == ["2112-02-29T00:00:00"]
    assert following({"cron": "0 0 29 2 *"}, "2096-03-01T00:00", 1) == ["2104-02-29T00:00:00"]


def test_the_first_and_the_last_instant_count() -> None:
    value = {
        "daily": {"at": "08:00"},
        "starting_at": "2026-01-02T08:00:00Z",
        "until": "2026-01-04T08:00:00Z",
    }

    assert following(value, "2020-01-01T00:00", 5) == [
        "2026-01-02T08:00:00",
        "2026-01-03T08:00:00",
        "2026-01-04T08:00:00",
        "never",
    ]
    schedule = parse_schedule(value, zone="UTC")
    assert schedule.missed(at("2020-01-01T00:00"), at("2030-01-01T00:00"), 9) == [
        at(f"2026-01-0{day}T08:00") for day in (2, 3, 4)
    ]


def test_what_was_missed_is_the_newest_and_a_downtime_of_ages_costs_no_more() -> None:
    schedule = parse_schedule({"cron": "* * * * *"}, zone="Europe/Paris")
    end = at("9000-01-01T00:00")

    found = schedule.missed(at("0100-01-01T00:00"), end, 100)

    assert found == [end - timedelta(minutes=99 - each) for each in range(100)]
    assert schedule.missed(end - timedelta(minutes=2), end, 100) == [end - timedelta(minutes=1), end]
    assert schedule.missed(end, end, 100) == []


def test_beyond_the_calendar_nothing_comes() -> None:
    for value in ({"cron": "0 0 * * *"}, {"interval": {"days": 100}}):
        schedule = parse_schedule(value, zone="America/New_York")
        assert schedule.next_after(datetime.max.replace(tzinfo=UTC)) is None
        assert schedule.missed(datetime.min.replace(tzinfo=UTC), at("0001-01-01T00:01"), 3) == []


def test_an_instant_without_zone_is_refused() -> None:
    schedule = parse_schedule({"cron": "0 0 * * *"}, zone="UTC")

    with pytest.raises(ValueError, match="without zone"):
        schedule.next_after(datetime(2026, 1, 1))


@pytest.mark.parametrize(
    ("value", "places"),
    [
        (None, {"#": "an object"}),
        ({}, {"#": "exactly one way"}),
        ({"cron": "* * * * *", "daily": {"at": "08:00"}}, {"#": "these are cron, daily"}),
        ({"dayly": {"at": "08:00"}}, {"#/dayly": "'daily'", "#": "exactly one way"}),
        ({"cron": 5}, {"#/cron": "as a text"}),
        ({"cron": "* * * *"}, {"#/cron": "these are 4"}),
        ({"cron": "0 0 * * * *"}, {"#/cron": "interval"}),
        ({"cron": "@daily"}, {"#/cron": "0 0 * * *"}),
        ({"cron": "@reboot"}, {"#/cron": "no reboot"}),
        ({"cron": "0 8 * * FRI-SUN"}, {"#/cron": "write FRI-7"}),
        ({"cron": "0 8 * * SAT-TUE"}, {"#/cron": "6,0-2"}),
        ({"cron": "0 0 * NOV-FEB *"}, {"#/cron": "11-12,1-2"}),
        ({"cron": "5/15 * * * *"}, {"#/cron": "5-59/15"}),
        ({"cron": "*/61 * * * *"}, {"#/cron": "a step is a number from 1 to 60"}),
        ({"cron": "0 0 ? * *"}, {"#/cron": r"write \* instead"}),
        ({"cron": "0 0 LW * *"}, {"#/cron": "nearest weekday"}),
        ({"cron": "0 0 * * 5L"}, {"#/cron": "MON#4 and MON#5"}),
        ({"cron": "0 0 * * 1#6"}, {"#/cron": "#1 to #5"}),
        ({"cron": "0 0 * * 1#2,3"}, {"#/cron": "mixes"}),
        ({"cron": "0 0 */2 * 1"}, {"#/cron": "write 1,3,5,7,"}),
        ({"cron": "1,,2 * * * *"}, {"#/cron": "beside a comma"}),
        ({"cron": "60 * * * *"}, {"#/cron": "0 to 59"}),
        ({"cron": "0," * 300 + "0 * * * *"}, {"#/cron": "at most 500 characters"}),
        ({"interval": {"seconds": 9}}, {"#/interval/seconds": "from 10 to"}),
        ({"interval": {"minutes": True}}, {"#/interval/minutes": "whole number"}),
        ({"interval": {"days": 367}}, {"#/interval/days": "from 1 to 366"}),
        ({"interval": {"weeks": 1}}, {"#/interval/weeks": "seconds, minutes, hours, days"}),
        ({"interval": {"minutes": 1, "hours": 1}}, {"#/interval": "one of"}),
        ({"daily": "08:00"}, {"#/daily": "at:"}),
        ({"daily": {}}, {"#/daily/at": "needed"}),
        ({"daily": {"at": 510}}, {"#/daily/at": "in quotes"}),
        ({"daily": {"at": ["24:00", "8:00"]}}, {"#/daily/at/0": "00:00", "#/daily/at/1": "00:00"}),
        ({"weekly": {"on": ["funday"], "at": []}}, {"#/weekly/on/0": "mon, tue", "#/weekly/at": "1 to 48"}),
        ({"monthly": {"on": [0, "first", 1], "at": "00:00"}}, {"#/monthly/on/0": "last", "#/monthly/on/1": "last"}),
        ({"daily": {"at": "08:00"}, "timezone": "Mars/Base"}, {"#/timezone": "IANA"}),
        ({"daily": {"at": "08:00"}, "timezone": ["UTC"]}, {"#/timezone": "IANA"}),
        ({"daily": {"at": "08:00"}, "timezone": "localtime"}, {"#/timezone": "IANA"}),
        ({"daily": {"at": "08:00"}, "timezone": "right/Europe/Paris"}, {"#/timezone": "IANA"}),
        ({"daily": {"at": "08:00"}, "overlap": "no"}, {"#/overlap": "allow, skip or queue"}),
        ({"daily": {"at": "08:00"}, "catch_up_max": CATCH_UP_MAX + 1}, {"#/catch_up_max": "0 to 100"}),
        ({"daily": {"at": "08:00"}, "starting_at": "2026-01-01"}, {"#/starting_at": "2026-03-01T08:00:00Z"}),
        ({"daily": {"at": "08:00"}, "until": "0001-01-01T00:00:00+10:00"}, {"#/until": "no instant"}),
        (
            {"daily": {"at": "08:00"}, "starting_at": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"},
            {"#/until": "before `starting_at`"},
        ),
        ({"daily": {"at": "08:00"}, "a/b~c": 1}, {"#/a~1b~0c": "known are"}),
    ],
    ids=str,
)
def test_flaws_say_where_and_how_to_mend_them(value: object, places: dict[str, str]) -> None:
    found = flaws(value)

    assert [pointer for pointer, _ in found] == list(places)
    for (_, detail), hint in zip(found, places.values(), strict=True):
        assert hint.replace("\\", "") in detail


def test_all_fields_of_a_cron_expression_are_judged_at_once() -> None:
    found = [detail.split(":")[0] for _, detail in flaws({"cron": "61 25 0 13 8"})]

    assert found == ["minute", "hour", "day of month", "month", "day of week"]


NAMES = st.sampled_from(
    ["cron", "interval", "daily", "weekly", "monthly", "at", "on", "minutes", "timezone", "overlap", "starting_at", "x"]
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text("0123456789*/,-#LW? \tMONJAN:@ué", max_size=20),
    st.sampled_from(["UTC", "skip", "08:30", "0 8 * * *", "mon", "last", "2026-01-01T00:00:00Z"]),
)


@given(
    st.recursive(
        SCALARS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | st.text(max_size=3), inner, max_size=3),
    ),
    st.sampled_from(["UTC", "Europe/Paris", "", "../etc", "no/where"]),
)
def test_whatever_comes_is_a_schedule_or_flaws(value: object, zone: str) -> None:
    try:
        found = parse_schedule(value, zone=zone)
    except InvalidInput as error:
        assert error.flaws
        assert all(each.pointer.startswith("#") and each.detail for each in error.flaws)
    else:
        assert isinstance(found, Schedule)
        found.next_after(at("2026-01-01T00:00"))
        assert found.describe()


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"cron": "* * * * *"}, "every minute, Europe/Paris time"),
        ({"cron": "*/15 * * * *"}, "every 15 minutes, Europe/Paris time"),
        ({"cron": "7-59/15 * * * *"}, "minutes 7, 22, 37 and 52 of every hour, Europe/Paris time"),
        ({"cron": "5 */2 * * *"}, "every 2 hours at minute 5, Europe/Paris time"),
        ({"cron": "0 8 * * MON-FRI"}, "at 08:00 on Monday to Friday, Europe/Paris time"),
        ({"cron": "0 0 13 * 5"}, "at 00:00 on day 13 of the month or Friday, Europe/Paris time"),
        (
            {"cron": "0 9 * 1,7 MON#1"},
            "at 09:00 on the first Monday of the month in January and July, Europe/Paris time",
        ),
        ({"cron": "*/5 9-17 * * *"}, "every 5 minutes of hours 9 to 17, Europe/Paris time"),
        ({"interval": {"hours": 36}}, "every 36 hours"),
        ({"interval": {"hours": 24}}, "every day"),
        ({"daily": {"at": ["17:00", "08:30"]}}, "at 08:30 and 17:00 every day, Europe/Paris time"),
        ({"weekly": {"on": "sun", "at": "08:30"}}, "at 08:30 on Sunday, Europe/Paris time"),
        ({"monthly": {"on": "last", "at": "08:30"}}, "at 08:30 on the last day of the month, Europe/Paris time"),
        (
            {"monthly": {"on": [1, "last"], "at": "08:30"}, "timezone": "UTC"},
            "at 08:30 on day 1 and the last of the month, UTC",
        ),
        (
            {"interval": {"days": 1}, "starting_at": "2026-01-01T08:00:00Z", "until": "2027-01-01T00:00:00Z"},
            "every day, from 2026-01-01 08:00:00 UTC, until 2027-01-01 00:00:00 UTC",
        ),
    ],
    ids=str,
)
def test_a_schedule_is_described_for_people(value: dict[str, Any], said: str) -> None:
    assert parse_schedule(value, zone="Europe/Paris").describe() == said
