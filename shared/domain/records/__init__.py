"""Every fact that Upshot itself appends to `upshot.definitions` and `upshot.runs`, as values.

A class is one record type at its newest version; its `TYPE` is the CloudEvents type on the wire. Shipped types are
never edited: a new meaning is a new version and an upcaster (`shared/bus/codec.py`). Golden bytes of each stay in the tests.
One file a concept: `definitions.py`; of `upshot.runs`: `runs.py`, `steps.py`, `approvals.py`, `windows.py`.
Next: `shared/domain/definitions.py` and `shared/domain/runs/fold.py` decide what these facts amount to.
"""

from shared.domain.records.approvals import (
    ApprovalDecided,
    ApprovalExpired,
    ApprovalVoided,
)
from shared.domain.records.common import (
    Command,
    Problem,
    SourceEvent,
)
from shared.domain.records.definitions import (
    DefinitionsFact,
    EndpointCreated,
    EndpointDisabled,
    EndpointEnabled,
    HookSecretRotated,
    SourceCreated,
    TenantCreated,
    TenantPlanChanged,
    WorkflowArchived,
    WorkflowDisabled,
    WorkflowEnabled,
    WorkflowSaved,
    WorkflowUnarchived,
)
from shared.domain.records.runs import (
    EventMatched,
    RunCancelled,
    RunRequested,
    Unevaluated,
)
from shared.domain.records.steps import (
    AttemptFinished,
    AttemptStarted,
    StepFailed,
    StepResolved,
    StepSkipped,
    StepUnknown,
)
from shared.domain.records.windows import (
    ScheduleFired,
    WindowCounted,
    WindowElapsed,
    WindowFact,
    WindowFollowed,
    WindowOpened,
)

RunsFact = (
    EventMatched
    | RunRequested
    | AttemptStarted
    | AttemptFinished
    | StepSkipped
    | StepFailed
    | StepUnknown
    | StepResolved
    | RunCancelled
    | ApprovalDecided
    | ApprovalExpired
    | ApprovalVoided
    | WindowFact
)

__all__ = [
    "ApprovalDecided",
    "ApprovalExpired",
    "ApprovalVoided",
    "AttemptFinished",
    "AttemptStarted",
    "Command",
    "DefinitionsFact",
    "EndpointCreated",
    "EndpointDisabled",
    "EndpointEnabled",
    "EventMatched",
    "HookSecretRotated",
    "Problem",
    "RunCancelled",
    "RunRequested",
    "RunsFact",
    "ScheduleFired",
    "SourceCreated",
    "SourceEvent",
    "StepFailed",
    "StepResolved",
    "StepSkipped",
    "StepUnknown",
    "TenantCreated",
    "TenantPlanChanged",
    "Unevaluated",
    "WindowCounted",
    "WindowElapsed",
    "WindowFact",
    "WindowFollowed",
    "WindowOpened",
    "WorkflowArchived",
    "WorkflowDisabled",
    "WorkflowEnabled",
    "WorkflowSaved",
    "WorkflowUnarchived",
]
