"""/healthz: the process answers. /readyz: it can do its work. /metrics: numbers. The same in every process."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Literal

from aiohttp import web
from pydantic import BaseModel

from shared.domain.errors import Flaw
from shared.runtime.http.problems import HttpProblem
from shared.runtime.http.routing import Call, Returns, Route, reply
from shared.telemetry.prometheus import CONTENT_TYPE

Readiness = Callable[[], Awaitable[Sequence[str]]]
"""Why the process is not ready, one sentence each; empty: it is."""


MetricsPage = Callable[[], Awaitable[str]]
"""As Prometheus reads it."""


class Health(BaseModel):
    """There is nothing more to say."""

    status: Literal["ok"]


def health_routes(readiness: Readiness, metrics_page: MetricsPage) -> list[Route]:
    """Open to all: they tell nothing of any tenant."""
    ok = Health(status="ok")

    async def alive(call: Call) -> web.StreamResponse:
        del call
        return reply(200, ok)

    async def ready(call: Call) -> web.StreamResponse:
        del call
        reasons = await readiness()
        if reasons:
            flaws = [Flaw(pointer="#", detail=reason) for reason in reasons]
            raise HttpProblem(503, "not-ready", "; ".join(reasons), flaws=flaws, headers={"Retry-After": "1"})
        return reply(200, ok)

    async def metrics(call: Call) -> web.StreamResponse:
        del call
        return web.Response(text=await metrics_page(), headers={"Content-Type": CONTENT_TYPE})

    answers = {200: Returns(description="Yes.", model=Health)}
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
        Route(
            method="GET",
            path="/metrics",
            handler=metrics,
            summary="Numbers, for Prometheus",
            tag="health",
            responses={200: Returns(description="Text, format 0.0.4.", content_type="text/plain")},
        ),
    ]
