"""What `upshot backtest` prints of a report: everything that it found, nothing that it did not."""

from typing import Any

from services.cli.backtesting import told

EVENT = {"id": "e1", "type": "order.created", "recorded_at": "2026-03-02T09:00:00Z"}
NOTHING: dict[str, Any] = {
    "range": {"since": "a", "until": "b", "partition": 3, "from_offset": 0, "to_offset": 9},
    "workflow": {"name": "W", "revision": 2, "is_draft": True, "live_revision": None, "not_compared": "none is saved"},
    "timezone": "UTC",
    **dict.fromkeys(("events", "firings", "unreadable", "repeated", "matches", "waits_open", "left_out"), 0),
    **dict.fromkeys(("admitted", "queued", "approvals", "samples_left_out"), 0),
    "matches_per_day": [],
    "condition_errors": {"count": 0, "events": []},
    "held": {},
    "limits": [{"limit": "max_depth", "simulated": "yes", "why": "it is known"}],
    "difference": None,
    "samples": [],
    "notes": [],
}


def test_a_report_of_nothing_is_short_and_says_why_nothing_is_beside_it() -> None:
    lines = [line for line in told(NOTHING) if line]
    assert lines == [
        "W (a draft), a to b",
        "0 matches in 0 events (offsets 0 to 9 of partition 3)",
        "  days in UTC",
        "0 would have run, 0 would have been held by limits",
        "compared with nothing: none is saved",
    ]


def test_what_the_clock_brings_what_failed_and_what_was_not_looked_at_are_told() -> None:
    side = {"count": 0, "events": []}
    report = {
        **NOTHING,
        "workflow": {**NOTHING["workflow"], "live_revision": 1},
        "firings": 12,
        "waits_open": 3,
        "queued": 4,
        "condition_errors": {"count": 7, "events": [{"event": EVENT, "error": "event.data.n is missing"}]},
        "limits": [{"limit": "max_concurrent", "simulated": "no", "why": "nobody knows"}],
        "difference": {"both": 1, "newly_matching": side, "no_longer_matching": side, "undecided": 2},
        "samples": [
            {"event": EVENT, "at": "2026-03-02T10:00:00Z", "held": None, "needs_approval": False, "steps": []},
        ],
    }
    lines = told(report)
    for expected in (
        "0 matches in 0 events and 12 planned instants (offsets 0 to 9 of partition 3)",
        "3 are still waited after: it is not certain yet that nothing follows",
        "7 times the condition could not be evaluated, which counts as false",
        "  order.created  e1: event.data.n is missing",
        "  max_concurrent: not looked at: nobody knows",
        "4 would have waited for room",
        "  ? 2 that one of the two still waits after at the end",
        "order.created e1 at 2026-03-02T09:00:00Z, told at 2026-03-02T10:00:00Z",
    ):
        assert expected in lines
