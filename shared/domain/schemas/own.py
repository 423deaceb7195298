"""Event types that the platform itself appends, each for one workflow: `event: "*"` leaves them out."""

from shared.domain.hooks import HOOK_EVENT
from shared.domain.schemas.event_type import EventType, data_schema, instant, string, string_map

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

WEBHOOK_RECEIVED = EventType(
    name=HOOK_EVENT,
    title="Webhook received",
    description="Somebody posted to a workflow's own URL (`trigger: {webhook: …}`). The subject is the workflow's id. `raw` is "
    "the body: JSON as it came, or the fields of a form.",
    published_by=("a `webhook` trigger",),
    schema=data_schema(
        HOOK_EVENT,
        required=("headers", "query"),
        properties={
            "headers": string_map("Headers that tell of the delivery, by lower-case name; never what proves it."),
            "query": string_map("The parameters of the URL."),
        },
    ),
    examples=(
        {
            "headers": {"content-type": "application/json", "webhook-id": "msg_1"},
            "query": {"room": "kitchen"},
            "raw": {"temperature": 21.5},
        },
    ),
)

OWN = (SCHEDULE_FIRED, WEBHOOK_RECEIVED)
