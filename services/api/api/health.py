"""/healthz: the process answers. /readyz: it can do its work."""

from aiohttp import web

from services.api.api import models
from services.api.service.ports import ApiDependencies
from shared.domain.errors import Flaw
from shared.runtime.http import Call, HttpProblem, Returns, Route, reply


def routes(it: ApiDependencies) -> list[Route]:
    ok = models.Health(status="ok")

    async def alive(call: Call) -> web.StreamResponse:
        del call
        return reply(200, ok)

    async def ready(call: Call) -> web.StreamResponse:
        del call
        reasons = await it.readiness()
        if reasons:
            flaws = [Flaw(pointer="#", detail=reason) for reason in reasons]
            raise HttpProblem(503, "not-ready", "; ".join(reasons), flaws=flaws, headers={"Retry-After": "1"})
        return reply(200, ok)

    answers = {200: Returns(description="Yes.", model=models.Health)}
    return [
        Route(method="GET", path="/healthz", handler=alive, summary="Is it alive?", tag="health", responses=answers),
        Route(
            method="GET",
            path="/readyz",
            handler=ready,
            summary="Is it ready?",
            tag="health",
            responses=answers,
            errors={503: "Not yet, or not any more: `errors` says why."},
        ),
    ]
