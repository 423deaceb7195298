"""Explanations: the first thing that failed, in words, and never another verdict than the matcher's."""

from typing import Any

from shared.matching import event_from_value, explain, parse_pattern


def _explain(pattern: dict[str, Any], event: dict[str, Any]) -> Any:
    return explain(parse_pattern(pattern), event_from_value(event))


def test_the_first_clause_that_failed_shows_expected_and_actual() -> None:
    pattern = {"type": ["order.refunded"], "data": {"amount_minor": [{"numeric": [">", 10000]}]}}

    explanation = _explain(pattern, {"type": "order.refunded", "data": {"amount_minor": 999}})

    assert not explanation.matches
    failed = explanation.first_failed
    assert (failed.path, failed.pointer) == ("data.amount_minor", "#/data/amount_minor")
    assert failed.expected == '[{"numeric": [">", 10000]}]'
    assert failed.actual == ("999",)
    assert explanation.reason == "data.amount_minor: the value is not held"
    (alternative,) = explanation.alternatives
    assert [clause.holds for clause in alternative.clauses] == [False, True]


def test_an_absent_value_and_an_unwanted_one_are_told_apart() -> None:
    absent = _explain({"a": [1]}, {})
    unwanted = _explain({"a": [{"exists": False}]}, {"a": None})

    assert absent.reason == "a: the event has no value here"
    assert unwanted.reason == "a: a value is there, and absence was asked for"
    assert unwanted.first_failed.actual == ("null",)


def test_fields_held_by_different_elements_name_the_array() -> None:
    explanation = _explain(
        {"data": {"items": {"sku": ["A"], "qty": [2]}}},
        {"data": {"items": [{"sku": "A", "qty": 1}, {"sku": "B", "qty": 2}]}},
    )

    (alternative,) = explanation.alternatives
    assert alternative.inconsistent == "data.items[]"
    assert "held by different elements of data.items[]" in explanation.reason


def test_absence_that_only_the_array_refuses() -> None:
    explanation = _explain({"a": {"b": [{"exists": False}]}}, {"a": [{"b": 1}, {"c": 1}]})

    assert not explanation.matches
    assert "absence was asked for" in explanation.reason


def test_the_nearest_alternative_speaks_and_all_are_shown() -> None:
    explanation = _explain({"$or": [{"a": [1], "b": [1]}, {"c": [1]}], "d": [1]}, {"a": 2, "b": 2, "c": 2, "d": 1})

    assert len(explanation.alternatives) == 2
    assert explanation.first_failed.path == "c"
    assert explanation.first_failed.pointer == "#/$or/1/c"


def test_a_match_says_so() -> None:
    explanation = _explain({"a": [1]}, {"a": [0, 1]})

    assert explanation.matches
    assert explanation.first_failed is None
    assert explanation.reason == "the event matches"


def test_long_values_and_lists_are_cut() -> None:
    explanation = _explain({"a": ["x"]}, {"a": ["y" * 1000] * 100})

    assert len(explanation.first_failed.actual) == 20
    assert all(len(text) <= 201 for text in explanation.first_failed.actual)
