"""Workflow templates over HTTP: listed, shown filled, refused with the place of what does not fit, and saved as shown."""

import json
from urllib.parse import quote

import pytest

PATH = "/api/v1/templates/refund-approval"


async def test_all_are_listed_with_what_they_are_for(world):
    listed = (await world.call("GET", "/api/v1/templates")).expect(200)

    assert listed["next_cursor"] is None
    keys = [each["key"] for each in listed["items"]]
    assert keys == sorted(keys)
    (refund,) = [each for each in listed["items"] if each["key"] == "refund-approval"]
    assert refund["triggers"] == ["event", "pattern"]
    assert "finance" in refund["tags"]


async def test_one_is_shown_filled_with_its_defaults_and_can_be_saved(world):
    shown = (await world.call("GET", PATH)).expect(200)

    assert {each["name"]: each["default"] for each in shown["parameters"]} == {
        "finance": "finance",
        "minimum_minor": 10000,
        "decide_within_seconds": 86400,
    }
    assert shown["examples"][0]["expect"] == {"run": "pending_approval", "tells": ["finance"], "emits": []}
    await world.call("POST", "/api/v1/endpoints", {"name": "finance", "url": "https://example.com/hook"})
    (await world.call("POST", "/api/v1/workflows", shown["document"])).expect(201)


async def test_one_is_filled_with_what_is_named(world):
    values = quote(json.dumps({"finance": "books", "minimum_minor": 5}))

    document = (await world.call("GET", f"{PATH}?values={values}")).expect(200)["document"]

    assert document["steps"][0]["with"]["endpoint"] == "books"
    assert document["trigger"]["pattern"] == {"data": {"amount_minor": [{"numeric": [">=", 5]}]}}


@pytest.mark.parametrize(
    ("values", "pointer"),
    [
        ("{", "?values"),
        ("[]", "?values"),
        ('{"finance": 1}', "?values/finance"),
        ('{"fnance": "x"}', "?values/fnance"),
        ('{"finance": "a", "finance": "b"}', "?values"),
    ],
)
async def test_values_that_do_not_fit_are_refused_with_their_place(world, values, pointer):
    problem = (await world.call("GET", f"{PATH}?values={quote(values)}")).expect(400)

    assert problem["type"] == "urn:upshot:problem:invalid-query"
    assert problem["errors"][0]["pointer"].startswith(pointer)


async def test_an_unknown_template_is_a_404_that_says_where_they_are_named(world):
    problem = (await world.call("GET", "/api/v1/templates/refund")).expect(404)

    assert problem["type"] == "urn:upshot:problem:unknown-template"
    assert "/api/v1/templates" in problem["detail"]
