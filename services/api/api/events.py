"""/api/v1/events: what happened, and what it led to."""

from aiohttp import web

from services.api.api import run_models, shown
from services.api.core.timeline import decode_entries, show_data
from services.api.service.level import find_event
from services.api.service.log_reader import LogReader
from services.api.service.ports import ApiDependencies
from shared.bus.topics import EVENTS
from shared.runtime.http import READ, Call, Returns, Route, reply


def routes(it: ApiDependencies, log: LogReader) -> list[Route]:
    async def list_all(call: Call) -> web.StreamResponse:
        query = call.query(run_models.EventQuery)
        page = await it.queries.list_events(
            call.tenant_id, type=query.type, source=query.source, cursor=query.cursor, limit=query.limit
        )
        items = [shown.event(each) for each in page.items]
        return reply(200, run_models.EventList(items=items, next_cursor=page.next_cursor))

    async def get(call: Call) -> web.StreamResponse:
        found = await find_event(it, call.tenant_id, call.path("id"))
        item = found.event
        (entry,) = decode_entries(await log.at(EVENTS, item.partition, [item.offset]))
        event = entry.event
        return reply(
            200,
            {
                **shown.event(item).model_dump(mode="json"),
                "position": {"topic": EVENTS, "partition": item.partition, "offset": item.offset},
                "content_type": event.content_type,
                "dataschema": event.dataschema,
                "traceparent": event.traceparent,
                "attributes": dict(event.attributes),
                "data": show_data(event),
                "runs": [shown.run(each).model_dump(mode="json") for each in found.runs],
            },
        )

    return [
        Route(
            method="GET",
            path="/api/v1/events",
            handler=list_all,
            summary="List events, newest first",
            tag="events",
            roles=(READ,),
            query=run_models.EventQuery,
            responses={200: Returns(description="A page.", model=run_models.EventList)},
            invalid_status=400,
        ),
        Route(
            method="GET",
            path="/api/v1/events/{id}",
            handler=get,
            summary="Show an event whole, with what it matched",
            description="One that was accepted a moment ago is waited for until it can be shown.",
            tag="events",
            roles=(READ,),
            responses={200: Returns(description="The event.", model=run_models.EventDetailAnswer)},
            errors={404: "There is no such event."},
        ),
    ]
