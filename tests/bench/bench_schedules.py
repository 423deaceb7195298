"""What schedules cost: `python tests/bench/bench_schedules.py`. Prints, asserts nothing.

Microseconds of processor time a `next_after` of typical schedules, from instants spread over a year; a catch-up after a
year of downtime; and one round of a driver that keeps 10,000 schedules: which are due, and when each of them comes again.
"""

import heapq
import itertools
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from shared.schedules import parse_schedule

_START = datetime(2026, 1, 1, tzinfo=UTC)
_ZONES = ("UTC", "Europe/Paris")
_VALUES: list[dict[str, Any]] = [
    {"cron": "* * * * *"},
    {"cron": "*/5 * * * *"},
    {"cron": "0 8 * * MON-FRI"},
    {"cron": "30 2 * * *"},
    {"cron": "0 9 * * MON#1"},
    {"cron": "0 0 L * *"},
    {"cron": "0 0 29 2 *"},
    {"cron": "0 0 30 2 *"},
    {"interval": {"minutes": 15}},
    {"daily": {"at": "08:30"}},
    {"weekly": {"on": ["mon", "thu"], "at": "08:30"}},
    {"monthly": {"on": 31, "at": "08:30"}},
]
_SCHEDULES = 10_000
_CALLS = 2_000


def main() -> None:
    """Print every figure."""
    print(f"{'':<52} {'next_after µs':>14} {'100 missed µs':>14} {'parse µs':>9}")
    for value, zone in itertools.product(_VALUES, _ZONES):
        schedule = parse_schedule(value, zone=zone)
        instants = iter(_START + timedelta(hours=4.38 * number) for number in range(20 * _CALLS))
        following = _microseconds(lambda: schedule.next_after(next(instants)), _CALLS)  # noqa: B023 - called at once
        ago, now = _START - timedelta(days=365), _START
        missed = _microseconds(lambda: schedule.missed(ago, now, 100), 50)  # noqa: B023
        parse = _microseconds(lambda: parse_schedule(value, zone=zone), 200)  # noqa: B023
        print(f"{value!s:<40} {zone:<12} {following:>13.1f} {missed:>14.1f} {parse:>9.1f}")
    _due_checks()


def _due_checks() -> None:
    schedules = [
        parse_schedule(_VALUES[number % len(_VALUES)], zone=_ZONES[number % 2]) for number in range(_SCHEDULES)
    ]
    planned = [(at, number) for number, each in enumerate(schedules) if (at := each.next_after(_START)) is not None]
    heapq.heapify(planned)
    fired = 0

    def round_at(now: datetime) -> None:
        nonlocal fired
        while planned and planned[0][0] <= now:
            at, number = planned[0]
            fired += 1
            following = schedules[number].next_after(at)
            if following is None:
                heapq.heappop(planned)
            else:
                heapq.heapreplace(planned, (following, number))

    minutes = iter(_START + timedelta(minutes=number) for number in range(1, 10_000))
    whole = _microseconds(lambda: round_at(next(minutes)), 60, rounds=1)
    print(f"one round a minute over {_SCHEDULES:,} schedules: {whole:,.0f} µs, {fired / 60:,.0f} firings a round")
    idle = _microseconds(lambda: round_at(_START), 10_000)
    print(f"one round in which nothing is due: {idle:.2f} µs")


def _microseconds(call: Callable[[], object], times: int, rounds: int = 5) -> float:
    """The best round's average: neighbours on the machine only ever add."""
    best = float("inf")
    for _ in range(rounds):
        begun = time.process_time()
        for _ in range(times):
            call()
        best = min(best, time.process_time() - begun)
    return best / times * 1e6


if __name__ == "__main__":
    main()
