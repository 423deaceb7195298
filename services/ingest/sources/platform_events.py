"""A vendor's verified push as platform events, with identities that a retry of the same push derives again.

The vendor's payload stands in each event under `data.raw`, as the very bytes that came: no digit is lost.
"""

from datetime import UTC, datetime

from services.ingest.sources import AnySource, Delivery, SourceSettings
from shared.domain.definitions import Source
from shared.domain.envelope import Event
from shared.domain.ids import delivered_event_id, unnamed_delivery_id
from shared.domain.json_text import with_member


def events_of(
    source: Source,
    vendor: AnySource,
    settings: SourceSettings,
    delivery: Delivery,
    *,
    origin: str | None = None,
    json_text: bytes,
    payload: object,
    received_at: datetime,
    dedup_window_seconds: int,
    traceparent: str,
) -> tuple[Event, ...]:
    """At least one event. The delivery's own id is each event's cause: the chain of everything that follows ends there.

    `origin`: the events' CloudEvents source, where it is not the source's own.
    """
    delivery_id = vendor.name(delivery, payload, settings) or unnamed_delivery_id(
        vendor.nameless(delivery), received_at.timestamp(), dedup_window_seconds
    )
    first_id = delivered_event_id(source.tenant_id, source.id, delivery_id, 0)
    return tuple(
        Event(
            id=first_id if ordinal == 0 else delivered_event_id(source.tenant_id, source.id, delivery_id, ordinal),
            source=origin or f"/upshot/sources/{source.id}",
            type=translated.type,
            tenant_id=source.tenant_id,
            data=with_member(translated.data, "raw", json_text),
            time=(translated.time or received_at).astimezone(UTC),
            subject=translated.subject,
            correlation_id=first_id,
            causation_id=delivery_id,
            traceparent=traceparent,
            attributes=(("vendor", source.vendor),),
        )
        for ordinal, translated in enumerate(vendor.translate(delivery, payload, settings))
    )
