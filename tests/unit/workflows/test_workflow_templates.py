"""Templates become documents that can be saved, whatever is named; what cannot be put in is refused with its place."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from services.cli.templates import list_templates, print_template
from services.executor.actions import discover_actions
from services.matcher.triggers import discover_triggers
from shared.domain import catalogue
from shared.domain.errors import InvalidInput
from shared.runtime.http.yaml_text import read_yaml
from shared.runtime.workflow_templates import workflow_templates
from shared.workflows.catalogue import Catalogue
from shared.workflows.check import check_document
from shared.workflows.document import parse_document
from shared.workflows.templates import WorkflowTemplate, fill, read_template

KNOWN = Catalogue(
    actions=discover_actions(),
    triggers=discover_triggers(),
    event_schemas={each.name: each.schema for each in catalogue.all_types()},
)
ALL = list(workflow_templates().values())
FILE: dict[str, Any] = {
    "name": "Tell",
    "description": "Tells.",
    "tags": ["test"],
    "parameters": {
        "team": {"type": "endpoint", "description": "Who.", "default": "team"},
        "currency": {"type": "text", "description": "Which.", "default": "EUR"},
        "amount": {"type": "integer", "description": "From.", "default": 5, "minimum": 1, "maximum": 9},
        "when": {"type": "schedule", "description": "When.", "default": {"daily": {"at": "08:00"}}},
    },
    "document": {
        "name": "Tell",
        "trigger": [{"event": "order.created"}, {"schedule": "${when}"}],
        "if": "event.data.currency == '${currency}' && event.data.amount_minor >= ${amount}",
        "limits": {"max_runs_per_day": "${amount}"},
        "steps": [{"id": "tell", "uses": "notify.webhook", "with": {"endpoint": "${team}", "body": {}}}],
    },
}
TELL = read_template("tell", FILE)


def keyed(template: WorkflowTemplate) -> str:
    return template.key


def flaws(template: WorkflowTemplate, values: dict[str, Any]) -> list[tuple[str, str]]:
    with pytest.raises(InvalidInput) as caught:
        fill(template, values)
    return [(each.pointer, each.detail) for each in caught.value.flaws]


def test_there_are_templates_for_many_uses() -> None:
    assert len(ALL) >= 10
    assert len({each.name for each in ALL}) == len(ALL)
    assert all(re.fullmatch(r"[a-z][a-z0-9-]+", each.key) for each in ALL)


@pytest.mark.parametrize("template", ALL, ids=keyed)
def test_every_template_can_be_saved_as_it_comes(template: WorkflowTemplate) -> None:
    document = parse_document(fill(template, {}))

    check_document(document, KNOWN)
    assert document.name == template.name
    assert set(template.trigger_kinds) <= set(KNOWN.triggers)
    assert template.examples


@pytest.mark.parametrize("template", ALL, ids=keyed)
def test_every_parameter_takes_another_value(template: WorkflowTemplate) -> None:
    other = {
        "endpoint": "elsewhere",
        "url": "https://example.com/other",
        "text": "another",
        "schedule": {"interval": {"minutes": 5}},
    }
    values = {each.name: other.get(each.type, each.minimum + 1) for each in template.parameters}

    filled = fill(template, values)

    check_document(parse_document(filled), KNOWN)
    assert "${" not in str(filled)


def test_a_value_stands_in_the_place_of_its_name_as_what_it_is() -> None:
    filled = fill(TELL, {"team": "a 'team'", "amount": 7, "when": {"interval": {"hours": 1}}})

    assert filled["if"] == "event.data.currency == 'EUR' && event.data.amount_minor >= 7"
    assert filled["limits"] == {"max_runs_per_day": 7}
    assert filled["trigger"] == [{"event": "order.created"}, {"schedule": {"interval": {"hours": 1}}}]
    assert filled["steps"][0]["with"]["endpoint"] == "a 'team'"


@pytest.mark.parametrize(
    ("values", "pointer", "hint"),
    [
        ({"taem": "x"}, "#/taem", "did you mean 'team'?"),
        ({"a/b": "x"}, "#/a~1b", "there are: team, currency, amount, when"),
        ({"team": 5}, "#/team", "a text"),
        ({"team": ""}, "#/team", "a text"),
        ({"team": "${currency}"}, "#/team", "no placeholders"),
        ({"amount": 0}, "#/amount", "from 1 to 9"),
        ({"amount": "7"}, "#/amount", "whole number"),
        ({"amount": True}, "#/amount", "whole number"),
        ({"currency": "EUR' || 'a' == 'a"}, "#/currency", "inside a text"),
        ({"currency": "EUR\\"}, "#/currency", "inside a text"),
        ({"when": {"daily": {"at": "8"}}}, "#/when/daily/at", "00:00"),
        ({"when": "daily"}, "#/when", "a schedule is an object"),
    ],
)
def test_what_cannot_be_put_in_is_refused(values: dict[str, Any], pointer: str, hint: str) -> None:
    ((where, detail),) = flaws(TELL, values)

    assert where == pointer
    assert hint in detail


@given(st.dictionaries(st.sampled_from(["team", "currency", "amount", "x"]), st.integers() | st.text() | st.none()))
def test_whatever_is_named_comes_in_whole_or_not_at_all(values: dict[str, Any]) -> None:
    try:
        filled = fill(TELL, values)
    except InvalidInput as error:
        assert error.flaws
        return
    chosen = {"team": "team", "currency": "EUR", "amount": 5} | values
    assert filled["if"] == (
        f"event.data.currency == '{chosen['currency']}' && event.data.amount_minor >= {chosen['amount']}"
    )
    assert filled["steps"][0]["with"]["endpoint"] == chosen["team"]


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"document": {**FILE["document"], "name": "${missing}"}}, "#/document"),
        ({"parameters": {**FILE["parameters"], "spare": FILE["parameters"]["team"]}}, "#/parameters/spare"),
        ({"author": "me"}, "#/author"),
        ({"tags": []}, "#/tags"),
        ({"examples": [{"title": "Nothing", "expect": {}}]}, "#/examples/0"),
    ],
)
def test_a_file_with_a_slip_is_no_template(change: dict[str, Any], pointer: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_template("tell", {**FILE, **change})

    assert [each.pointer for each in caught.value.flaws] == [pointer]


@pytest.mark.parametrize("template", ALL, ids=keyed)
def test_the_command_prints_what_can_be_saved(template: WorkflowTemplate) -> None:
    assert f"{template.key} " in list_templates()

    printed = print_template(template.key, [])

    assert read_yaml(printed.encode()) == fill(template, {})
    assert all(len(line) <= 120 for line in printed.splitlines() if line.startswith("#"))


@pytest.mark.parametrize(
    "name", ["0o17", "no", "1e3", "~", " x ", "a: b", "- a", "#a", "it's", 'so "called"', "é\u2028"]
)
def test_the_command_quotes_what_would_be_read_as_something_else(name: str) -> None:
    printed = print_template("refund-approval", [f"finance={name}", "minimum_minor=250"])

    read: Any = read_yaml(printed.encode())
    assert read["steps"][0]["with"]["endpoint"] == name
    assert read["trigger"]["pattern"] == {"data": {"amount_minor": [{"numeric": [">=", 250]}]}}


@pytest.mark.parametrize(
    ("key", "given_values", "hint"),
    [
        ("refund-aproval", [], "did you mean 'refund-approval'?"),
        ("zzz", [], "names them all"),
        ("refund-approval", ["finance"], "NAME=VALUE"),
        ("refund-approval", ["minimum_minor=many"], "whole number"),
        ("refund-approval", ["minimum=1"], "did you mean 'minimum_minor'?"),
    ],
)
def test_the_command_says_what_it_cannot_do(key: str, given_values: list[str], hint: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(hint)):
        print_template(key, given_values)


def test_the_files_are_plain_yaml_to_other_readers_too() -> None:
    folder = Path(__file__).resolve().parents[3] / "shared" / "workflows" / "templates"
    for path in folder.glob("*.yaml"):
        assert yaml.safe_load(path.read_text(encoding="utf-8"))["name"] == workflow_templates()[path.stem].name
