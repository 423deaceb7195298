"""A manual run's inputs against the workflow's schema; schemas that would cost too much are refused when they are saved."""

import pytest

from services.api.core.inputs import check_inputs, check_schemas
from shared.domain.errors import InvalidInput
from shared.workflows.document import parse_document

STEPS = [{"id": "a", "uses": "wait", "with": {"seconds": 1}}]


def workflow(*schemas):
    triggers = [{"manual": {"inputs": each} if each is not None else {}} for each in schemas]
    return parse_document({"name": "w", "trigger": triggers if len(triggers) > 1 else triggers[0], "steps": STEPS})


def flaws(judge, *arguments):
    with pytest.raises(InvalidInput) as caught:
        judge(*arguments)
    return [(flaw.pointer, flaw.detail) for flaw in caught.value.flaws]


def test_inputs_that_fit_pass_and_flaws_are_named_with_their_place():
    document = workflow({"type": "object", "properties": {"n": {"type": "array", "items": {"type": "integer"}}}})
    check_inputs(document, {"n": [1, 2]})
    ((pointer, detail),) = flaws(check_inputs, document, {"n": [1, "two"]})
    assert pointer == "#/inputs/n/1"
    assert "integer" in detail


def test_without_a_schema_any_inputs_fit():
    check_inputs(workflow(None), {"whatever": [1]})


def test_of_several_manual_triggers_one_must_fit():
    document = workflow({"required": ["a"]}, {"required": ["b"]})
    check_inputs(document, {"b": 1})
    assert '"a"' in flaws(check_inputs, document, {"c": 1})[0][1]


def test_flaws_are_bounded():
    document = workflow({"additionalProperties": {"type": "string"}})
    assert len(flaws(check_inputs, document, {str(n): n for n in range(1000)})) == 50


def test_references_within_the_schema_are_followed():
    document = workflow(
        {"properties": {"a": {"$ref": "#/$defs/id"}, "b": {"$ref": "#/$defs/id"}}, "$defs": {"id": {"type": "string"}}}
    )
    check_schemas(document)
    assert flaws(check_inputs, document, {"b": 1})[0][0] == "#/inputs/b"


DOUBLING = {
    "$defs": {f"l{n}": {"allOf": [{"$ref": f"#/$defs/l{n + 1}"}] * 2} for n in range(30)} | {"l30": {"type": "object"}}
}
NESTED: dict[str, object] = {"type": "object"}
for _ in range(25):
    NESTED = {"allOf": [NESTED], "unevaluatedProperties": False}


@pytest.mark.parametrize(
    ("schema", "hint"),
    [
        ({"type": "objekt"}, "not valid"),
        ({"$ref": "http://169.254.169.254/latest"}, "part of the same schema"),
        ({"$ref": "#/$defs/none"}, "leads nowhere"),
        ({"$ref": "#"}, "leads back to itself"),
        ({"properties": {"a": {"allOf": [{"$ref": "#"}, {"$ref": "#"}]}}}, "leads back to itself"),
        ({"$id": "urn:x", "$defs": {}}, "$id"),
        ({"$dynamicRef": "#x"}, "$dynamicRef"),
        ({**DOUBLING, "$ref": "#/$defs/l0"}, "more than 2000 values"),
        (NESTED, "unevaluatedProperties"),
        ({"pattern": "(?=a)b"}, "regex"),
        ({"pattern": "(a{1000}){1000}"}, "regex"),
    ],
)
def test_schemas_that_are_none_or_would_cost_too_much_are_refused_on_saving(schema, hint):
    ((pointer, detail),) = flaws(check_schemas, workflow(schema))
    assert pointer == "#/trigger/manual/inputs"
    assert hint in detail


def test_the_place_among_several_triggers_is_named():
    assert flaws(check_schemas, workflow({}, {"type": 5}))[0][0] == "#/trigger/1/manual/inputs"


def test_a_pattern_made_to_backtrack_takes_no_time():
    document = workflow({"properties": {"a": {"pattern": "^(a+)+$"}}})
    assert flaws(check_inputs, document, {"a": "a" * 50_000 + "!"})
