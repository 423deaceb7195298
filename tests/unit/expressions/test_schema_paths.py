"""Which paths a JSON Schema has a place for."""

import time
from typing import Any

import pytest

from shared.expressions.cel_paths import ITEM
from shared.expressions.schema_paths import absent_segment, suggestion

CLOSED = {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False}


@pytest.mark.parametrize(
    ("schema", "path", "absent"),
    [
        (True, ("x", "y"), None),
        (False, ("x",), 0),
        ({}, ("x", "y"), None),
        ({"type": "object"}, ("x", 0, "y"), None),
        ({"type": "string"}, ("x",), 0),
        ({"type": ["object", "null"]}, ("x",), None),
        (CLOSED, ("a",), None),
        (CLOSED, ("b",), 0),
        (CLOSED, ("a", "b"), 1),
        ({"properties": {"a": {}}}, ("b",), 0),
        ({"properties": {"a": {}}, "additionalProperties": True}, ("b", "c"), None),
        ({"properties": {"a": {}}, "additionalProperties": CLOSED}, ("b", "a"), None),
        ({"properties": {"a": {}}, "additionalProperties": CLOSED}, ("b", "c"), 1),
        ({"properties": {"a": {}}, "patternProperties": {"^x-": {}}}, ("x-1",), None),
        ({"properties": {"a": {}}, "unevaluatedProperties": False}, ("b",), 0),
        ({"type": "array", "items": CLOSED}, (ITEM, "a"), None),
        ({"type": "array", "items": CLOSED}, (3, "b"), 1),
        ({"type": "array", "items": CLOSED}, ("a",), 0),
        ({"type": "array"}, (0, "anything"), None),
        ({"prefixItems": [CLOSED, {"type": "object", "properties": {"b": {}}}]}, (1, "b"), None),
        ({"$ref": "#/$defs/c", "$defs": {"c": CLOSED}}, ("a",), None),
        ({"$ref": "#/$defs/c", "$defs": {"c": CLOSED}}, ("b",), 0),
        ({"$ref": "#/$defs/x~1y", "$defs": {"x/y": CLOSED}}, ("b",), 0),
        ({"$ref": "https://example.com/schema"}, ("b",), None),
        ({"$ref": "#/nowhere"}, ("b",), None),
        ({"allOf": [CLOSED, {"properties": {"b": {}}}]}, ("b",), None),
        ({"allOf": [CLOSED, {"required": ["a"]}]}, ("c",), 0),
        ({"anyOf": [CLOSED, {"type": "object"}]}, ("c",), None),
        ({"anyOf": [CLOSED, {"type": "null"}]}, ("c",), 0),
        ({"oneOf": [CLOSED, {"properties": {"b": {}}}]}, ("b",), None),
        ({"properties": {"a": {}}, "if": {}, "then": {"properties": {"b": {}}}}, ("b",), None),
        ({"properties": {"n": {"$ref": "#"}, "v": {}}}, ("n", "n", "n", "v"), None),
        ({"properties": {"n": {"$ref": "#"}, "v": {}}}, ("n", "n", "w"), 2),
    ],
)
def test_absent_segment(schema: Any, path: tuple[str | int, ...], absent: int | None) -> None:
    assert absent_segment(schema, path) == absent


def test_a_schema_that_turns_in_circles_is_open_and_soon_read() -> None:
    circles: dict[str, Any] = {"$ref": "#"}
    fans: dict[str, Any] = {"allOf": [{"$ref": "#"}, {"$ref": "#"}], "anyOf": [{"$ref": "#"}, {"$ref": "#"}]}
    started = time.process_time()
    for schema in (circles, fans):
        assert absent_segment(schema, ("a", "b")) is None
        assert suggestion(schema, ("a",), 0) is None
    assert time.process_time() - started < 1.0


def test_a_name_alike_is_suggested_from_all_parts() -> None:
    schema = {"allOf": [{"$ref": "#/$defs/c"}], "$defs": {"c": {"properties": {"amount_minor": {}}}}}
    assert suggestion(schema, ("amount_minr",), 0) == "amount_minor"
    assert suggestion(schema, ("zzz",), 0) is None
