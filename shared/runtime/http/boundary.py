"""From routes to an aiohttp application, and from exceptions to answers: the one place where both happen.

Guarantee: every answer below 400 is a route's own; every other one is a problem; what nobody foresaw is a 500 with an id
that stands in the log next to the traceback, and nothing else of it leaves the process.
Next: `server.py` listens; `connections.py` is what lies below the routes; `openapi.py` describes.
"""

import logging
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import web
from aiohttp.typedefs import Handler as AiohttpHandler
from aiohttp.typedefs import Middleware

from shared.bus.port import AppendInDoubt, RecordTooLarge
from shared.bus.upcasters import NotWritableYet
from shared.domain.clock import Randomness
from shared.domain.errors import InvalidInput, TransientError
from shared.runtime.http.auth import Caller, TokenVerifier, require_any
from shared.runtime.http.body import BODY_TIMEOUT_SECONDS_DEFAULT
from shared.runtime.http.description import description_routes
from shared.runtime.http.problems import HttpProblem, render_problem
from shared.runtime.http.routing import About, Call, Route, invalid_query, unknown_parameters

ROUTES: web.AppKey[tuple[Route, ...]] = web.AppKey("routes", tuple[Route, ...])

_LOG = logging.getLogger("upshot.http")
_PARAMETER = re.compile(r"\{([a-z_]+)\}")
# Matched against the decoded path, in which a slash of a segment still stands as %2F: all printable ASCII but the slash.
_SEGMENT = r"[ -.0-~]{1,600}"


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpDependencies:
    """What the boundary itself needs."""

    verifier: TokenVerifier
    randomness: Randomness
    about: About
    body_timeout_seconds: float = BODY_TIMEOUT_SECONDS_DEFAULT


def build_app(routes: Sequence[Route], dependencies: HttpDependencies) -> web.Application:
    """The application that answers `routes`, its own description at /openapi.json and the page for people at /docs."""
    table = [*routes, *description_routes(routes, dependencies.about)]
    app = web.Application(middlewares=[_answer_trouble(dependencies.randomness)])
    app[ROUTES] = tuple(table)
    for route in table:
        path = _PARAMETER.sub(lambda found: f"{{{found[1]}:{_SEGMENT}}}", route.path)
        entry = _entry(route, dependencies)
        if route.method == "GET":
            app.router.add_get(path, entry, allow_head=True)
        else:
            app.router.add_route(route.method, path, entry)
    return app


def _entry(route: Route, dependencies: HttpDependencies) -> AiohttpHandler:
    """Authorise, then call: what stands before every handler. Bound once, so that a request pays for a few look-ups."""
    verify, randomness = dependencies.verifier.caller, dependencies.randomness
    handler, roles, timeout_seconds = route.handler, route.roles, dependencies.body_timeout_seconds
    takes_no_query = route.query is None

    async def enter(request: web.Request) -> web.StreamResponse:
        caller: Caller | None = None
        if roles is not None:
            caller = verify(request.headers.get("Authorization"))
            require_any(caller, roles)
            if takes_no_query and request.query_string:
                # What is open to all takes any: vendors, probes and scrapers add theirs.
                raise invalid_query(unknown_parameters(request.query, ()))
        try:
            return await handler(Call(request, route, caller, randomness, timeout_seconds))
        except InvalidInput as trouble:
            raise HttpProblem.of_invalid(trouble, status=route.invalid_status) from trouble

    return enter


def _answer_trouble(randomness: Randomness) -> Middleware:
    """The outermost layer: whatever was raised becomes a problem."""

    @web.middleware
    async def answer_trouble(request: web.Request, handler: AiohttpHandler) -> web.StreamResponse:
        try:
            return await handler(request)
        except HttpProblem as problem:
            return render_problem(problem, instance=request.path)
        except web.HTTPException as answer:
            return _of_aiohttp(answer, request)
        except RecordTooLarge as trouble:
            return render_problem(HttpProblem(413, "record-too-large", str(trouble)), instance=request.path)
        except NotWritableYet as trouble:
            return render_problem(HttpProblem(409, "not-writable-yet", str(trouble)), instance=request.path)
        except TransientError as trouble:
            return render_problem(_unavailable(trouble), instance=request.path)
        except ConnectionResetError:
            raise  # the caller has gone: there is nobody to answer
        except Exception:  # the boundary: nothing that a request causes may end the process
            error_id = randomness.token_bytes(8).hex()
            _LOG.exception("unexpected error %s while answering %s %s", error_id, request.method, request.path)
            detail = f"something unexpected went wrong; the operator finds it in the log as {error_id}"
            unforeseen = HttpProblem(500, "internal-error", detail, members={"error_id": error_id})
            return render_problem(unforeseen, instance=request.path)

    return answer_trouble


def _of_aiohttp(answer: web.HTTPException, request: web.Request) -> web.StreamResponse:
    """What aiohttp itself answers: an unknown path, a method that the path does not have, a header it cannot use."""
    if answer.status < 400:
        return answer
    if isinstance(answer, web.HTTPNotFound):
        problem = HttpProblem(404, "not-found", "there is nothing under this path; GET /docs shows what there is")
    elif isinstance(answer, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(answer.allowed_methods))
        detail = f"{answer.method} is not possible here; possible: {allowed}"
        problem = HttpProblem(405, "method-not-allowed", detail, headers={"Allow": allowed})
    else:
        problem = HttpProblem.of_aiohttp(answer)
    return render_problem(problem, instance=request.path)


def _unavailable(trouble: TransientError) -> HttpProblem:
    seconds = max(1, math.ceil(trouble.retry_after_seconds or 1))
    headers = {"Retry-After": str(seconds)}
    if isinstance(trouble, AppendInDoubt):
        detail = "it is not known whether this was taken; repeating the same request is safe"
        return HttpProblem(503, "append-in-doubt", detail, headers=headers)
    detail = "a part of the platform does not answer; repeat the same request in a moment"
    return HttpProblem(503, "unavailable", detail, headers=headers)
