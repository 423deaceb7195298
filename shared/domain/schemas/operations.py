"""Event types of upstream services: content, exports, feature flags and authorisation."""

from shared.domain.schemas.event_type import EventType, boolean, count, data_schema, instant, one_of, string, strings

CONTENT_SECTION_UPDATED = EventType(
    name="content.section.updated",
    title="Content section updated",
    description="A section of a page or document was changed and saved. The subject is the section's id.",
    published_by=("upstream services",),
    schema=data_schema(
        "content.section.updated",
        required=("section_id", "content_id"),
        properties={
            "section_id": string("The section's id."),
            "content_id": string("The id of the page or document that holds it."),
            "title": string("The section's heading after the change.", min_length=0),
            "locale": string("The language of the section, as BCP 47."),
            "changed_fields": strings("The fields that differ from before."),
            "version": count("The content's version after the change."),
            "updated_by": string("Who changed it."),
        },
    ),
    examples=(
        {
            "section_id": "sec_42",
            "content_id": "page_pricing",
            "title": "Plans",
            "locale": "en-GB",
            "changed_fields": ["body"],
            "version": 7,
            "updated_by": "user_17",
        },
    ),
)

EXPORT_COMPLETED = EventType(
    name="export.completed",
    title="Export completed",
    description="A requested export is ready. The subject is the export's id.",
    published_by=("upstream services",),
    schema=data_schema(
        "export.completed",
        required=("export_id", "kind"),
        properties={
            "export_id": string("The export's id."),
            "kind": string("What was exported, such as `orders`."),
            "format": one_of("The file's format.", "csv", "json", "jsonl", "parquet", "xlsx"),
            "row_count": count("How many rows it holds."),
            "size_bytes": count("How large the file is."),
            "url": string("Where to fetch it."),
            "expires_at": instant("Until when it can be fetched."),
            "requested_by": string("Who asked for it."),
        },
    ),
    examples=(
        {
            "export_id": "exp_7",
            "kind": "orders",
            "format": "csv",
            "row_count": 18250,
            "size_bytes": 2400131,
            "url": "https://files.example.com/exp_7.csv",
            "expires_at": "2026-03-01T00:00:00Z",
            "requested_by": "user_17",
        },
    ),
)

FLAGS_CHANGED = EventType(
    name="flags.changed",
    title="Feature flag changed",
    description="A feature flag was switched or its rules were edited. The subject is the flag's key.",
    published_by=("upstream services",),
    schema=data_schema(
        "flags.changed",
        required=("flag_key", "environment", "enabled"),
        properties={
            "flag_key": string("The flag's key."),
            "environment": string("Where it changed, such as `production`."),
            "enabled": boolean("Whether it is on after the change."),
            "previously_enabled": boolean("Whether it was on before."),
            "changed_fields": strings("What was edited beside the switch."),
            "changed_by": string("Who changed it."),
        },
    ),
    examples=(
        {
            "flag_key": "new-checkout",
            "environment": "production",
            "enabled": True,
            "previously_enabled": False,
            "changed_by": "user_17",
        },
    ),
)

AUTHZ_DENIED = EventType(
    name="authz.denied",
    title="Access denied",
    description="Somebody tried what they may not. The subject is who tried.",
    published_by=("upstream services",),
    schema=data_schema(
        "authz.denied",
        required=("principal", "action", "resource"),
        properties={
            "principal": string("Who tried."),
            "action": string("What they tried, such as `orders.delete`."),
            "resource": string("What they tried it on."),
            "reason": string("Why it was denied."),
            "ip": string("From which address."),
            "attempt_count": count("How often within the service's counting window, this time included."),
        },
    ),
    examples=(
        {
            "principal": "user_99",
            "action": "orders.delete",
            "resource": "order/1001",
            "reason": "role viewer lacks orders:write",
            "ip": "203.0.113.7",
            "attempt_count": 4,
        },
    ),
)

OPERATIONS = (CONTENT_SECTION_UPDATED, EXPORT_COMPLETED, FLAGS_CHANGED, AUTHZ_DENIED)
