"""The facts of `upshot.definitions`: every change of tenants, sources, endpoints and workflows.

Next: `shared/domain/definitions.py`, the fold that decides what they amount to.
"""

from dataclasses import dataclass
from typing import ClassVar

from shared.domain.hooks import HookPlan
from shared.domain.plans import UNBOUNDED, Quotas
from shared.domain.records.common import Command
from shared.domain.workflow import StepPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantCreated:
    """`quotas` are the plan's as they were then; tenants from before there were any are bounded by none."""

    TYPE: ClassVar[str] = "tenant.created"
    name: str
    plan: str
    command: Command
    quotas: Quotas = UNBOUNDED


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantPlanChanged:
    """From here on these quotas bound the tenant. What is beyond them already stays; nothing more is added to it."""

    TYPE: ClassVar[str] = "tenant.plan_changed"
    plan: str
    quotas: Quotas
    command: Command


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceCreated:
    """`secrets` are sealed (`sealed:…`), newest first."""

    TYPE: ClassVar[str] = "source.created"
    source_id: str
    name: str
    vendor: str
    settings: dict[str, object]
    secrets: tuple[str, ...]
    command: Command


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointCreated:
    """`secrets` are sealed, newest first; all of them sign."""

    TYPE: ClassVar[str] = "endpoint.created"
    endpoint_id: str
    name: str
    url: str
    secrets: tuple[str, ...]
    command: Command


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointDisabled:
    """By a person, or because the receiver answered 410."""

    TYPE: ClassVar[str] = "endpoint.disabled"
    endpoint_id: str
    reason: str
    command: Command


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointEnabled:
    TYPE: ClassVar[str] = "endpoint.enabled"
    endpoint_id: str
    command: Command


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowSaved:
    """A new revision, void if `base_revision` is not the newest (None: the workflow is new).

    `document` is normalised and checked. `steps` and `high_risk` are what the action catalogue said on saving. `enabled`
    is how a new workflow begins; saving a later revision leaves that as it is. `hooks` are its inbound URLs.
    """

    TYPE: ClassVar[str] = "workflow.saved"
    workflow_id: str
    base_revision: int | None
    document: dict[str, object]
    steps: tuple[StepPlan, ...]
    high_risk: bool
    command: Command
    enabled: bool = True
    hooks: tuple[HookPlan, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowEnabled:
    TYPE: ClassVar[str] = "workflow.enabled"
    workflow_id: str
    command: Command


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowDisabled:
    TYPE: ClassVar[str] = "workflow.disabled"
    workflow_id: str
    command: Command


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowArchived:
    """Out of use: disabled, its name free, its revisions and runs kept. Void if `base_revision` (None: whichever) is not
    the newest."""

    TYPE: ClassVar[str] = "workflow.archived"
    workflow_id: str
    command: Command
    base_revision: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowUnarchived:
    """Back, disabled; void if its name is another's by now."""

    TYPE: ClassVar[str] = "workflow.unarchived"
    workflow_id: str
    command: Command


@dataclass(frozen=True, slots=True, kw_only=True)
class HookSecretRotated:
    """The hook has a new current secret (sealed). Those before it stay valid for `overlap_seconds` at most."""

    TYPE: ClassVar[str] = "hook.secret_rotated"
    workflow_id: str
    hook_id: str
    secret: str
    overlap_seconds: int
    command: Command


DefinitionsFact = (
    TenantCreated
    | TenantPlanChanged
    | SourceCreated
    | EndpointCreated
    | EndpointDisabled
    | EndpointEnabled
    | WorkflowSaved
    | WorkflowEnabled
    | WorkflowDisabled
    | WorkflowArchived
    | WorkflowUnarchived
    | HookSecretRotated
)
