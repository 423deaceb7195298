"""What a stretch of `upshot.events` or `upshot.definitions` changed, as the projector writes it down; and the keys.

`shared/domain/runs/delta.py` is the same for `upshot.runs`. Pure.
Next: `rows.py` makes columns of these, `services/projector/core.py` fills them.
"""

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from shared.domain.definitions import Endpoint, Revision, Source
from shared.domain.verdicts import Verdict

KEY_CHARACTERS_MAX = 200
"""Three keys of the widest UTF-8 still fit one btree entry (2,704 bytes)."""


class EventRow(NamedTuple):
    """One platform event as it is listed; its data stays in the log. A NamedTuple: the hot path makes thousands a second.

    The fields are the columns of `events`, in their order.
    """

    tenant_id: str
    event_id: str
    type: str
    source: str
    subject: str | None
    time: datetime | None
    recorded_at: datetime
    partition: int
    offset: int
    bytes: int
    correlation_id: str | None
    causation_id: str | None


@dataclass(slots=True, kw_only=True)
class EventsDelta:
    """Events of `partition` between two offsets, in order. Of two with one id the first stands."""

    partition: int
    start: int
    end: int
    now: datetime | None = None
    rows: list[EventRow] = field(default_factory=list)


class TenantRow(NamedTuple):
    """A tenant as it stood when it was put here: the fold's own object goes on changing."""

    tenant_id: str
    name: str
    plan: str
    created_at: datetime
    version: int
    workflows_max: int | None
    runs_per_month_max: int | None


class WorkflowRow(NamedTuple):
    """A workflow without its revisions."""

    tenant_id: str
    workflow_id: str
    name: str
    enabled: bool
    revision: int
    archived: bool


class RevisionRow(NamedTuple):
    """A revision, and what changed with it in a line."""

    revision: Revision
    changes: str


@dataclass(slots=True, kw_only=True)
class DefinitionsDelta:
    """All that changed in `partition` of the definitions between two offsets, newest state of each thing."""

    partition: int
    start: int
    end: int
    now: datetime | None = None
    tenants: dict[str, TenantRow] = field(default_factory=dict)
    sources: dict[tuple[str, str], Source] = field(default_factory=dict)
    endpoints: dict[tuple[str, str], Endpoint] = field(default_factory=dict)
    workflows: dict[tuple[str, str], WorkflowRow] = field(default_factory=dict)
    revisions: dict[tuple[str, str, int], RevisionRow] = field(default_factory=dict)
    verdicts: dict[tuple[str, str], Verdict] = field(default_factory=dict)


def key_text(text: str) -> str:
    """`text` as a key column holds it: without NUL, which PostgreSQL cannot store, and short enough for an index.

    Equal for equal texts, and different for different ones of any origin: what is cut off leaves its digest behind.
    """
    if len(text) <= KEY_CHARACTERS_MAX and "\0" not in text:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{text[: KEY_CHARACTERS_MAX - 66]}~{digest}".replace("\0", "\N{REPLACEMENT CHARACTER}")


def plain_text(text: str) -> str:
    """`text` as an ordinary column holds it: PostgreSQL stores every character but NUL."""
    return text if "\0" not in text else text.replace("\0", "\N{REPLACEMENT CHARACTER}")
