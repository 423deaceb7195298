"""Incoming HTTP, for every service that has any.

Start at `routing.py` (a `Route` says all that a caller must know), then `boundary.py` (routes → application, exceptions →
problems), `auth.py` (bearer tokens), `body.py` (bounded bodies), `connections.py` (what lies below the routes), `openapi.py` and
`docs_page.py` (the description).
"""

from shared.runtime.http.auth import (
    ADMIN,
    APPROVE,
    EXECUTE,
    PUBLISH,
    READ,
    ROLES,
    WRITE,
    Caller,
    TokenVerifier,
    issue_token,
    require_any,
)
from shared.runtime.http.boundary import HttpDependencies, build_app
from shared.runtime.http.problems import HttpProblem, ProblemDocument, flaws_of, problem_document, unknown_tenant
from shared.runtime.http.routing import About, Call, Header, Returns, Route, reply
from shared.runtime.http.server import HttpServer, connection_limits

__all__ = [
    "ADMIN",
    "APPROVE",
    "EXECUTE",
    "PUBLISH",
    "READ",
    "ROLES",
    "WRITE",
    "About",
    "Call",
    "Caller",
    "Header",
    "HttpDependencies",
    "HttpProblem",
    "HttpServer",
    "ProblemDocument",
    "Returns",
    "Route",
    "TokenVerifier",
    "build_app",
    "connection_limits",
    "flaws_of",
    "issue_token",
    "problem_document",
    "reply",
    "require_any",
    "unknown_tenant",
]
