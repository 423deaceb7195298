"""What is decided on a run that waits for a person, and what ends the waiting otherwise."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from shared.domain.records.common import Command


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalDecided:
    """One person's decision on the subject whose hash that person was shown."""

    TYPE: ClassVar[str] = "approval.decided"
    run_id: str
    decision: Literal["granted", "denied"]
    reason: str
    subject_hash: str
    command: Command


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalExpired:
    """The deadline passed. True only if, by the log's own time, it has."""

    TYPE: ClassVar[str] = "approval.expired"
    run_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalVoided:
    """What was approved is not what would run any more (`detail` says what changed)."""

    TYPE: ClassVar[str] = "approval.voided"
    run_id: str
    subject_hash: str
    detail: str
