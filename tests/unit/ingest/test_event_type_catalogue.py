"""The catalogue: each type says what it carries, and its examples keep to it."""

import re

import jsonschema_rs
import pytest

from shared.domain import catalogue
from shared.domain.catalogue import EventType

each_type = pytest.mark.parametrize("kind", catalogue.all_types(), ids=lambda kind: kind.name)


def test_the_catalogue_holds_the_published_types() -> None:
    assert [kind.name for kind in catalogue.all_types()] == [
        "order.created",
        "order.refunded",
        "customer.created",
        "payment.succeeded",
        "payment.failed",
        "content.section.updated",
        "export.completed",
        "flags.changed",
        "authz.denied",
        "upshot.schedule.fired",
        "upshot.webhook.received",
    ]
    assert catalogue.lookup("order.created") is catalogue.all_types()[0]
    assert catalogue.lookup("Order.Created") is None


@each_type
def test_a_schema_is_a_schema_and_every_example_keeps_to_it(kind: EventType) -> None:
    jsonschema_rs.meta.validate(dict(kind.schema))
    validator = jsonschema_rs.validator_for(dict(kind.schema), validate_formats=True)
    assert kind.examples
    for example in kind.examples:
        validator.validate(dict(example))
        validator.validate({**example, "raw": [1], "a_field_of_tomorrow": None})


@each_type
def test_every_required_field_is_required(kind: EventType) -> None:
    validator = jsonschema_rs.validator_for(dict(kind.schema))
    required = kind.schema["required"]
    assert isinstance(required, list)
    for name in required:
        assert not validator.is_valid({key: value for key, value in kind.examples[0].items() if key != name})
        assert not validator.is_valid({**kind.examples[0], name: None})


@each_type
def test_every_type_and_field_explains_itself(kind: EventType) -> None:
    assert kind.title
    assert kind.description.endswith(".")
    assert kind.published_by
    properties = kind.schema["properties"]
    assert isinstance(properties, dict)
    for name, schema in properties.items():
        assert re.fullmatch("[a-z][a-z0-9_]*", name)
        assert schema["description"].endswith(".")
    for example in kind.examples:
        assert example.keys() <= properties.keys()
