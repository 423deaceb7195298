"""The reference pages of events, of metrics, of the command line, and the workflow's JSON Schema. `reference.py` writes them."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import typer

from services.cli.commands import app
from shared.domain import catalogue
from shared.telemetry.metrics import CATALOGUE
from shared.workflows.document import WorkflowDocument

SCHEMA_ID = "https://upshot.example/schemas/workflow.schema.json"
EVENTS_ID = "https://upshot.example/schemas/events.schema.json"
"""Names, not addresses: nothing is fetched from there."""
MADE = "This page is made from the code (`python scripts/reference.py`); a test fails when it is not current."


def workflow_schema() -> str:
    """JSON Schema 2020-12 of a workflow document, for editors and other tools."""
    schema = WorkflowDocument.model_json_schema(by_alias=True)
    whole = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": SCHEMA_ID, **schema}
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def events_schema() -> str:
    """JSON Schema 2020-12 of the data of every type of the catalogue, by type, for publishers' own tests."""
    whole = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": EVENTS_ID,
        "title": "The data of platform events, by type: $defs/order.created, for one",
        "$defs": {each.name: dict(each.schema) for each in catalogue.all_types()},
    }
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def events_page() -> str:
    """Every type of the catalogue."""
    lines = [
        "# Event types",
        "",
        "What workflows can count on, whoever publishes. Types that are not listed (`github.push`, your own) pass unchecked;",
        "a listed one is refused where its data does not fit. A type never loses or retypes a field; it may gain optional ones.",
        "A vendor's own payload stays in `data.raw`. For machines: [JSON Schemas](events.schema.json), one a type.",
        "",
        MADE,
        "",
    ]
    for each in catalogue.all_types():
        lines += [f"## `{each.name}`", "", each.description, "", f"Published by: {', '.join(each.published_by)}.", ""]
        lines += ["| field of `data` | type | meaning |", "|---|---|---|"]
        lines += [*_fields(each.schema), ""]
        for example in each.examples:
            lines += ["```json", json.dumps(example, indent=2, ensure_ascii=False), "```", ""]
    return "\n".join(lines)


def _fields(schema: Mapping[str, Any]) -> Iterator[str]:
    required = set(schema["required"])
    for name, field in schema["properties"].items():
        kind = " or ".join(f"`{value}`" for value in field["enum"]) if "enum" in field else field.get("type", "any")
        needed = "" if name in required else ", optional"
        yield f"| `{name}` | {kind}{needed} | {field.get('description', '')} |"


def cli_page() -> str:
    """Every command with its words and options."""
    lines = ["# The `upshot` command", "", "Settings come from the [environment](settings.md).", "", MADE, ""]
    for words, command in _commands("upshot", typer.main.get_command(app)):
        usage = [words]
        rows = []
        for parameter in command.params:
            if parameter.name in ("install_completion", "show_completion", "help"):
                continue
            is_option = parameter.opts[0].startswith("-")
            value = "" if getattr(parameter, "is_flag", False) else f" {parameter.name.upper()}"
            shown = f"{parameter.opts[0]}{value}" if is_option else (parameter.metavar or parameter.name.upper())
            usage.append(shown if parameter.required else f"[{shown}]")
            default = f" Default: `{parameter.default}`." if is_option and parameter.default else ""
            cell = shown.replace("|", "\\|")
            rows.append(f"| `{cell}` | {(parameter.help or '').strip()}{default} |")
        lines += [f"## `{' '.join(usage)}`", "", command.help or "", ""]
        if rows:
            lines += ["| | |", "|---|---|", *rows, ""]
    return "\n".join(lines)


def _commands(words: str, command: Any) -> Iterator[tuple[str, Any]]:  # Any: typer's classes are not exported
    if not hasattr(command, "commands"):
        yield words, command
        return
    for name, each in command.commands.items():
        yield from _commands(f"{words} {name}", each)


def metrics_page() -> str:
    """Every metric, by name."""
    rows = [
        f"| `{each.name}{'_total' if each.kind == 'counter' else ''}` | {each.kind} "
        f"| {', '.join(f'`{label}`' for label in each.labels) or '–'} | {each.description} |"
        for each in CATALOGUE
    ]
    head = (
        "# Metrics\n\nEvery process shows at `/metrics` those that its services have, as Prometheus reads them. No label names a "
        f"tenant.\n{MADE}\n\n"
        "| metric | kind | labels | meaning |\n|---|---|---|---|"
    )
    return "\n".join([head, *rows, ""])
