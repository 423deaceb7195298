"""From rows to what tenants are shown, and pages of it. Pure."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson

from shared.readmodel.cursors import Cursor, write_cursor
from shared.readmodel.tenant_values import ApprovalItem, Item, Page, RevisionItem, RunDetail, RunItem, WorkflowItem

Fields = Mapping[str, Any]  # a row by column: typed by the statement that asked for it

_RUN_FIELDS = tuple(RunItem.__dataclass_fields__)


def page_of(
    kind: str, items: Sequence[Item], limit: int, key: Callable[[Item], tuple[datetime | str, str]]
) -> Page[Item]:
    """A page of at most `limit` of `items`, of which one more was asked for to see whether there is another."""
    shown = tuple(items[:limit])
    if len(items) <= limit:
        return Page(items=shown)
    after, last = key(shown[-1])
    return Page(items=shown, next_cursor=write_cursor(Cursor(kind=kind, after=after, id=last)))


def parsed(fields: Fields, *names: str) -> dict[str, Any]:  # as above
    """The row with these JSON columns parsed."""
    return {**fields, **{name: orjson.loads(fields[name]) for name in names}}


def run_detail(fields: Fields) -> RunDetail:
    summary = orjson.loads(fields["summary"])
    return RunDetail(
        run=RunItem(**{name: fields[name] for name in _RUN_FIELDS}),
        partition=fields["partition"],
        positions=tuple(fields["positions"]),
        correlation_id=fields["correlation_id"],
        causation_id=fields["causation_id"],
        traceparent=fields["traceparent"],
        inputs=summary["inputs"],
        steps=summary["steps"],
    )


def approval(fields: Fields) -> ApprovalItem:
    return ApprovalItem(**parsed(fields, "roles", "decisions"))


def revision(fields: Fields) -> RevisionItem:
    return RevisionItem(**parsed(fields, "document", "steps"))


def workflow(fields: Fields) -> WorkflowItem:
    """Of a row that is the workflow's and its newest revision's at once."""
    newest = {name: value for name, value in fields.items() if name not in ("name", "enabled", "archived")}
    return WorkflowItem(
        tenant_id=fields["tenant_id"],
        workflow_id=fields["workflow_id"],
        name=fields["name"],
        enabled=fields["enabled"],
        archived=fields["archived"],
        newest=revision(newest),
    )
