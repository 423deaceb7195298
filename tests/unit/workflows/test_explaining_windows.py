"""What triggers remember, what the clock starts, and what a workflow's own URL is, in an explanation."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
import pytest

from services.executor.actions import discover_actions
from services.matcher.triggers import discover_triggers
from shared.domain.definitions import Workflow
from shared.domain.envelope import Event
from shared.domain.hooks import HOOK_EVENT, hook_source
from shared.testing.explaining import NOW, Explaining, event_of, said
from shared.workflows.catalogue import Catalogue
from shared.workflows.event_secrets import EventSecrets
from shared.workflows.explaining import Clause, Conjunct, windows_known
from shared.workflows.hiding import Hiding
from shared.workflows.hooks import id_of
from shared.workflows.triggers import FIRING_SOURCE
from shared.workflows.webhook import parse_webhook

NONE_SECRET = EventSecrets(Hiding(), {})
WHY = Explaining(Catalogue(actions=discover_actions(), triggers=discover_triggers(), event_schemas={}))

COUNT = {"count": {"event": "order.refunded", "times": 3, "within_seconds": 60, "pattern": {"data": {"a": [1]}}}}
ABSENCE = {
    "absence": {"after": {"event": "order.refunded"}, "of": {"event": "order.closed"}, "within_seconds": 60},
}


def test_a_count_is_explained_by_its_events_pattern_its_condition_and_then_its_window() -> None:
    workflow = WHY.workflow_of(COUNT, "event.data.b == 1")
    elsewhere = WHY.explained(workflow, event_of({"a": 2, "b": 1}))
    assert isinstance(elsewhere.first_failed, Clause)
    assert elsewhere.first_failed.pointer == "#/trigger/count/pattern/data/a/0"

    false = WHY.explained(workflow, event_of({"a": 1, "b": 2}))
    assert isinstance(false.first_failed, Conjunct)

    counts = WHY.explained(workflow, event_of({"a": 1, "b": 1}))
    assert isinstance(counts.first_failed, Clause)
    assert (counts.first_failed.pointer, counts.matches) == ("#/trigger/count/times", False)
    assert (counts.held, counts.total) == (3, 4)
    assert said(counts) == "Refund alert: no, it counts towards 3 events within 60 s"


def test_an_absence_tells_what_begins_a_wait_from_what_ends_one() -> None:
    workflow = WHY.workflow_of(ABSENCE)
    assert said(WHY.explained(workflow, event_of({}))) == (
        "Refund alert: no, it begins a wait, with none to follow within 60 s"
    )
    assert said(WHY.explained(workflow, event_of({}, "order.closed"))) == (
        "Refund alert: no, it is what a wait of this workflow is for: it ends one, and starts nothing"
    )
    assert said(WHY.explained(workflow, event_of({}, "x.y"))).startswith('Refund alert: no, type is "x.y"')


@pytest.mark.parametrize(
    ("more", "key", "why"),
    [
        ({"time": NOW - timedelta(seconds=61)}, "x", "it was recorded 61 s after its own time"),
        ({"time": NOW, "replay_id": "again"}, "x", "it is a replay"),
        ({"time": NOW}, "{{ event.data.gone }}", "its key cannot be rendered: event.data.gone is undefined"),
        ({"time": NOW}, "{{ event.data.gone }}{{ event.data.password }}", "its key cannot be used (hidden)"),
        ({"time": NOW}, "{{ event.data.long }}", "its key would have 1001 characters"),
    ],
)
@pytest.mark.parametrize("kind", ["count", "after", "of"])
def test_what_no_window_takes_in_says_why(kind: str, more: dict[str, Any], key: str, why: str) -> None:
    count = {"event": "order.refunded", "times": 3, "within_seconds": 60, "key": key}
    opening, closing = ("order.refunded", "x.y") if kind == "after" else ("x.y", "order.refunded")
    absence = {"after": {"event": opening}, "of": {"event": closing}, "within_seconds": 60, "key": key}
    workflow = WHY.workflow_of({"count": count} if kind == "count" else {"absence": absence})
    event = replace(event_of({"long": "x" * 1001}), **more)

    told = said(WHY.explained(workflow, event))
    assert f"it is left out: {why}" in told
    assert not decided_windows(workflow, event)


def decided_windows(workflow: Workflow, *events: Event) -> list[Any]:
    """What the matcher appends about windows."""
    return [fact for decided in WHY.decisions(workflow, *events) for fact in decided.windows]


def told_of_windows(workflow: Workflow, event_id: str, *events: Event, whole: bool = True) -> str:
    start = WHY.start_of(workflow)
    records = decided_windows(workflow, *events)
    (known,) = windows_known("acme", event_id, records, start, NONE_SECRET, whole=whole).values()
    return known.said


def test_of_two_events_that_could_open_a_wait_only_one_is_said_to_have() -> None:
    workflow = WHY.workflow_of(ABSENCE)
    first, second = (replace(event_of({}), id=each) for each in ("first", "second"))
    paid = replace(event_of({}, "order.closed"), id="paid")

    assert told_of_windows(workflow, "first", first, second).startswith("opened a wait until")
    assert told_of_windows(workflow, "second", first, second) == (
        "opened no wait: one was open already, after event first"
    )
    assert told_of_windows(workflow, "first", first, second, paid) == "opened a wait that event paid ended in time"
    assert "opened no wait" in told_of_windows(workflow, "second", first, second, paid)
    assert told_of_windows(workflow, "paid", first, paid) == "is what a wait is for, and ended one"
    assert told_of_windows(workflow, "paid", paid) == "is what a wait is for, and none was open"
    assert told_of_windows(workflow, "first", paid, first) == (
        "opened no wait: what should follow it had come before it was read"
    )


def test_what_was_recorded_late_gives_a_wait_to_another_event_and_takes_it() -> None:
    workflow = WHY.workflow_of(ABSENCE)
    first, second = (replace(event_of({}), id=f"after {ago} s", time=NOW - timedelta(seconds=ago)) for ago in (30, 15))
    paid = replace(event_of({}, "order.closed"), id="paid", time=NOW - timedelta(seconds=20))

    assert told_of_windows(workflow, second.id, first, second, paid).startswith("opened a wait until")
    assert told_of_windows(workflow, second.id, second, first) == (
        f"opened no wait: one was open already, after event {first.id}"
    )


def test_where_the_records_begin_too_late_nothing_is_claimed_of_what_came_before() -> None:
    workflow = WHY.workflow_of(ABSENCE)
    opened = told_of_windows(workflow, "e", event_of({}), whole=False)
    assert opened.endswith(", unless one was open already")
    paid = replace(event_of({}, "order.closed"), id="paid")
    assert told_of_windows(workflow, "paid", paid, whole=False).endswith("ends it where there is one")
    start = WHY.start_of(counting := WHY.workflow_of(COUNT))
    records = decided_windows(counting, event_of({"a": 1}))
    assert records
    assert not windows_known("acme", "e", records, start, NONE_SECRET, whole=False)


def test_a_schedule_is_started_by_its_own_firings_alone() -> None:
    workflow = WHY.workflow_of({"schedule": {"interval": {"minutes": 5}}})
    (schedule,) = WHY.start_of(workflow).schedules
    data = orjson.dumps({"planned_at": "2026-03-02T09:00:00Z", "trigger": schedule.trigger})
    own = replace(event_of(data, "upshot.schedule.fired"), source=FIRING_SOURCE, subject="w")

    assert WHY.decided(workflow, own)
    verdict = WHY.explained(workflow, own)
    assert (verdict.matches, verdict.share, verdict.first_failed) == (True, 1.0, None)
    for other in (replace(own, subject="other"), replace(own, source="/shop"), event_of({})):
        assert not WHY.decided(workflow, other)
        assert said(WHY.explained(workflow, other)) == "Refund alert: no, only its own firings start it"


def test_a_hook_is_started_by_what_is_delivered_to_its_own_url_alone() -> None:
    workflow = WHY.workflow_of({"webhook": {}})
    source = hook_source(id_of("acme", "w", parse_webhook({})))
    own = replace(event_of(b'{"raw": 1}', HOOK_EVENT), source=source, subject="w")

    assert WHY.decided(workflow, own)
    verdict = WHY.explained(workflow, own)
    assert (verdict.matches, verdict.share, verdict.first_failed) == (True, 1.0, None)
    for other in (replace(own, subject="other"), replace(own, source="/shop"), event_of({})):
        assert not WHY.decided(workflow, other)
        assert (
            said(WHY.explained(workflow, other)) == "Refund alert: no, only what is delivered to its own URL starts it"
        )
