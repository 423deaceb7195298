"""Clause by clause: where it stands in the document, what it expects, and every reason why it does not hold."""

from typing import Any

import pytest

from services.executor.actions import discover_actions
from services.matcher.triggers import discover_triggers
from shared.testing.explaining import Explaining, event_of, said
from shared.workflows.catalogue import Catalogue
from shared.workflows.explaining import Clause

WHY = Explaining(Catalogue(actions=discover_actions(), triggers=discover_triggers(), event_schemas={}))


def test_the_first_clause_that_failed_is_named_with_its_place_in_the_document() -> None:
    trigger = {"event": "order.refunded", "pattern": {"data": {"amount_minor": [{"numeric": [">", 10000]}]}}}
    verdict = WHY.explained(WHY.workflow_of(trigger), event_of({"amount_minor": 900}))

    assert [(each.pointer, each.holds) for each in verdict.triggers[0].clauses] == [
        ("#/trigger/event", True),
        ("#/trigger/pattern/data/amount_minor/0", False),
    ]
    failed = verdict.first_failed
    assert isinstance(failed, Clause)
    assert (failed.path, failed.expected, failed.actual) == ("data.amount_minor", {"numeric": [">", 10000]}, (900,))
    assert failed.reasons == ("it is not > 10000",)
    assert (verdict.held, verdict.total) == (1, 2)
    assert said(verdict) == "Refund alert: no, data.amount_minor is 900, expected a number > 10000"


def test_a_clause_that_fails_for_two_reasons_tells_both() -> None:
    pattern = {"data": {"amount_minor": [{"numeric": [">", 10000]}]}}

    assert WHY.failed_clause({"pattern": pattern}, {"amount_minor": "900"}).reasons == (
        "it is text, not a number",
        "read as a number it is not > 10000 either",
    )
    assert WHY.failed_clause({"pattern": pattern}, {"amount_minor": "20000"}).reasons == ("it is text, not a number",)


def test_clauses_come_in_the_documents_order_and_not_in_that_of_evaluation() -> None:
    pattern = {"type": ["x.y"], "data": {"z": [1], "a": [2]}}
    verdict = WHY.explained(WHY.workflow_of({"pattern": pattern}), event_of({"a": 0, "z": 0}))

    assert [each.path for each in verdict.triggers[0].clauses] == ["type", "data.z", "data.a"]
    assert isinstance(verdict.first_failed, Clause)
    assert verdict.first_failed.path == "type"


@pytest.mark.parametrize(
    ("entries", "data", "actual", "reasons"),
    [
        ([{"exists": False}], {"x": None}, "is null", ("it is there, and absence is asked for",)),
        ([{"exists": True}], {}, "is absent", ("it is absent",)),
        ([{"exists": True}], {"x": []}, "is an empty list", ("it is an empty list",)),
        (
            [{"exists": True}],
            {"x": {"y": 1}},
            "is an object, and a pattern compares plain values only",
            ("it is an object, and a pattern compares plain values only",),
        ),
        ([{"anything-but": ["a", "b"]}], {"x": "b"}, 'is "b"', ("it is one of those that are excluded",)),
        ([{"anything-but": "a"}], {}, "is absent", ("it is absent",)),
        (["EUR"], {"x": "eur"}, 'is "eur"', ('it is not "EUR": it differs in case',)),
        (["1"], {"x": 1}, "is 1", ("it is a number, not text",)),
        ([1], {"x": "2"}, 'is "2"', ("it is text, not a number", "it does not read 1 either")),
        ([True], {"x": "true"}, 'is "true"', ('it is "true", not true',)),
        ([{"prefix": "a"}], {"x": "Ab"}, 'is "Ab"', ('it is not text beginning with "a": it differs in case',)),
        (
            [{"prefix": "a"}],
            {"x": 5},
            "is 5",
            ("it is a number, not text", 'read as text it does not begin with "a" either'),
        ),
        ([{"cidr": "10.0.0.0/8"}], {"x": "192.0.2.1"}, 'is "192.0.2.1"', ("it is no IP address in 10.0.0.0/8",)),
        ([{"cidr": "10.0.0.0/8"}], {"x": 10}, "is 10", ("it is a number, not the text of an IP address",)),
        (
            [{"numeric": [">=", 5, "<", 10]}],
            b'{"x": 12345678901234567890123}',
            "is 12345678901234567890123",
            ("it has more digits than can be compared exactly, and numeric never holds for such a number",),
        ),
        (
            ["a", "b"],
            {"x": ["c", 1]},
            'is "c", 1',
            (
                '"c": it is not "a"',
                '"c": it is not "b"',
                "1: it is a number, not text",
                '1: it does not read "a" either',
                '1: it does not read "b" either',
            ),
        ),
    ],
)
def test_each_operator_says_why_not(entries: list[Any], data: Any, actual: str, reasons: tuple[str, ...]) -> None:
    clause = WHY.failed_clause({"pattern": {"data": {"x": entries}}}, data)

    assert (clause.actual_in_words, clause.reasons) == (actual, reasons)
    assert clause.expected == (entries[0] if len(entries) == 1 else entries)


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([{"numeric": [">=", 5, "<", 10]}], "a number >= 5 and < 10"),
        ([{"numeric": ["=", 5]}], "the number 5"),
        (["EUR", "USD"], 'one of "EUR", "USD"'),
        ([{"exists": False}, "x"], '"x" or no value'),
        ([{"anything-but": {"prefix": ["a", "b"]}}], 'anything but text beginning with "a" or "b"'),
        ([{"suffix": {"equals-ignore-case": ".PNG"}}], 'text ending with ".PNG" in any case'),
        ([{"wildcard": "a*"}], 'text like "a*"'),
    ],
)
def test_what_is_expected_is_said_in_words(entries: list[Any], words: str) -> None:
    verdict = WHY.explained(WHY.workflow_of({"pattern": {"data": {"x": entries}}}), event_of({}))
    assert verdict.triggers[0].clauses[0].expected_in_words == words


def test_of_or_the_branch_that_came_nearest_counts_and_all_are_shown() -> None:
    pattern = {"$or": [{"data": {"a": [1], "b": [1]}}, {"data": {"c": [1], "d": [1]}}], "source": ["/shop"]}
    verdict = WHY.explained(WHY.workflow_of({"pattern": pattern}), event_of({"a": 2, "b": 2, "c": 1, "d": 2}))

    trigger = verdict.triggers[0]
    assert [(each.path, each.holds, each.counted) for each in trigger.clauses] == [
        ("data.a", False, False),
        ("data.b", False, False),
        ("data.c", True, True),
        ("data.d", False, True),
        ("source", True, True),
    ]
    assert (trigger.held, trigger.total) == (2, 3)
    assert isinstance(verdict.first_failed, Clause)
    assert verdict.first_failed.pointer == "#/trigger/pattern/$or/1/data/d/0"


def test_fields_held_by_different_elements_of_an_array_say_so() -> None:
    pattern = {"data": {"items": {"sku": ["A"], "qty": [2]}}}
    data = {"items": [{"sku": "A", "qty": 1}, {"sku": "B", "qty": 2}]}
    verdict = WHY.explained(WHY.workflow_of({"pattern": pattern}), event_of(data))

    assert not verdict.matches
    assert said(verdict).endswith("is held by different elements of data.items[] than the fields before it")


def test_of_several_triggers_the_nearest_speaks() -> None:
    triggers = [
        {"event": "order.created"},
        {"event": "order.refunded", "pattern": {"data": {"a": [1]}}},
        {"manual": {}},
    ]
    verdict = WHY.explained(WHY.workflow_of(triggers), event_of({"a": 2}))

    assert [each.kind for each in verdict.triggers] == ["event", "event+pattern", "manual"]
    assert isinstance(verdict.first_failed, Clause)
    assert verdict.first_failed.pointer == "#/trigger/1/pattern/data/a/0"
    assert WHY.explained(WHY.workflow_of(triggers), event_of({}, event_type="order.created")).matches


def test_what_only_people_start_says_so() -> None:
    verdict = WHY.explained(WHY.workflow_of({"manual": {}}), event_of({}))

    assert (verdict.matches, verdict.share, verdict.first_failed) == (False, 0.0, None)
    assert said(verdict) == "Refund alert: no, only a person or a service that asks for a run starts it"


def test_an_event_of_a_type_that_is_not_named() -> None:
    clause = WHY.failed_clause({"event": ["order.created", "github.*"]}, {})

    assert (clause.pointer, clause.expected) == ("#/trigger/event", ["order.created", "github.*"])
    assert clause.expected_in_words == '"order.created" or text beginning with "github."'


def test_reasons_that_are_not_shown_are_counted() -> None:
    trigger = {"pattern": {"data": {"a": [{"prefix": f"{letter}x"} for letter in "abcdefghijk"]}}}
    reasons = WHY.failed_clause(trigger, {"a": "q"}).reasons
    assert (len(reasons), reasons[-1]) == (9, "and 3 more")
