"""The reference page of limits that are no settings: what a document, an event or a request may be. `reference.py` writes it.

Each number is the constant that the code itself judges by.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from services.api.api.workflows import INPUTS_BYTES_MAX
from services.api.core import commands, inputs, timeline
from services.cli.as_code.files import FILE_BYTES_MAX
from services.executor.actions import event_emit, http_answers, http_request, notify_webhook, wait
from services.ingest.sources import hooks, signing
from services.ingest.sources.reading import FORM_FIELDS_MAX
from shared.bus import published
from shared.domain import json_text, windows, workflow
from shared.domain.hooks import HOOK_SECRETS_MAX
from shared.domain.runs import approvals
from shared.expressions import conditions, picking
from shared.matching import WORK_MAX, parse, wildcard
from shared.matching.explain import ACTUAL_VALUES_MAX
from shared.readmodel.tenant_queries import LIMIT_MAX
from shared.runtime.egress import kept, url
from shared.runtime.http import auth, connections, problems, unpacking, yaml_text
from shared.schedules import cron, parse_kinds
from shared.schedules.parse import CATCH_UP_MAX
from shared.workflows import check, document, webhook

_SAVE = "the save is refused, with the place"


@dataclass(frozen=True)
class Limit:
    what: str
    value: str
    beyond: str


def _bytes(count: int) -> str:
    for unit, name in ((1_048_576, "MiB"), (1024, "KiB")):
        if count % unit == 0:
            return f"{count // unit} {name}"
    return f"{count:,} bytes"


def _time(seconds: float) -> str:
    whole = timedelta(seconds=seconds)
    if not whole.seconds and whole.days:
        return f"{whole.days} days" if whole.days > 1 else "1 day"
    return f"{seconds:g} s"


WORKFLOWS = (
    Limit("steps", f"{document.STEPS_MAX}", _SAVE),
    Limit("triggers", f"{document.TRIGGERS_MAX}", _SAVE),
    Limit("tags that `limits.shared` names", f"{document.SHARED_MAX}", _SAVE),
    Limit("`limits.max_depth`: workflows one after the other", f"{workflow.DEPTH_MAX}", _SAVE),
    Limit("alternatives of all patterns together", f"{check.ALTERNATIVES_MAX:,}", _SAVE),
    Limit("characters of all conditions together", f"{check.CONDITIONS_CHARACTERS_MAX:,}", _SAVE),
    Limit("characters of all strings that are templates", f"{check.TEMPLATES_CHARACTERS_MAX:,}", _SAVE),
    Limit("members and items, beside those of patterns and of steps' `with`", f"{document.MEMBERS_MAX:,}", _SAVE),
    Limit(
        "a document in YAML",
        f"{_bytes(yaml_text.YAML_BYTES_MAX)}, {yaml_text.NODES_MAX:,} nodes",
        "the body is refused",
    ),
    Limit("a file of `upshot apply`", _bytes(FILE_BYTES_MAX), "nothing is applied"),
    Limit("values in the schema of `inputs`", f"{inputs.SCHEMA_VALUES_MAX:,}", _SAVE),
    Limit("the inputs of a run that is asked for", _bytes(INPUTS_BYTES_MAX), "413"),
)
PATTERNS = (
    Limit("alternatives, `$or` written out", f"{parse.ALTERNATIVES_MAX:,}", _SAVE),
    Limit("fields of one alternative", f"{parse.FIELDS_MAX}", _SAVE),
    Limit("fields of all alternatives together", f"{parse.ENTRIES_MAX:,}", _SAVE),
    Limit("depth", f"{parse.DEPTH_MAX}", _SAVE),
    Limit("`*` in a wildcard", f"{wildcard.WILDCARDS_MAX}", _SAVE),
    Limit(
        "work on the arrays of one event, for all workflows together (a value looked at is 1, one put to an operator 2)",
        f"{WORK_MAX:,}",
        "by priority, the rest is `unevaluated`: reason `budget`",
    ),
    Limit("values of an event that an explanation shows", f"{ACTUAL_VALUES_MAX}", "the rest is counted"),
)
CONDITIONS = (
    Limit("characters of one condition", f"{conditions.CONDITION_CHARACTERS_MAX:,}", _SAVE),
    Limit(
        "values that a named path holds (16 characters of text count as one)",
        f"{picking.CONDITION_WEIGHT_MAX:,}, {picking.CONDITION_DEPTH_MAX} deep",
        "the condition fails, as any error in it",
    ),
    Limit("comparisons of all macros", f"{conditions.CONDITION_WORK_MAX:,}", "the condition fails"),
)
TRIGGERS = (
    Limit("`count`: events", f"{windows.COUNT_MAX:,}", _SAVE),
    Limit("`within` of counts and absences", _time(windows.WITHIN_SECONDS_MAX), _SAVE),
    Limit(
        "`lateness_seconds`", f"{_time(windows.LATENESS_SECONDS_MIN)} to {_time(windows.LATENESS_SECONDS_MAX)}", _SAVE
    ),
    Limit("characters of a key", f"{windows.KEY_CHARS_MAX:,}", "the event is left out; its explanation says so"),
    Limit("characters of a cron expression", f"{cron.CRON_CHARACTERS_MAX}", _SAVE),
    Limit(
        "`interval`",
        f"{_time(parse_kinds.INTERVAL_SECONDS_MIN)} to {_time(parse_kinds.INTERVAL_SECONDS_MAX)}",
        _SAVE,
    ),
    Limit("times a day", f"{parse_kinds.TIMES_MAX}", _SAVE),
    Limit("`catch_up_max`: missed firings that are made up for", f"{CATCH_UP_MAX}", _SAVE),
)
INCOMING = (
    Limit("how far a signed timestamp may lie from the clock", _time(signing.TOLERANCE_SECONDS), "401"),
    Limit("fields of a form", f"{FORM_FIELDS_MAX}", "400"),
    Limit("headers, and query parameters, that a hook's event holds", f"{hooks.HEADERS_MAX}, {hooks.QUERY_MAX}", "cut"),
    Limit("secrets of a hook that are valid at a time", f"{HOOK_SECRETS_MAX}", "409"),
    Limit("`answer.wait_seconds` of a hook", f"{webhook.WAIT_SECONDS_MAX} s", _SAVE),
    Limit("data of a published event", _bytes(published.DATA_BYTES_MAX), "the event is rejected"),
    Limit("attributes of a published event together", _bytes(published.ATTRIBUTES_BYTES_MAX), "the event is rejected"),
    Limit("workflows in a causal chain", f"{published.CHAIN_MAX}", "the event is rejected"),
    Limit("depth of JSON", f"{json_text.DEPTH_MAX}", "400, or 422"),
    Limit("characters of a number", f"{json_text.NUMBER_CHARACTERS_MAX:,}", "400, or 422"),
    Limit("members of a body compressed with gzip", f"{unpacking.MEMBERS_MAX}", "400"),
)
OUTGOING = (
    Limit("the body of `notify.webhook`", _bytes(notify_webhook.BODY_BYTES_MAX), "the step fails"),
    Limit("the body of `http.request`", _bytes(http_request.BODY_BYTES_MAX), "the step fails"),
    Limit("the data of `event.emit`", _bytes(event_emit.DATA_BYTES_MAX), "the step fails"),
    Limit("`wait`", _time(wait.WAIT_SECONDS_MAX), _SAVE),
    Limit("characters of a URL", f"{url.URL_CHARACTERS_MAX:,}", "refused where it is named"),
    Limit(
        "headers of an answer",
        f"{kept.HEADERS_MAX}, each of {kept.HEADER_BYTES_MAX:,} bytes",
        "the attempt fails as unreadable",
    ),
    Limit("interim answers (1xx) before the answer", f"{kept.ANSWER_HEADS_MAX - 1}", "the attempt fails as unreadable"),
    Limit("`Retry-After`", _time(http_answers.RETRY_AFTER_SECONDS_MAX), "cut"),
)
API = (
    Limit("items of a page", f"{LIMIT_MAX}", "400"),
    Limit("characters of an `Idempotency-Key`", f"{commands.KEY_CHARACTERS_MAX}", "422"),
    Limit("characters of a bearer token", f"{auth.TOKEN_CHARACTERS_MAX:,}", "401"),
    Limit("a line of a request's head, and its headers", _bytes(connections.HEADER_BYTES_MAX), "400"),
    Limit("an idle connection is kept", _time(connections.KEEPALIVE_SECONDS), "closed"),
    Limit("a caller takes nothing of an answer", _time(connections.ConnectionLimits().untaken_seconds_max), "closed"),
    Limit(
        "what of an unread body is taken off the line after the answer",
        _bytes(connections.UNREAD_BYTES_MAX),
        "closed",
    ),
    Limit(
        "decisions of one approval that do not count",
        f"{approvals.VOID_DECISIONS_MAX}",
        "later ones stand in the log alone",
    ),
    Limit("flaws in one problem", f"{problems.FLAWS_MAX}", "the first ones are named"),
    Limit("data in the timeline of a run", _bytes(timeline.DATA_BYTES_MAX), "later entries come without data"),
)
CHAPTERS: dict[str, Sequence[Limit]] = {
    "Workflows": WORKFLOWS,
    "Patterns": PATTERNS,
    "Conditions": CONDITIONS,
    "Counts, absences and schedules": TRIGGERS,
    "What comes in": INCOMING,
    "What goes out": OUTGOING,
    "The API": API,
}


def limits_page(made: str) -> str:
    """`made`: the sentence that says how pages come about."""
    lines = [
        "# Limits",
        "",
        "What is the same on every installation, because documents and events have to mean the same everywhere. What an operator",
        "decides (sizes of bodies and records, times, places, plans) are [settings](settings.md).",
        "",
        made,
    ]
    for title, limits in CHAPTERS.items():
        lines += ["", f"## {title}", "", "| what | at most | beyond it |", "|---|---|---|"]
        lines += [f"| {each.what} | {each.value} | {each.beyond} |" for each in limits]
    return "\n".join(lines) + "\n"
