"""What the executor's actions would send, asked without carrying anything out: what trying a workflow is handed.

Of an action it calls `prepare` and, where it has that, `shown`, neither of which does I/O; the tools that reach out are not
here. Next: `services/backtests/core/rehearsal.py`.
"""

from collections.abc import Mapping
from datetime import datetime

from services.backtests.core.rehearsal import Sending
from services.executor.actions import Action, Refused, Scene, ShowsRequest
from shared.domain.definitions import Tenant
from shared.domain.ids import delivery_id
from shared.domain.records import Problem
from shared.domain.runs.state import Run


class ActionPreviews:
    """A `Previewer` over the actions there are."""

    def __init__(self, actions: Mapping[str, Action]) -> None:
        self._actions = actions

    def preview(
        self, tenant: Tenant, run: Run, step_id: str, uses: str, config: Mapping[str, object], now: datetime
    ) -> Sending:
        action = self._actions.get(uses)
        if action is None:
            return Sending(problem=Problem(kind="action_unknown", detail=f"this version has no action {uses!r}"))
        scene = Scene(tenant=tenant, run=run, step_id=step_id, delivery_id=delivery_id(run.id, step_id))
        try:
            prepared = action.prepare(config, scene, now)
        except Refused as refused:
            return Sending(problem=refused.problem)
        shown = action.shown(prepared.request, scene) if isinstance(action, ShowsRequest) else prepared.request
        return Sending(request=shown, not_before=prepared.due_at)
