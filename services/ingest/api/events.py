"""/events: upstream services' CloudEvents, with a verdict on each."""

from aiohttp import web
from pydantic import BaseModel, Field

from services.ingest.api.answering import IngestDependencies, too_much
from services.ingest.service.deliveries import TooMuch
from services.ingest.service.published import PublishResult
from shared.bus.cloudevents_http import UnknownFormat
from shared.bus.published import ForeignTenant
from shared.runtime.http import PUBLISH, Call, HttpProblem, Returns, Route, problem_document, reply, unknown_tenant
from shared.telemetry.metrics import DEDUPLICATED


class PublishedEvents(BaseModel):
    """What became of each event, in the order in which they came."""

    results: list[dict[str, object]] = Field(
        description="id, event_id, status: accepted, duplicate or rejected, problem (as in an answer of its own)"
    )


def routes(it: IngestDependencies) -> list[Route]:
    async def publish(call: Call) -> web.StreamResponse:
        body = await call.body()
        if not await it.definitions.has_tenant(call.tenant_id):
            raise unknown_tenant(call.tenant_id)
        try:
            results = await it.published.take(
                call.tenant_id, list(call.request.headers.items()), body, traceparent=call.traceparent
            )
        except TooMuch as trouble:
            raise too_much(trouble) from None
        except UnknownFormat as trouble:
            raise HttpProblem(415, "unsupported-media-type", str(trouble)) from None
        except ForeignTenant:
            detail = f"an event's tenantid is not {call.tenant_id!r}, whose token this is; nothing was taken"
            raise HttpProblem(403, "foreign-tenant", detail) from None
        it.metrics.add(DEDUPLICATED, sum(result.status == "duplicate" for result in results))
        all_taken = all(result.status != "rejected" for result in results)
        return reply(202 if all_taken else 207, {"results": [_result(each, call.request.path) for each in results]})

    return [
        Route(
            method="POST",
            path="/events",
            handler=publish,
            summary="Publish events",
            description="CloudEvents 1.0 over HTTP, in binary, structured or batch mode.",
            tag="ingest",
            roles=(PUBLISH,),
            responses={
                202: Returns(description="all were taken", model=PublishedEvents),
                207: Returns(description="some were not", model=PublishedEvents),
            },
            errors={
                400: "the body is no CloudEvent",
                403: "an event names another tenant",
                415: "the format of the event, its charset or its coding is not understood",
                429: "over the rate",
            },
            request_is_raw=True,
            invalid_status=400,
            body_bytes_max=it.settings.events_body_bytes_max,
        ),
    ]


def _result(result: PublishResult, instance: str) -> dict[str, object]:
    shown: dict[str, object] = {"id": result.id, "status": result.status}
    if result.event_id is not None:
        shown["event_id"] = result.event_id
    if result.problem is not None:
        # What the event alone would have been answered, had a request no more than one verdict.
        problem = HttpProblem(400, result.problem.kind, result.problem.detail, flaws=result.problem.flaws)
        shown["problem"] = problem_document(problem, instance=instance)
    return shown
