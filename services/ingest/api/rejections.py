"""What was refused lately: /api/v1/sources/{id}/rejections, and of a workflow's own URLs."""

from aiohttp import web
from pydantic import BaseModel

from services.ingest.api.answering import IngestDependencies, unknown_source
from shared.runtime.http import READ, Call, HttpProblem, Returns, Route, reply


class RejectionList(BaseModel):
    """Refused requests, newest first, as far as this process remembers them."""

    items: list[dict[str, object]]


def routes(it: IngestDependencies) -> list[Route]:
    async def list_rejections(call: Call) -> web.StreamResponse:
        source = it.definitions.definitions.source(call.path("source_id"))
        if source is None or source.tenant_id != call.tenant_id:
            raise unknown_source(call.path("source_id"))
        return _rejections(it, source.id)

    async def list_hook_rejections(call: Call) -> web.StreamResponse:
        found = it.definitions.definitions.hook(call.path("hook"))
        if found is None or (found[1].tenant_id, found[1].workflow_id) != (call.tenant_id, call.path("id")):
            detail = f"workflow {call.path('id')!r} has no hook {call.path('hook')!r}"
            raise HttpProblem(404, "unknown-hook", detail)
        return _rejections(it, found[1].id)

    return [
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


def _rejections(it: IngestDependencies, target: str) -> web.Response:
    found = it.rejections.of(target)
    return reply(
        200, {"items": [_rejection(each.at.isoformat(), each.reason, each.detail, each.body_bytes) for each in found]}
    )


def _rejection(at: str, reason: str, detail: str, body_bytes: int) -> dict[str, object]:
    return {"at": at, "reason": reason, "detail": detail, "body_bytes": body_bytes}
