"""A planned instant of a schedule as the event that it becomes: what the matcher appends, and what trying a workflow looks at."""

from datetime import datetime

from shared.domain import rfc3339
from shared.domain.envelope import Event
from shared.domain.ids import firing_id
from shared.domain.json_text import dump_json
from shared.domain.schemas.own import SCHEDULE_FIRED
from shared.workflows.compiled import CompiledSchedule
from shared.workflows.triggers import FIRING_SOURCE


def firing_event(tenant_id: str, workflow_id: str, schedule: CompiledSchedule, planned_at: datetime) -> Event:
    """Nothing in it tells when it was fired: whoever fires the same instant writes the same event."""
    return Event(
        id=firing_id(workflow_id, schedule.trigger, planned_at.isoformat()),
        source=FIRING_SOURCE,
        type=SCHEDULE_FIRED.name,
        tenant_id=tenant_id,
        data=dump_json(
            {
                "planned_at": rfc3339.render(planned_at),
                "trigger": schedule.trigger,
                "schedule": schedule.schedule.describe(),
            }
        ),
        subject=workflow_id,
        time=planned_at,
    )
