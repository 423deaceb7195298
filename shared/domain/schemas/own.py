"""Event types that the platform itself appends for one workflow."""

from shared.domain.schemas.event_type import EventType, data_schema, instant, string

SCHEDULE_FIRED = EventType(
    name="upshot.schedule.fired",
    title="Schedule fired",
    description="A planned instant of a workflow's schedule has come. The subject is the workflow's id; it starts that workflow.",
    published_by=("the matcher",),
    schema=data_schema(
        "upshot.schedule.fired",
        required=("planned_at", "trigger", "schedule"),
        properties={
            "planned_at": instant("The instant that was planned; after a downtime it lies in the past."),
            "trigger": string("Which of the workflow's triggers it was: a digest of its settings."),
            "schedule": string("The schedule in words."),
        },
    ),
    examples=(
        {
            "planned_at": "2026-03-02T07:00:00Z",
            "trigger": "5f0c2b7a9d3e4f11",
            "schedule": "at 08:00 on Monday to Friday, Europe/Paris time",
        },
    ),
)

OWN = (SCHEDULE_FIRED,)
