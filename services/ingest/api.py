"""The routes of ingest: `POST /hooks/{source_id}` for vendors, `POST /events` for upstream services."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import web
from pydantic import BaseModel, Field

from services.ingest.core.published import ForeignTenant
from services.ingest.service.deliveries import Deliveries, NotBelieved, TooMuch, UnknownSource
from services.ingest.service.published import Published, PublishResult
from services.ingest.service.rejections import Rejections
from services.ingest.settings import IngestSettings
from services.ingest.sources import HandshakeAnswer, Headers
from shared.domain.errors import InvalidInput
from shared.runtime.definitions import DefinitionsFollower
from shared.runtime.http import PUBLISH, READ, Call, HttpProblem, Returns, Route, reply
from shared.runtime.http.routing import Handler


class Taken(BaseModel):
    """The delivery is durable."""

    event_ids: list[str] = Field(description="The platform events that it became.")


class PublishedEvents(BaseModel):
    """What became of each event, in the order in which they came."""

    results: list[dict[str, object]] = Field(
        description="id, event_id, status: accepted, duplicate or rejected, problem"
    )


class RejectionList(BaseModel):
    """Refused requests, newest first, as far as this process remembers them."""

    items: list[dict[str, object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestDependencies:
    deliveries: Deliveries
    published: Published
    rejections: Rejections
    definitions: DefinitionsFollower
    settings: IngestSettings


def routes(it: IngestDependencies) -> Sequence[Route]:
    """Ingest's part of the route table."""

    async def take_hook(call: Call) -> web.StreamResponse:
        return await _take(call, it, None)

    async def take_hook_with_token(call: Call) -> web.StreamResponse:
        return await _take(call, it, call.path("token"))

    async def publish(call: Call) -> web.StreamResponse:
        body = await call.body()
        try:
            results = await it.published.take(
                call.tenant_id, list(call.request.headers.items()), body, traceparent=call.traceparent
            )
        except TooMuch as trouble:
            raise _too_much(trouble) from None
        except ForeignTenant:
            detail = f"an event's tenantid is not {call.tenant_id!r}, whose token this is; nothing was taken"
            raise HttpProblem(403, "foreign-tenant", detail) from None
        all_taken = all(result.status != "rejected" for result in results)
        return reply(202 if all_taken else 207, {"results": [_result(each) for each in results]})

    async def list_rejections(call: Call) -> web.StreamResponse:
        source = it.definitions.definitions.source(call.path("source_id"))
        if source is None or source.tenant_id != call.tenant_id:
            raise _unknown_source(call.path("source_id"))
        found = it.rejections.of(source.id)
        return reply(
            200,
            {"items": [_rejection(each.at.isoformat(), each.reason, each.detail, each.body_bytes) for each in found]},
        )

    def hook(path: str, handler: Handler, summary: str, description: str = "") -> Route:
        responses = {
            202: Returns(description="taken", model=Taken),
            200: Returns(description="a handshake's answer", content_type="text/plain"),
        }
        errors = {
            400: "the body is no JSON, or ambiguous",
            401: "the signature does not hold",
            404: "there is no such source",
            413: "the body is too large",
            429: "this tenant is over its rate or backlog",
        }
        return Route(
            method="POST",
            path=path,
            handler=handler,
            summary=summary,
            description=description,
            tag="ingest",
            responses=responses,
            errors=errors,
            request_is_raw=True,
            invalid_status=400,
            body_bytes_max=it.settings.hook_body_bytes_max,
        )

    return [
        hook(
            "/hooks/{source_id}",
            take_hook,
            "Take a vendor's delivery",
            "The body is the vendor's, signed as the vendor signs. 202 only when the events are durable.",
        ),
        hook(
            "/hooks/{source_id}/{token}",
            take_hook_with_token,
            "Take a delivery that is proved by a token in its path",
        ),
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
            errors={400: "the body is no CloudEvent", 403: "an event names another tenant", 429: "over the rate"},
            request_is_raw=True,
            invalid_status=400,
            body_bytes_max=it.settings.events_body_bytes_max,
        ),
        Route(
            method="GET",
            path="/api/v1/sources/{source_id}/rejections",
            handler=list_rejections,
            summary="The requests that were refused lately",
            tag="sources",
            roles=(READ,),
            responses={200: Returns(description="newest first", model=RejectionList)},
            errors={404: "there is no such source"},
        ),
    ]


async def _take(call: Call, it: IngestDependencies, token: str | None) -> web.StreamResponse:
    source_id = call.path("source_id")
    try:
        body = await call.body()
        taken = await it.deliveries.take(
            source_id,
            body,
            Headers.of(call.request.headers.items()),
            path_token=token,
            traceparent=call.traceparent,
        )
    except UnknownSource:
        raise _unknown_source(source_id) from None
    except NotBelieved as trouble:
        raise HttpProblem(
            401, f"signature-{trouble.refused.reason.replace('_', '-')}", trouble.refused.detail
        ) from None
    except TooMuch as trouble:
        raise _too_much(trouble) from None
    except HttpProblem as problem:
        if it.definitions.definitions.source(source_id) is not None:
            it.deliveries.reject(source_id, problem.kind, problem.detail, call.request.content_length or 0)
        raise
    except InvalidInput as trouble:
        raise HttpProblem.of_invalid(trouble, status=400, kind="unreadable-body") from None
    if isinstance(taken, HandshakeAnswer):
        return web.Response(status=taken.status, body=taken.body, content_type=taken.content_type)
    return reply(202, {"event_ids": taken})


def _unknown_source(source_id: str) -> HttpProblem:
    return HttpProblem(
        404, "unknown-source", f"there is no source {source_id!r}; look at the hook_url that was given to you"
    )


def _too_much(trouble: TooMuch) -> HttpProblem:
    seconds = max(1, math.ceil(trouble.retry_after_seconds))
    return HttpProblem(429, "too-many-events", str(trouble), headers={"Retry-After": str(seconds)})


def _result(result: PublishResult) -> dict[str, object]:
    shown: dict[str, object] = {"id": result.id, "status": result.status}
    if result.event_id is not None:
        shown["event_id"] = result.event_id
    if result.problem is not None:
        shown["problem"] = {
            "type": f"urn:upshot:problem:{result.problem.kind}",
            "detail": result.problem.detail,
            "errors": [{"pointer": flaw.pointer, "detail": flaw.detail} for flaw in result.problem.flaws],
        }
    return shown


def _rejection(at: str, reason: str, detail: str, body_bytes: int) -> dict[str, object]:
    return {"at": at, "reason": reason, "detail": detail, "body_bytes": body_bytes}
