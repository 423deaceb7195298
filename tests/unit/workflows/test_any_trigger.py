"""`trigger: {any: […]}`: the list of alternatives under its name, read, kept and told of like the bare list."""

from typing import Any

import jsonschema_rs
import orjson
import pytest

from services.api.core.explained import names_type
from services.api.core.inputs import check_schemas
from services.api.core.references import unknown_sources
from services.executor.actions import discover_actions
from services.matcher.triggers import discover_triggers
from shared.domain.errors import InvalidInput
from shared.testing.explaining import Explaining, event_of
from shared.workflows.catalogue import Catalogue
from shared.workflows.check import check_document
from shared.workflows.document import WorkflowDocument, parse_document
from shared.workflows.explaining import Clause
from shared.workflows.hooks import placed_hooks
from shared.workflows.short_form import short_form, whole_form

CATALOGUE = Catalogue(actions=discover_actions(), triggers=discover_triggers(), event_schemas={})
WHY = Explaining(CATALOGUE)
TRIGGERS = [{"event": "order.refunded", "pattern": {"data": {"a": [1]}}}, {"manual": {}}]


def document(trigger: object) -> dict[str, Any]:
    step = {"id": "pause", "uses": "wait", "with": {"seconds": 1}}
    return {"name": "n", "trigger": trigger, "steps": [step]}


def pointers(trigger: object) -> dict[str, str]:
    with pytest.raises(InvalidInput) as refused:
        check_document(parse_document(document(trigger)), CATALOGUE)
    return {flaw.pointer: flaw.detail for flaw in refused.value.flaws}


def test_it_is_kept_as_it_was_written_and_starts_what_the_bare_list_starts() -> None:
    kept = orjson.loads(orjson.dumps(check_document(parse_document(document({"any": TRIGGERS})), CATALOGUE).document))
    assert kept["trigger"] == {"any": TRIGGERS}
    assert parse_document(kept) == parse_document(document({"any": TRIGGERS}))
    named, bare = (WHY.start_of(WHY.workflow_of(each)) for each in ({"any": TRIGGERS}, TRIGGERS))
    assert (named.patterns, named.manual) == (bare.patterns, bare.manual) == (bare.patterns, True)


def test_a_file_says_it_as_it_was_written() -> None:
    assert short_form(whole_form(document({"any": TRIGGERS})))["trigger"] == {"any": TRIGGERS}


@pytest.mark.parametrize(
    ("trigger", "pointer", "said"),
    [
        ({"any": []}, "#/trigger/any", "at least 1"),
        ({"any": [{"manual": {}}] * 21}, "#/trigger/any", "at most 20"),
        ({"any": {"event": "x.y"}}, "#/trigger/any", "should be a list"),
        ({"any": [{"manual": {}}, {}]}, "#/trigger/any/1", "at least 1"),
        ({"any": [{"manual": {}}, "x"]}, "#/trigger/any/1", "should be an object"),
        ({"any": [{"manual": {}}, {"evnet": "x.y"}]}, "#/trigger/any/1/evnet", "did you mean 'event'"),
        ({"any": [{"manual": {}}, {"any": []}]}, "#/trigger/any/1/any", "there is no trigger 'any'"),
        ({"any": [{"pattern": {"data": {"a": []}}}]}, "#/trigger/any/0/pattern/data/a", ""),
        ({"any": [{"manual": {}}], "event": "x.y"}, "#/trigger/event", "`any` stands alone"),
    ],
)
def test_flaws_are_told_with_their_place(trigger: object, pointer: str, said: str) -> None:
    found = pointers(trigger)
    assert list(found) == [pointer]
    assert said in found[pointer]


def test_what_the_api_judges_beside_is_told_with_its_place_too() -> None:
    source = {"pattern": {"source": ["/upshot/sources/none"]}}
    hook = {"webhook": {"name": "h"}}
    wrong = {"manual": {"inputs": {"type": 3}}}
    parsed = parse_document(document({"any": [source, hook, wrong]}))
    assert [flaw.pointer for flaw in unknown_sources(parsed, [])] == ["#/trigger/any/0/pattern/source/0"]
    assert [each.pointer for each in placed_hooks(parsed, CATALOGUE)] == ["#/trigger/any/1/webhook"]
    with pytest.raises(InvalidInput) as refused:
        check_schemas(parsed)
    assert [flaw.pointer for flaw in refused.value.flaws] == ["#/trigger/any/2/manual/inputs"]


def test_an_explanation_points_into_the_list() -> None:
    verdict = WHY.explained(WHY.workflow_of({"any": TRIGGERS}), event_of({"a": 2}))
    assert isinstance(verdict.first_failed, Clause)
    assert verdict.first_failed.pointer == "#/trigger/any/0/pattern/data/a/0"
    assert names_type(document({"any": TRIGGERS}), "order.refunded")
    assert not names_type(document({"any": TRIGGERS}), "order.created")


@pytest.mark.parametrize(
    ("trigger", "fits"),
    [
        ({"any": TRIGGERS}, True),
        (TRIGGERS, True),
        (TRIGGERS[0], True),
        ({"any": []}, False),
        ({"any": TRIGGERS, "event": "x.y"}, False),
    ],
)
def test_the_published_schema_says_the_same(trigger: object, *, fits: bool) -> None:
    schema = jsonschema_rs.Draft202012Validator(WorkflowDocument.model_json_schema(by_alias=True))
    assert schema.is_valid(document(trigger)) is fits
