"""What a caller that waits for its run is answered, and how many may wait."""

import asyncio
from datetime import UTC, datetime

import pytest

from services.ingest.service import answering
from services.ingest.service.answering import (
    Answered,
    Answering,
    NotYet,
    RunEnd,
    RunFailed,
    TooManyWait,
    outcome_of,
)
from services.ingest.settings import IngestSettings
from shared.bus.port import Position
from shared.domain.envelope import Event
from shared.domain.hooks import HookAnswer
from shared.domain.runs.state import RunStatus

ANSWER = HookAnswer(
    wait_seconds=1, status=201, body={"doubled": "{{ steps.double.output.n }}", "of": "{{ event.data.raw }}"}
)
EVENT = Event(id="e", source="/s", type="t", tenant_id="acme", data=b"{}")
AT = Position(topic="upshot.events", partition=0, offset=1, recorded_at=datetime(2030, 1, 1, tzinfo=UTC))
CONTEXT = {"event": {"data": {"raw": 4}}, "steps": {"double": {"output": {"n": 8}}}, "run": {"id": "r"}}


def end(status: RunStatus | None, **more: object) -> RunEnd:
    return RunEnd(run_id="r", status=status, **more)  # type: ignore[arg-type]  named by each test


def test_a_run_that_succeeded_answers_with_what_it_made() -> None:
    body = {"doubled": 8, "of": 4}
    assert outcome_of(end("succeeded", context=CONTEXT), ANSWER) == Answered(run_id="r", status=201, body=body)
    text = HookAnswer(wait_seconds=1, body="it is {{ steps.double.output.n }}")
    found = outcome_of(end("succeeded", context=CONTEXT), text)
    assert found == Answered(run_id="r", status=200, body="it is 8", text=True)


def test_without_a_body_of_its_own_it_names_the_run() -> None:
    found = outcome_of(end("succeeded"), HookAnswer(wait_seconds=1))
    assert found == Answered(run_id="r", status=200, body={"run_id": "r", "status": "succeeded"})


def test_an_answer_that_cannot_be_written_is_a_failure_that_names_the_run() -> None:
    found = outcome_of(end("succeeded", context={"event": {}, "steps": {}}), ANSWER)
    assert isinstance(found, RunFailed)
    assert "doubled" in found.why


@pytest.mark.parametrize("status", ["failed", "cancelled", "denied", "expired"])
def test_a_run_that_ended_otherwise_failed(status: RunStatus) -> None:
    found = outcome_of(end(status, reason="step call: it answered 500"), ANSWER)
    assert found == RunFailed(run_id="r", status=status, why="step call: it answered 500")


def test_a_run_that_a_limit_skipped_was_refused() -> None:
    assert outcome_of(end("skipped"), ANSWER) == RunFailed(
        run_id="r", status="skipped", why="a limit of the workflow left it out", refused=True
    )


def test_what_has_not_ended_is_answered_with_where_it_is() -> None:
    for status in ("queued", "running"):
        found = outcome_of(end(status), ANSWER)
        assert isinstance(found, NotYet)
        assert (found.run_id, found.state) == ("r", "open")
    waiting = outcome_of(end("pending_approval"), ANSWER)
    assert isinstance(waiting, NotYet)
    assert waiting.state == "pending_approval"


def test_a_run_that_never_will_be_is_told_from_one_that_is_late() -> None:
    late, never = outcome_of(end(None), ANSWER), outcome_of(end(None, matched=True), ANSWER)
    assert isinstance(late, NotYet)
    assert isinstance(never, NotYet)
    assert (late.run_id, late.state) == ("r", "open")
    assert (never.run_id, never.state) == (None, "not_started")


class NobodyEnds:
    async def end_of(self, event: Event, position: Position, workflow_id: str, seconds: float) -> RunEnd:
        raise AssertionError("nobody asks in these tests")


def test_no_more_callers_wait_than_may_of_one_tenant_and_of_all() -> None:
    it = Answering(NobodyEnds(), IngestSettings(waiting_callers_max=3, tenant_waiting_callers_max=2))
    with it.place("acme"), it.place("acme"):
        with pytest.raises(TooManyWait, match="this tenant"), it.place("acme"):
            pass
        with it.place("other"), pytest.raises(TooManyWait), it.place("third"):
            pass
        with it.place("third"):
            pass
    with it.place("acme"), it.place("acme"):
        pass


class NeverEnds:
    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.given_up = False

    async def end_of(self, event: Event, position: Position, workflow_id: str, seconds: float) -> RunEnd:
        self.asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.given_up = True
        raise AssertionError("nobody sets it")


async def test_nothing_is_waited_for_once_the_caller_has_hung_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answering, "LOOK_SECONDS", 0.01)
    ends = NeverEnds()
    connected = asyncio.Event()
    connected.set()
    waiting = asyncio.create_task(
        Answering(ends, IngestSettings()).outcome(EVENT, AT, "w", ANSWER, connected=connected.is_set)
    )
    async with asyncio.timeout(5):
        await ends.asked.wait()
        assert not waiting.done()
        connected.clear()
        found = await waiting
    assert isinstance(found, NotYet)
    assert "hung up" in found.why
    assert ends.given_up
