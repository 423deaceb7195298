"""/hooks: deliveries of vendors to a source, and of anybody to a workflow's own URL, whose caller may wait for the run."""

from aiohttp import web
from pydantic import BaseModel, Field

from services.ingest.api.answering import IngestDependencies, too_much, unknown_source
from services.ingest.service.answering import RETRY_AFTER_SECONDS, Answered, NotYet, RunFailed, TooManyWait
from services.ingest.service.deliveries import Accepted, HookClosed, NotBelieved, Push, TooMuch, UnknownSource
from services.ingest.sources import HandshakeAnswer, Headers
from shared.domain.errors import InvalidInput, TransientError
from shared.domain.hooks import Hook, HookAnswer
from shared.domain.json_text import dump_json
from shared.runtime.http import Call, HttpProblem, Returns, Route, reply
from shared.runtime.http.routing import Handler
from shared.workflows.webhook import STATUSES_WITHOUT_BODY


class Taken(BaseModel):
    """The delivery is durable."""

    event_ids: list[str] = Field(description="The platform events that it became.")
    run_id: str | None = Field(None, description="Of a hook whose caller waits: the run, where there is one.")
    status: str | None = Field(None, description="As above: open, pending_approval or not_started.")
    detail: str | None = Field(None, description="As above: why there is no answer of the run.")


def routes(it: IngestDependencies) -> list[Route]:
    async def take_hook(call: Call) -> web.StreamResponse:
        return await _take(call, it, None)

    async def take_hook_with_token(call: Call) -> web.StreamResponse:
        return await _take(call, it, call.path("token"))

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
    ]


async def _take(call: Call, it: IngestDependencies, token: str | None) -> web.StreamResponse:
    target = call.path("source_id")
    if not it.deliveries.knows(target):
        raise unknown_source(target)  # before its body is waited for: anybody may send to anywhere
    try:
        push = Push(
            target=target,
            body=await _body(call, it, target),
            headers=Headers.of(call.request.headers.items()),
            path_token=token,
            query=dict(call.request.query) if call.request.query_string else {},
            traceparent=call.traceparent,
        )
        accepted = await it.deliveries.accept(push)
        if isinstance(accepted, HandshakeAnswer):
            return web.Response(
                status=accepted.status, body=accepted.body, headers={"Content-Type": accepted.content_type}
            )
        if accepted.hook is None or accepted.hook.plan.answer is None:
            await it.deliveries.append(accepted)
            return reply(202, {"event_ids": accepted.event_ids})
        return await _wait(call, it, accepted, accepted.hook, accepted.hook.plan.answer)
    except UnknownSource:
        raise unknown_source(target) from None
    except NotBelieved as trouble:
        raise HttpProblem(
            401, f"signature-{trouble.refused.reason.replace('_', '-')}", trouble.refused.detail
        ) from None
    except HookClosed as trouble:
        raise HttpProblem(410 if trouble.for_good else 404, trouble.kind, str(trouble)) from None
    except TooMuch as trouble:
        raise too_much(trouble) from None
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
