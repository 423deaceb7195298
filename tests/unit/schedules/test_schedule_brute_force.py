"""Every firing that comes out is one that a clock watched minute by minute would give, and no other, whatever is asked."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.schedules import Schedule, parse_schedule
from shared.testing.examples import examples

MINUTE = timedelta(minutes=1)
# Clocks put forward and back: by one hour, by half an hour, by two, at midnight, twice a Ramadan, and over a whole day.
CHANGES = [
    ("UTC", datetime(2026, 3, 1, tzinfo=UTC)),
    ("Europe/Riga", datetime(2021, 3, 28, 1, tzinfo=UTC)),
    ("Europe/Riga", datetime(2021, 10, 31, 1, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 3, 8, 7, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 11, 1, 6, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 4, 4, 15, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 10, 3, 15, 30, tzinfo=UTC)),
    ("Antarctica/Troll", datetime(2026, 3, 29, 1, tzinfo=UTC)),
    ("Antarctica/Troll", datetime(2026, 10, 25, 1, tzinfo=UTC)),
    ("America/Sao_Paulo", datetime(2018, 11, 4, 3, tzinfo=UTC)),
    ("America/Sao_Paulo", datetime(2018, 2, 18, 2, tzinfo=UTC)),
    ("Africa/Casablanca", datetime(2026, 2, 15, 2, tzinfo=UTC)),
    ("Pacific/Apia", datetime(2011, 12, 30, 10, tzinfo=UTC)),
]
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


@dataclass(frozen=True)
class Planned:
    """A schedule as a user writes it, and which wall times it means, said in the plainest way."""

    value: dict[str, Any]
    meant: Callable[[datetime], bool]
    reading: str


@st.composite
def numbers(draw: Any, low: int, high: int) -> tuple[str, set[int]]:
    """One field, and the numbers in it."""
    whole = range(low, high + 1)
    if draw(st.booleans()):
        return "*", set(whole)
    if draw(st.integers(0, 3)) == 0:
        step = draw(st.integers(1, len(whole)))
        return f"*/{step}", set(whole[::step])
    terms, held = [], set[int]()
    for _ in range(draw(st.integers(1, 3))):
        first = draw(st.integers(low, high))
        last, step = draw(st.integers(first, high)), draw(st.integers(1, 7))
        text, found = draw(
            st.sampled_from(
                [
                    (f"{first}", {first}),
                    (f"{first}-{last}", set(range(first, last + 1))),
                    (f"{first}-{last}/{step}", set(range(first, last + 1, step))),
                ]
            )
        )
        terms.append(text)
        held |= found
    return ",".join(terms), held


@st.composite
def crons(draw: Any) -> Planned:
    (minute, minutes), (hour, hours) = draw(numbers(0, 59)), draw(numbers(0, 23))
    day, days = draw(numbers(1, 31))
    weekday, weekdays = draw(numbers(0, 6))
    if day.startswith("*/"):
        weekday, weekdays = "*", set(range(7))
    if weekday.startswith("*/"):
        day, days = "*", set(range(1, 32))

    def meant(wall: datetime) -> bool:
        on_day, on_weekday = wall.day in days, wall.isoweekday() % 7 in weekdays
        either = on_day or on_weekday if "*" not in (day, weekday) else on_day and on_weekday
        return wall.minute in minutes and wall.hour in hours and either

    fixed = not minute.startswith("*") and not hour.startswith("*")
    return Planned({"cron": f"{minute} {hour} {day} * {weekday}"}, meant, "fixed" if fixed else "each hour")


@st.composite
def calendars(draw: Any) -> Planned:
    times = draw(st.lists(st.tuples(st.integers(0, 23), st.integers(0, 59)), min_size=1, max_size=4))
    at = [f"{hour:02}:{minute:02}" for hour, minute in times]
    weekdays = draw(st.sets(st.integers(0, 6), min_size=1))
    days = draw(st.sets(st.integers(1, 31), min_size=1))
    last = draw(st.booleans())

    def at_time(wall: datetime) -> bool:
        return (wall.hour, wall.minute) in times

    return draw(
        st.sampled_from(
            [
                Planned({"daily": {"at": at}}, at_time, "calendar"),
                Planned(
                    {"weekly": {"on": [WEEKDAYS[each] for each in sorted(weekdays)], "at": at}},
                    lambda wall: at_time(wall) and wall.isoweekday() % 7 in weekdays,
                    "calendar",
                ),
                Planned(
                    {"monthly": {"on": [*sorted(days), *(["last"] if last else [])], "at": at}},
                    lambda wall: at_time(wall) and (wall.day in days or (last and (wall + timedelta(days=1)).day == 1)),
                    "calendar",
                ),
            ]
        )
    )


def watched(planned: Planned, zone: ZoneInfo, start: datetime, end: datetime) -> list[datetime]:
    """Watching the clock on the wall from `start` to `end`, minute by minute."""
    found, reached = [], start.astimezone(zone).replace(tzinfo=None)
    at = start
    while at < end:
        at += MINUTE
        wall = at.astimezone(zone).replace(tzinfo=None)
        if planned.reading == "each hour":
            fires = planned.meant(wall)
        elif planned.reading == "calendar":
            fires = wall > reached and planned.meant(wall)
        else:
            passed = (reached + MINUTE * number for number in range(1, (wall - reached) // MINUTE + 1))
            fires = any(planned.meant(each) for each in passed)
        reached = max(reached, wall)
        if fires:
            found.append(at)
    return found


def iterated(schedule: Schedule, start: datetime, end: datetime) -> Iterator[datetime]:
    at = schedule.next_after(start)
    while at is not None and at <= end:
        yield at
        at = schedule.next_after(at)


@given(st.one_of(crons(), calendars()), st.sampled_from(CHANGES), st.integers(0, 1439))
@settings(max_examples=examples(120), deadline=None)
def test_what_is_planned_is_what_a_clock_shows(planned: Planned, change: tuple[str, datetime], back: int) -> None:
    zone, around = change
    start, end = around - timedelta(days=2) - back * MINUTE, around + timedelta(days=1, hours=6)

    schedule = parse_schedule(planned.value, zone=zone)

    assert list(iterated(schedule, start, end)) == watched(planned, ZoneInfo(zone), start, end)


@given(st.one_of(crons(), calendars()), st.sampled_from(CHANGES), st.data())
@settings(max_examples=examples(120), deadline=None)
def test_any_instant_before_a_firing_leads_to_it_and_what_was_missed_is_what_was_planned(
    planned: Planned, change: tuple[str, datetime], data: st.DataObject
) -> None:
    zone, around = change
    schedule = parse_schedule(planned.value, zone=zone)
    start, end = around - timedelta(hours=30), around + timedelta(hours=30)
    firings = list(iterated(schedule, start, end))
    assert all(before < after for before, after in pairwise(firings))

    instant = data.draw(st.datetimes(start.replace(tzinfo=None), end.replace(tzinfo=None)).map(utc))
    assert schedule.next_after(instant) == next((each for each in firings if each > instant), schedule.next_after(end))

    at_most = data.draw(st.integers(0, 100))
    between = [each for each in firings if instant < each]
    assert schedule.missed(instant, end, at_most) == between[len(between) - min(at_most, len(between)) :]
    until = [each for each in firings if each <= instant]
    assert schedule.missed(start, instant, at_most) == until[len(until) - min(at_most, len(until)) :]


def utc(naive: datetime) -> datetime:
    return naive.replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [
        {"cron": "30 2 * * *"},
        {"cron": "15,45 0-3 * * *"},
        {"cron": "*/20 * * * *"},
        {"cron": "* 1 * * *"},
        {"cron": "40 */2 * * *"},
        {"cron": "50 * * * *"},
        {"daily": {"at": ["00:30", "01:30", "02:15", "02:45", "03:00"]}},
    ],
    ids=str,
)
@pytest.mark.parametrize(("zone", "around"), CHANGES, ids=str)
def test_around_a_change_of_clocks_back_is_the_reverse_of_forth(
    value: dict[str, Any], zone: str, around: datetime
) -> None:
    schedule = parse_schedule(value, zone=zone)
    start, end = around - timedelta(days=1), around + timedelta(hours=5)
    firings = list(iterated(schedule, start, end))

    for minutes in range(-150, 151, 5):
        until = around + minutes * MINUTE
        before = [each for each in firings if each <= until]
        assert schedule.missed(start, until, 2) == before[-2:]
        assert schedule.next_after(until) == next(each for each in (*firings, schedule.next_after(end)) if each > until)
