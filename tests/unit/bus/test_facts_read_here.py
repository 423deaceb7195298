"""A process that wrote a fact reads it without parsing: what it gets is what everybody else gets from the bytes."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.bus import codec, facts
from shared.bus.facts import Cause
from shared.bus.port import NewRecord
from shared.bus.topics import RUNS
from shared.domain.records import AttemptStarted, RunsFact

AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
NOBODY = Cause(causation_id=None, correlation_id=None)
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(),
    st.just(AT),
    st.tuples(st.integers()),
    st.lists(st.integers()),
)


def written(fact: RunsFact, as_read: RunsFact | None) -> NewRecord:
    event = facts.envelop(
        fact, id="r", tenant_id="acme", source="/upshot/executor", at=AT, cause=NOBODY, as_read=as_read
    )
    return codec.encode(RUNS, event)


@given(st.dictionaries(st.text(max_size=5), VALUES, max_size=4))
def test_what_is_said_to_read_back_does_to_the_very_type(request: dict[str, object]) -> None:
    fact = AttemptStarted(run_id="r", step_id="a", number=1, request=request)
    if not facts.reads_back(request):
        return
    elsewhere = facts.runs_fact(codec.decode(replace(written(fact, fact), origin=None)))
    assert elsewhere == fact
    assert isinstance(elsewhere, AttemptStarted)
    assert [type(value) for value in elsewhere.request.values()] == [type(value) for value in request.values()]


@pytest.mark.parametrize("value", [(1,), [1], {"a": 1}, 1.5, float("nan"), AT])
def test_what_json_may_give_back_otherwise_is_not_said_to(value: object) -> None:
    assert not facts.reads_back({"fine": "x", "value": value})


def test_the_very_fact_is_read_where_it_was_written_and_the_bytes_are_where_it_was_not() -> None:
    fact = AttemptStarted(run_id="r", step_id="a", number=1, request={"body": "x"})
    record = written(fact, fact)
    assert facts.runs_fact(codec.decode(record)) is fact
    read = facts.runs_fact(codec.decode(replace(record, origin=None)))
    assert read == fact
    assert read is not fact


def test_a_fact_of_another_type_than_the_event_says_is_not_believed() -> None:
    fact = AttemptStarted(run_id="r", step_id="a", number=1, request={})
    event = codec.decode(written(fact, fact))
    with pytest.raises(codec.UndecodableRecord):
        facts.runs_fact(replace(event, type="run.cancelled"))
