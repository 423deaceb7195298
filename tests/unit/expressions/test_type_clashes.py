"""Comparisons that the event type's schema says can never hold are told when a workflow is saved; all else is left to CEL."""

import time
from typing import Any

import pytest

from shared.domain.errors import InvalidInput
from shared.expressions import compile_condition
from shared.expressions.schema_paths import may_hold

ORDER: dict[str, Any] = {
    "type": "object",
    "properties": {
        "currency": {"type": "string"},
        "amount": {"type": "integer"},
        "rate": {"type": "number"},
        "paid": {"type": "boolean"},
        "note": {"type": ["string", "null"]},
        "either": {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/whole"}]},
        "whole": {"$ref": "#/$defs/whole"},
        "any": {},
        "lines": {"type": "array", "items": {"type": "object", "properties": {"sku": {"type": "string"}}}},
    },
    "$defs": {"whole": {"type": "integer"}},
}


def details(text: str, *schemas: Any) -> list[str]:
    try:
        compile_condition(text, data_schemas=schemas or (ORDER,))
    except InvalidInput as refused:
        return [flaw.detail for flaw in refused.flaws]
    return []


@pytest.mark.parametrize(
    ("text", "path", "kind", "column"),
    [
        ("event.data.currency == 1", "currency", "a number", 1),
        ("1 == event.data.currency", "currency", "a number", 6),
        ("has(event.data.currency) && event.data.currency < 3", "currency", "a number", 29),
        ("event.data.amount != '5'", "amount", "text", 1),
        ("event.data.rate >= '5'", "rate", "text", 1),
        ("event.data.paid == 'true'", "paid", "text", 1),
        ("event.data.note == 0", "note", "a number", 1),
        ("event.data.whole == '7'", "whole", "text", 1),
        ("event.data['currency'] > 1", "currency", "a number", 1),
    ],
)
def test_a_literal_of_another_type_is_told_with_its_place(text: str, path: str, kind: str, column: int) -> None:
    said = f"event.data.{path} is never {kind} by the schema of the event type: compare it with what it is"
    assert details(text) == [f"{said} (line 1, column {column})"]


def test_items_that_a_macro_walks_are_known_too() -> None:
    (detail,) = details("event.data.lines.exists(line, line.sku == 5)")
    assert detail.startswith("event.data.lines[…].sku is never a number")


@pytest.mark.parametrize(
    "text",
    [
        "event.data.currency == 'EUR'",
        "event.data.amount > 5 && event.data.rate == 5 && event.data.rate > 0.5",
        "event.data.note == null || event.data.note == 'x'",
        "event.data.either == 'x' || event.data.either == 3",
        "event.data.any == 'x' || event.data.any == 3",
        "event.data.raw.currency == 1",
        "event.subject == 'x' || inputs.n == 1 || steps.a.output == 'b'",
        "string(event.data.amount) == '5'",
        "size(event.data.currency) == 3",
        "event.data.lines.exists(event, event.sku == 'x')",
    ],
)
def test_what_may_hold_passes(text: str) -> None:
    assert details(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "event.data.currency == true",
        "event.data.currency == 1.5",
        "event.data.currency in [1]",
        "event.data.amount == event.data.currency",
    ],
)
def test_what_is_not_found_is_what_the_documentation_says(text: str) -> None:
    assert details(text) == []


def test_of_several_types_one_is_enough_and_a_missing_path_is_told_once() -> None:
    other = {"type": "object", "properties": {"currency": {"type": "integer"}}}
    assert details("event.data.currency == 1", ORDER, other) == []
    assert details("event.data.currency == 1", ORDER, {"type": "object"}) == []
    (detail,) = details("event.data.curency == 1")
    assert "did you mean currency?" in detail
    closed = {"type": "object", "properties": {"amount": {"type": "integer"}}}
    (detail,) = details("event.data.currency == 1", ORDER, closed)
    assert "never a number" in detail


def test_a_schema_that_turns_in_circles_is_open_and_soon_read() -> None:
    circles: dict[str, Any] = {"$ref": "#"}
    fans: dict[str, Any] = {"allOf": [{"$ref": "#"}, {"$ref": "#"}], "anyOf": [{"$ref": "#"}, {"$ref": "#"}]}
    started = time.process_time()
    assert may_hold(circles, (), ["string"])
    assert may_hold(fans, (), ["string"])
    assert may_hold(fans, ("a", "b"), ["string"])
    assert time.process_time() - started < 1.0
