"""What came of an event for one workflow, where the log and the clauses say different things."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from services.api.core.explained import Explained, names_type, sum_up
from services.api.core.outcomes import WhatHappened, outcome_of
from services.executor.actions import discover_actions
from services.matcher.triggers import discover_triggers
from shared.domain.definitions_history import WorkflowThen
from shared.domain.records import EventMatched, SourceEvent, Unevaluated
from shared.readmodel.tenant_values import RunItem
from shared.testing.explaining import Explaining
from shared.testing.folds import match
from shared.workflows.catalogue import Catalogue
from shared.workflows.event_secrets import EventSecrets
from shared.workflows.explaining import Outcome, Trigger, Verdict, sentence
from shared.workflows.fitting import OTHERS
from shared.workflows.hiding import Hiding

WHY = Explaining(Catalogue(actions=discover_actions(), triggers=discover_triggers(), event_schemas={}))
MATCHES, FAILS = Verdict(matches=True), Verdict(matches=False)
NOTHING = WhatHappened(match=None, runs={})
RUN = RunItem(
    tenant_id="acme",
    run_id="r",
    workflow_id="w1",
    workflow_name="W",
    revision=1,
    status="skipped",
    reason_kind=None,
    reason=None,
    event_id="e",
    event_type="order.refunded",
    event_subject=None,
    replay_id=None,
    requested_by=None,
    requested_at=datetime(2026, 1, 1, tzinfo=UTC),
    started_at=None,
    ended_at=None,
)
EVENT = SourceEvent(id="e", source="/shop", type="order.refunded", data={})


def then(*, enabled: bool = True, archived: bool = False, revision: int = 1) -> WorkflowThen:
    return WorkflowThen(id="w1", name="W", enabled=enabled, archived=archived, revision=revision)


def outcome(
    verdict: Verdict, was: WorkflowThen | None, happened: WhatHappened, *, revision: int = 1, **more: bool
) -> Outcome:
    as_of_then = more.get("as_of_then", True)
    return outcome_of("w1", revision, was, verdict, happened, EventSecrets(Hiding(), {}), None, as_of_then=as_of_then)


def matched(**given: object) -> WhatHappened:
    shape = {"event": EVENT, "definitions_version": 3, "matches": (), **given}
    return WhatHappened(match=EventMatched(**shape), runs={})  # type: ignore[arg-type]  # given by each test


def test_a_match_whose_runs_are_not_shown_yet_is_asked_for() -> None:
    found = outcome(MATCHES, then(), matched(matches=(match("w1", run_id="r"),)))
    assert (found.kind, found.run_id) == ("asked", "r")
    assert sentence("W", 1, MATCHES, found, today=None).endswith("asked for run r, which is not shown yet")


def test_what_matches_while_no_match_is_in_the_log_is_undecided_and_never_called_a_run() -> None:
    assert outcome(MATCHES, then(), NOTHING).kind == "undecided"
    bounded = outcome(MATCHES, then(), WhatHappened(match=None, runs={}, searched_records=2000))
    assert "2000 records" in str(bounded.reason)
    assert outcome(MATCHES, then(), NOTHING, as_of_then=False).kind == "not_matched"
    assert outcome(MATCHES, then(), matched()).kind == "not_matched"
    assert outcome(FAILS, then(), NOTHING).kind == "not_matched"


@pytest.mark.parametrize(
    ("was", "revision", "kind"),
    [
        (None, 1, "not_yet_created"),
        (then(enabled=False), 1, "disabled"),
        (then(enabled=False, archived=True), 1, "archived"),
        (then(revision=2), 1, "superseded"),
        (then(enabled=False, revision=2), 1, "disabled"),
    ],
)
def test_what_was_not_live_is_told_whatever_its_clauses_say(was: WorkflowThen | None, revision: int, kind: str) -> None:
    for verdict in (MATCHES, FAILS):
        assert outcome(verdict, was, NOTHING, revision=revision).kind == kind


def test_what_was_left_unevaluated_says_by_which_bound() -> None:
    for reason in ("budget", "matches_max", "windows_max"):
        found = outcome(FAILS, then(), matched(unevaluated=(Unevaluated(workflow_id="w1", reason=reason),)))
        assert (found.kind, found.reason_kind) == ("unevaluated", reason)
        assert found.reason is not None
        assert len(found.reason.split()) > 5, "a sentence for people, not the filter's word"


def test_where_not_all_that_is_left_out_is_named_it_is_told_of_those_that_match() -> None:
    happened = matched(unevaluated=(Unevaluated(workflow_id="w2", reason="budget"), OTHERS))
    found = outcome(MATCHES, then(), happened)
    assert (found.kind, found.reason_kind) == ("unevaluated", "record_bytes_max")
    assert outcome(FAILS, then(), happened).kind == "not_matched"


SECRETIVE = {"auth": {"token": "tok_4711"}, "plain": "tok"}


def told_of_skip(kind: str, reason: str, key: str | None, data: object = SECRETIVE) -> str:
    """`key`: of the cooldown of the revision that ran; None: which one that is cannot be known."""
    run = replace(RUN, reason_kind=kind, reason=reason)
    happened = WhatHappened(match=None, runs={"w1": run})
    secrets = EventSecrets(Hiding(), {"data": data})
    bound = {"cooldown": {"seconds": 60, "key": key}}
    limits = {"shared": [{"tag": "t", **bound}]} if kind.startswith("shared") else bound
    ran = WHY.start_of(WHY.workflow_of({"event": "x.y"}, limits=limits, tags=["t"])) if key is not None else None
    return str(outcome_of("w1", 1, then(), MATCHES, happened, secrets, ran, as_of_then=True).reason)


@pytest.mark.parametrize("kind", ["cooldown", "cooldown_key", "shared_cooldown", "shared_cooldown_key"])
def test_a_cooldowns_key_that_may_be_made_of_a_secret_is_not_quoted(kind: str) -> None:
    for key in (
        "{{ event.data.auth.token }}",
        "{{ event.data.auth | json | upcase }}",
        "{{ event.data | json }}",
        None,
    ):
        assert "TOK_4711" not in told_of_skip(kind, "last admitted for 'TOK_4711'", key)
    assert told_of_skip(kind, "last admitted for 'tok'", "{{ event.data.plain }}") == "last admitted for 'tok'"
    assert told_of_skip(kind, "last admitted for 'tok'", None, {"plain": "tok"}) == "last admitted for 'tok'"


def test_what_a_failed_run_quotes_word_for_word_of_a_secret_is_hidden() -> None:
    reason = 'step call: it answered 400: "tok_4711" or {\\"a\\": 1} is wrong'
    told = told_of_skip("step", reason, "", {"token": ["tok_4711", '{"a": 1}', "is", None]})
    assert told == 'step call: it answered 400: "(hidden)" or (hidden) is wrong'


@pytest.mark.parametrize(
    ("was", "told"),
    [(None, "did not exist yet"), (then(enabled=False), "disabled"), (then(enabled=False, archived=True), "archived")],
)
def test_what_came_nearest_says_where_it_was_not_live(was: WorkflowThen | None, told: str) -> None:
    trigger = Trigger(pointer="#/trigger", kind="event", holds=True, clauses=(), held=1, total=1)
    verdict = Verdict(matches=True, triggers=(trigger,), nearest=trigger)
    each = Explained(
        workflow_id="w1",
        name="W",
        revision=1,
        priority=100,
        then=was,
        now=then(),
        verdict=verdict,
        outcome=outcome(verdict, was, NOTHING),
        sentence="",
    )
    assert told in sum_up([each], "order.refunded", 1)


def test_a_revision_that_cannot_be_compiled_any_more_says_so() -> None:
    broken = Verdict(matches=False, broken="its action is gone")
    found = outcome(broken, then(), NOTHING)
    assert found.kind == "broken"
    assert sentence("W", 1, broken, found, today=None) == ("W: no, it cannot be compiled any more: its action is gone")


@pytest.mark.parametrize(
    ("trigger", "expected"),
    [
        ({"event": "order.refunded"}, True),
        ({"event": ["x.y", "order.*"]}, True),
        ({"event": "order.created"}, False),
        ({"pattern": {"type": ["order.refunded"]}}, True),
        ({"pattern": {"type": [{"prefix": "x"}]}}, True),
        ({"pattern": {"type": ["x.y"]}}, False),
        ({"pattern": {"data": {"a": [1]}}}, True),
        ([{"manual": {}}, {"event": "*"}], True),
        ({"manual": {}}, False),
        ({"count": {"event": "order.refunded", "times": 2}}, True),
        ({"count": {"event": "order.created", "times": 2}}, False),
        ({"absence": {"after": {"event": "order.created"}, "of": {"event": "order.refunded"}}}, True),
        ({"absence": {"after": {"event": "order.created"}, "of": {"event": "x.y"}}}, False),
    ],
)
def test_which_documents_are_likely_about_a_type(trigger: object, expected: bool) -> None:
    assert names_type({"trigger": trigger}, "order.refunded") is expected
