"""Cutting what an event leads to down to a record's size, over any numbers and lengths."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.errors import InvalidInput
from shared.domain.json_text import dump_json
from shared.domain.records import EventMatched, SourceEvent, Unevaluated
from shared.domain.workflow import Limits, Match
from shared.workflows.fitting import OTHERS, fit
from shared.workflows.left_out import RECORD_BYTES_MAX

EVENT = SourceEvent(id="e", source="/s", type="t", data={}, subject=None, time=datetime(2026, 3, 2, tzinfo=UTC))


def match(number: int, name_length: int) -> Match:
    return Match(
        run_id=f"run-{number}",
        workflow_id=f"w{number}",
        workflow_name="ö" * name_length,
        revision=1,
        steps=(),
        limits=Limits(),
    )


MATCHES = st.lists(st.integers(0, 400), max_size=12).map(lambda sizes: tuple(map(match, range(len(sizes)), sizes)))
LEFT_OUT = st.integers(0, 40).map(
    lambda count: tuple(Unevaluated(workflow_id=f"u{number}", reason="budget") for number in range(count))
)


@given(MATCHES, LEFT_OUT, st.integers(500, 8_000))
def test_it_fits_keeps_the_first_and_accounts_for_all_others(
    matches: tuple[Match, ...], left_out: tuple[Unevaluated, ...], bytes_max: int
) -> None:
    whole = EventMatched(event=EVENT, definitions_version=1, matches=matches, unevaluated=left_out)
    found = fit(whole, bytes_max)
    assert len(dump_json(found)) <= bytes_max
    if len(dump_json(whole)) <= bytes_max:
        assert found is whole
        return
    kept = len(found.matches)
    assert found.matches == matches[:kept]
    if kept < len(matches):
        more = replace(whole, matches=matches[: kept + 1], unevaluated=(OTHERS,))
        assert len(dump_json(more)) > bytes_max - 1  # its comma
    expected = [Unevaluated(workflow_id=each.workflow_id, reason=RECORD_BYTES_MAX) for each in matches[kept:]] + list(
        left_out
    )
    if found.unevaluated[-1:] == (OTHERS,):
        assert list(found.unevaluated[:-1]) == expected[: len(found.unevaluated) - 1]
    else:
        assert list(found.unevaluated) == expected


def test_an_event_without_room_is_refused() -> None:
    whole = EventMatched(event=replace(EVENT, data="x" * 1000), definitions_version=1, matches=())
    with pytest.raises(InvalidInput, match="too large"):
        fit(whole, 900)
