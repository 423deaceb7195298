"""What passes between the process that serves and the process that backtests: one JSON line each, both ways.

Down: the job, once. Up: `Began`, then `Progressed` as it goes, then `Ended` or `Failed`. No secret is in any of them.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import TypeAdapter

from services.backtests.core.found import Range, Report
from shared.domain.definitions import Endpoint, Workflow
from shared.domain.plans import Quotas
from shared.workflows.hiding import SECRET_NAMES


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """`candidate` and `live` hold the one revision that is meant; `endpoints` come without secrets. `until`: looked at up to
    there, and at most up to the end that the log has when the job begins. `hidden_names`: as `Hiding` takes them."""

    tenant_id: str
    plan: str
    quotas: Quotas
    definitions_version: int
    endpoints: tuple[Endpoint, ...]
    candidate: Workflow
    is_draft: bool
    saved_id: str | None
    live: Workflow | None
    partition: int
    since: datetime
    until: datetime
    samples_max: int
    samples_bytes_max: int
    waits_bytes_max: int
    batch_records: int
    cpu_share_max: float
    nice: int
    progress_interval_seconds: float
    hidden_names: tuple[str, ...] = SECRET_NAMES


@dataclass(frozen=True, slots=True, kw_only=True)
class Began:
    """The range is found, and fixed."""

    kind: Literal["began"] = "began"
    range: Range


@dataclass(frozen=True, slots=True, kw_only=True)
class Progressed:
    """Up to where the range has been read, and what was found so far."""

    kind: Literal["progressed"] = "progressed"
    offset: int
    report: Report


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The whole range was read. `cpu_seconds`: what that cost this process."""

    kind: Literal["ended"] = "ended"
    report: Report
    cpu_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """It cannot go on; `detail` for people."""

    kind: Literal["failed"] = "failed"
    detail: str


Message = Began | Progressed | Ended | Failed

JOB: TypeAdapter[Job] = TypeAdapter(Job)
MESSAGE: TypeAdapter[Message] = TypeAdapter(Message)
