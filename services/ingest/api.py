"""The routes of ingest: `POST /hooks/{source_id}` for vendors, `POST /events` for upstream services."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import web
from pydantic import BaseModel, Field

from services.ingest.service.answering import (
    RETRY_AFTER_SECONDS,
    Answered,
    Answering,
    NotYet,
    RunFailed,
    TooManyWait,
)
from services.ingest.service.deliveries import (
    Accepted,
    Deliveries,
    HookClosed,
    NotBelieved,
    Push,
    TooMuch,
    UnknownSource,
)
from services.ingest.service.published import Published, PublishResult
from services.ingest.service.rejections import Rejections
from services.ingest.settings import IngestSettings
from services.ingest.sources import HandshakeAnswer, Headers
from shared.bus.cloudevents_http import UnknownFormat
from shared.bus.published import ForeignTenant
from shared.domain.errors import InvalidInput, TransientError
from shared.domain.hooks import Hook, HookAnswer
from shared.domain.json_text import dump_json
from shared.runtime.definitions import DefinitionsFollower
from shared.runtime.http import (
    PUBLISH,
    READ,
    Call,
    HttpProblem,
    Returns,
    Route,
    problem_document,
    reply,
    unknown_tenant,
)
from shared.runtime.http.routing import Handler
from shared.telemetry.metrics import DEDUPLICATED, Metrics
from shared.workflows.webhook import STATUSES_WITHOUT_BODY


class Taken(BaseModel):
    """The delivery is durable."""

    event_ids: list[str] = Field(description="The platform events that it became.")
    run_id: str | None = Field(None, description="Of a hook whose caller waits: the run, where there is one.")
    status: str | None = Field(None, description="As above: open, pending_approval or not_started.")
    detail: str | None = Field(None, description="As above: why there is no answer of the run.")


class PublishedEvents(BaseModel):
    """What became of each event, in the order in which they came."""

    results: list[dict[str, object]] = Field(
        description="id, event_id, status: accepted, duplicate or rejected, problem (as in an answer of its own)"
    )


class RejectionList(BaseModel):
    """Refused requests, newest first, as far as this process remembers them."""

    items: list[dict[str, object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestDependencies:
    deliveries: Deliveries
    published: Published
    answering: Answering
    rejections: Rejections
    definitions: DefinitionsFollower
    settings: IngestSettings
    metrics: Metrics


def routes(it: IngestDependencies) -> Sequence[Route]:
    """Ingest's part of the route table."""

    async def take_hook(call: Call) -> web.StreamResponse:
        return await _take(call, it, None)

    async def take_hook_with_token(call: Call) -> web.StreamResponse:
        return await _take(call, it, call.path("token"))

    async def publish(call: Call) -> web.StreamResponse:
        body = await call.body()
        if not await it.definitions.has_tenant(call.tenant_id):
            raise unknown_tenant(call.tenant_id)
        try:
            results = await it.published.take(
                call.tenant_id, list(call.request.headers.items()), body, traceparent=call.traceparent
            )
        except TooMuch as trouble:
            raise _too_much(trouble) from None
        except UnknownFormat as trouble:
            raise HttpProblem(415, "unsupported-media-type", str(trouble)) from None
        except ForeignTenant:
            detail = f"an event's tenantid is not {call.tenant_id!r}, whose token this is; nothing was taken"
            raise HttpProblem(403, "foreign-tenant", detail) from None
        it.metrics.add(DEDUPLICATED, sum(result.status == "duplicate" for result in results))
        all_taken = all(result.status != "rejected" for result in results)
        return reply(202 if all_taken else 207, {"results": [_result(each, call.request.path) for each in results]})

    async def list_rejections(call: Call) -> web.StreamResponse:
        source = it.definitions.definitions.source(call.path("source_id"))
        if source is None or source.tenant_id != call.tenant_id:
            raise _unknown_source(call.path("source_id"))
        return _rejections(it, source.id)

    async def list_hook_rejections(call: Call) -> web.StreamResponse:
        found = it.definitions.definitions.hook(call.path("hook"))
        if found is None or (found[1].tenant_id, found[1].workflow_id) != (call.tenant_id, call.path("id")):
            detail = f"workflow {call.path('id')!r} has no hook {call.path('hook')!r}"
            raise HttpProblem(404, "unknown-hook", detail)
        return _rejections(it, found[1].id)

    def hook(path: str, handler: Handler, summary: str, description: str = "") -> Route:
        responses = {
            202: Returns(
                description="taken", model=Taken, headers={"Location": "the run, where a caller waited for it"}
            ),
            200: Returns(description="a handshake's answer, or that of a hook's run", content_type="text/plain"),
        }
        errors = {
            400: "the body is no JSON, or ambiguous",
            401: "the signature does not hold",
            404: "there is no such source or hook, or its workflow is disabled",
            409: "the run that the caller waited for was skipped by a limit",
            410: "the hook's workflow is archived, or asks for it no more",
            413: "the body is too large",
            429: "this tenant is over its rate or backlog",
            502: "the run that the caller waited for failed: `run_id` names it",
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
            "Take a delivery, of a vendor to a source or of anybody to a workflow's own URL",
            "The body is the sender's, signed as the sender signs. 202 only when the events are durable.",
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
        Route(
            method="GET",
            path="/api/v1/workflows/{id}/hooks/{hook}/rejections",
            handler=list_hook_rejections,
            summary="The requests to a hook that were refused lately",
            tag="workflows",
            roles=(READ,),
            responses={200: Returns(description="newest first", model=RejectionList)},
            errors={404: "there is no such hook"},
        ),
    ]


async def _take(call: Call, it: IngestDependencies, token: str | None) -> web.StreamResponse:
    target = call.path("source_id")
    try:
        push = Push(
            target=target,
            body=await _body(call, it, target),
            headers=Headers.of(call.request.headers.items()),
            path_token=token,
            query=dict(call.request.query),
            traceparent=call.traceparent,
        )
        accepted = await it.deliveries.accept(push)
        if isinstance(accepted, HandshakeAnswer):
            return web.Response(status=accepted.status, body=accepted.body, content_type=accepted.content_type)
        if accepted.hook is None or accepted.hook.plan.answer is None:
            await it.deliveries.append(accepted)
            return reply(202, {"event_ids": accepted.event_ids})
        return await _wait(call, it, accepted, accepted.hook, accepted.hook.plan.answer)
    except UnknownSource:
        raise _unknown_source(target) from None
    except NotBelieved as trouble:
        raise HttpProblem(
            401, f"signature-{trouble.refused.reason.replace('_', '-')}", trouble.refused.detail
        ) from None
    except HookClosed as trouble:
        raise HttpProblem(410 if trouble.for_good else 404, trouble.kind, str(trouble)) from None
    except TooMuch as trouble:
        raise _too_much(trouble) from None
    except TooManyWait as trouble:
        it.deliveries.reject(target, "too_many_wait", str(trouble), call.request.content_length or 0)
        retry = {"Retry-After": str(RETRY_AFTER_SECONDS)}
        raise HttpProblem(503, "too-many-wait", str(trouble), headers=retry) from None
    except InvalidInput as trouble:
        raise HttpProblem.of_invalid(trouble, status=400, kind="unreadable-body") from None


async def _body(call: Call, it: IngestDependencies, target: str) -> bytes:
    try:
        return await call.body()
    except HttpProblem as problem:
        if it.deliveries.knows(target):
            it.deliveries.reject(target, problem.kind, problem.detail, call.request.content_length or 0)
        raise


async def _wait(
    call: Call, it: IngestDependencies, accepted: Accepted, hook: Hook, answer: HookAnswer
) -> web.StreamResponse:
    with it.answering.place(accepted.tenant_id):
        (position,) = await it.deliveries.append(accepted)
        (event,) = accepted.events
        try:
            outcome = await it.answering.outcome(
                event, position, hook.workflow_id, answer, connected=lambda: call.connected
            )
        except TransientError as trouble:
            # The event is durable: to say "unavailable" now would invite a second one.
            outcome = NotYet(run_id=None, why=f"what becomes of it cannot be told just now: {trouble}", state="open")
    taken = {"event_ids": accepted.event_ids}
    unkept = {"Cache-Control": "no-store"}
    match outcome:
        case Answered(status=status, body=body, text=text):
            if status in STATUSES_WITHOUT_BODY:
                return web.Response(status=status, headers=unkept)
            if text:
                return web.Response(status=status, text=str(body), content_type="text/plain", headers=unkept)
            return web.Response(status=status, body=dump_json(body), content_type="application/json", headers=unkept)
        case NotYet(run_id=run_id, why=why, state=state):
            where = {"Location": _run_path(run_id)} if run_id is not None else {}
            return reply(202, {**taken, "run_id": run_id, "status": state, "detail": why}, {**where, **unkept})
        case RunFailed(run_id=run_id, status=ended, why=why, refused=refused):
            members = {**taken, "run_id": run_id, "run_status": ended, "run": _run_path(run_id)}
            kind = "run-skipped" if refused else "run-failed"
            raise HttpProblem(409 if refused else 502, kind, why, headers=unkept, members=members)


def _run_path(run_id: str) -> str:
    return f"/api/v1/runs/{run_id}"


def _unknown_source(source_id: str) -> HttpProblem:
    return HttpProblem(
        404,
        "unknown-source",
        f"there is no source or hook {source_id!r}; look at the hook_url (of a workflow: its hooks' url) that was given to you",
    )


def _too_much(trouble: TooMuch) -> HttpProblem:
    seconds = max(1, math.ceil(trouble.retry_after_seconds))
    return HttpProblem(429, "too-many-events", str(trouble), headers={"Retry-After": str(seconds)})


def _result(result: PublishResult, instance: str) -> dict[str, object]:
    shown: dict[str, object] = {"id": result.id, "status": result.status}
    if result.event_id is not None:
        shown["event_id"] = result.event_id
    if result.problem is not None:
        # What the event alone would have been answered, had a request no more than one verdict.
        problem = HttpProblem(400, result.problem.kind, result.problem.detail, flaws=result.problem.flaws)
        shown["problem"] = problem_document(problem, instance=instance)
    return shown


def _rejections(it: IngestDependencies, target: str) -> web.Response:
    found = it.rejections.of(target)
    return reply(
        200, {"items": [_rejection(each.at.isoformat(), each.reason, each.detail, each.body_bytes) for each in found]}
    )


def _rejection(at: str, reason: str, detail: str, body_bytes: int) -> dict[str, object]:
    return {"at": at, "reason": reason, "detail": detail, "body_bytes": body_bytes}
