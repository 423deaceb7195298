"""What answers while a process is still on its way up, at the address that it will serve.

Guarantee: /healthz is 200, all else 503 with Retry-After, so that whoever delivers comes again instead of giving up.
"""

from collections.abc import Callable

from aiohttp import web

from shared.domain.errors import Flaw
from shared.runtime.http.problems import HttpProblem, render_problem

RETRY_AFTER_SECONDS = 5


def starting_app(state: Callable[[], str]) -> web.Application:
    """`state()`: the sentence that says what is being done and how much of it is left."""

    async def answer(request: web.Request) -> web.Response:
        if request.path == "/healthz":
            return web.json_response({"status": "ok"})
        said = state()
        problem = HttpProblem(
            503,
            "not-ready",
            said,
            flaws=[Flaw(pointer="#", detail=said)],
            headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
        )
        return render_problem(problem, instance=request.path)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    return app
