"""An explanation is in the document's words, with every reason, and never has another verdict than `decide`."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from services.executor.actions import discover_actions
from services.matcher.triggers import discover_triggers
from shared.domain.errors import InvalidInput
from shared.testing.explaining import Explaining, event_of, said
from shared.workflows.catalogue import Catalogue

WHY = Explaining(Catalogue(actions=discover_actions(), triggers=discover_triggers(), event_schemas={}))

COUNT = {"count": {"event": "order.refunded", "times": 3, "within_seconds": 60, "pattern": {"data": {"a": [1]}}}}
ABSENCE = {
    "absence": {"after": {"event": "order.refunded"}, "of": {"event": "order.closed"}, "within_seconds": 60},
}

SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from(["a", "b", "A", "", "1"]))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["a", "b", "password"]), inner, max_size=3)
    ),
    max_leaves=8,
)
ENTRIES = st.lists(
    st.one_of(
        SCALARS,
        st.sampled_from(
            [
                {"exists": True},
                {"exists": False},
                {"prefix": "a"},
                {"suffix": "b"},
                {"wildcard": "a*"},
                {"equals-ignore-case": "A"},
                {"anything-but": ["a"]},
                {"anything-but": 1},
                {"anything-but": {"prefix": "a"}},
                {"numeric": [">", 0]},
                {"numeric": [">=", -1, "<", 2]},
            ]
        ),
    ),
    min_size=1,
    max_size=3,
)
FIELDS = st.dictionaries(st.sampled_from(["a", "b", "password"]), ENTRIES, min_size=1, max_size=3)
DATA_PATTERNS = st.one_of(
    FIELDS,
    st.builds(lambda one, two: {"$or": [one, two]}, FIELDS, FIELDS),
    st.builds(lambda inner: {"a": inner}, FIELDS),
    st.builds(
        lambda inner, outer: {"b": inner, "$or": [{"a": outer["a"]}, {"c": [1]}]},
        FIELDS,
        st.fixed_dictionaries({"a": ENTRIES}),
    ),
)
TRIGGERS = st.one_of(
    st.builds(lambda pattern: {"pattern": {"data": pattern}}, DATA_PATTERNS),
    st.builds(lambda pattern: {"event": "order.refunded", "pattern": {"data": pattern}}, DATA_PATTERNS),
    st.sampled_from([{"event": "order.*"}, {"event": ["x.y", "order.refunded"]}, {"event": "x.y"}, COUNT, ABSENCE]),
)
ATOMS = st.sampled_from(
    [
        "event.data.a == 1",
        "event.data.a.b == 'a'",
        "has(event.data.a)",
        "event.data.b > 0",
        "size(event.data.a) > 0",
        "event.data.b.exists(x, x == 1)",
        "event.data.password == 'a'",
        "event.data.a",
        "event.data.b != null && event.type == 'order.refunded'",
    ]
)
CONDITIONS = st.one_of(
    st.none(),
    st.lists(ATOMS, min_size=1, max_size=4).map(" && ".join),
    st.lists(ATOMS, min_size=2, max_size=3).map(lambda atoms: f"({atoms[0]} && {atoms[1]}) && {' || '.join(atoms)}"),
)


@given(
    st.one_of(TRIGGERS, st.lists(TRIGGERS, min_size=1, max_size=3)),
    CONDITIONS,
    st.dictionaries(st.sampled_from(["a", "b", "c", "password"]), VALUES, max_size=4),
)
def test_an_explanation_never_has_another_verdict_than_the_matcher(
    trigger: Any, condition: str | None, data: Any
) -> None:
    try:
        workflow = WHY.workflow_of(trigger, condition)
    except InvalidInput:
        return
    event = event_of(data)
    verdict = WHY.explained(workflow, event)

    assert verdict.matches == WHY.decided(workflow, event)
    assert (verdict.share == 1) == verdict.matches or verdict.total == 0
    assert (verdict.first_failed is None) == verdict.matches
    start = WHY.start_of(workflow)
    assert [each.holds for each in verdict.triggers].count(True) <= len(start.patterns)
    for each in verdict.triggers:
        for clause in each.clauses:
            assert bool(clause.reasons) == (not clause.holds)
    assert said(verdict)
