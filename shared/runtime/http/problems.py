"""RFC 9457 answers: one shape for everything that goes wrong over HTTP.

Guarantee: `type` is `urn:upshot:problem:<kind>`, stable for programs; `detail` says how to mend it; nothing of the inside
(paths, queries, secrets, exception texts) is shown. Next: `boundary.py`, which turns exceptions into these.
"""

from collections.abc import Mapping, Sequence
from typing import Self

import orjson
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.domain.errors import Flaw, InvalidInput, UpshotError
from shared.runtime.http.pointers import pointer_of

PROBLEM_CONTENT_TYPE = "application/problem+json"
FLAWS_MAX = 50
"""A document can be wrong in thousands of places; nobody reads more than these."""


class ProblemPlace(BaseModel):
    """One thing wrong with what was sent."""

    detail: str = Field(description="What is wrong, and how to mend it.")
    pointer: str = Field(
        description="Where, as a JSON Pointer into the body (`#/steps/0/uses`) or `?name` in the query."
    )


class ProblemDocument(BaseModel):
    """A problem (RFC 9457). Members beside these depend on the type; unknown ones are to be ignored."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="`urn:upshot:problem:<kind>`: what to tell problems apart by.")
    title: str = Field(description="The kind in words, equal for all problems of one type.")
    status: int = Field(description="The HTTP status, once more.")
    detail: str = Field(description="What happened here and how to mend it, for people.")
    instance: str = Field(description="The path that was called.")
    errors: list[ProblemPlace] | None = Field(
        default=None, description="Each place that is wrong, where there are any."
    )


class HttpProblem(UpshotError):
    """An answer that is a problem. Raise it anywhere below a route."""

    def __init__(
        self,
        status: int,
        kind: str,
        detail: str,
        *,
        flaws: Sequence[Flaw] = (),
        headers: Mapping[str, str] | None = None,
        members: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(f"{status} {kind}: {detail}")
        self.status = status
        self.kind = kind
        self.detail = detail
        self.flaws = tuple(flaws)
        self.headers = dict(headers or {})
        self.members = dict(members or {})

    @classmethod
    def of_invalid(cls, trouble: InvalidInput, *, status: int, kind: str = "invalid-input") -> Self:
        """The problem that a flawed input is."""
        return cls(status, kind, trouble.title, flaws=trouble.flaws)

    @classmethod
    def of_aiohttp(cls, answer: web.HTTPException) -> Self:
        """The problem that an answer of aiohttp's own is."""
        return cls(answer.status, answer.reason.lower().replace(" ", "-"), answer.reason)

    @classmethod
    def of_verdict(cls, status: int, body: Mapping[str, object]) -> Self:
        """The problem that a fold's refusal is: `kind` and `detail` as the fold says, the rest as members."""
        members = {name: value for name, value in body.items() if name not in ("kind", "detail")}
        return cls(status, str(body.get("kind", "refused")), str(body.get("detail", "refused")), members=members)


def unknown_tenant(tenant_id: str) -> HttpProblem:
    """404: the token is good, and nobody has made the tenant that it names."""
    return HttpProblem(404, "unknown-tenant", f"there is no tenant {tenant_id!r}; an operator makes one")


def title_of(kind: str) -> str:
    """`unknown-endpoint` → `Unknown endpoint`: as stable as the kind itself."""
    return kind.replace("-", " ").replace("_", " ").capitalize()


def render_problem(problem: HttpProblem, *, instance: str) -> web.Response:
    """The response."""
    return web.Response(
        status=problem.status,
        body=orjson.dumps(problem_document(problem, instance=instance), default=str),
        content_type=PROBLEM_CONTENT_TYPE,
        headers=problem.headers,
    )


def problem_document(problem: HttpProblem, *, instance: str) -> dict[str, object]:
    """The members that a problem has, in an answer of its own or as a part of one; standard members win over its own."""
    document: dict[str, object] = {
        **problem.members,
        "type": f"urn:upshot:problem:{problem.kind}",
        "title": title_of(problem.kind),
        "status": problem.status,
        "detail": problem.detail,
        "instance": instance,
    }
    if problem.flaws:
        document["errors"] = [{"detail": flaw.detail, "pointer": flaw.pointer} for flaw in problem.flaws[:FLAWS_MAX]]
        if len(problem.flaws) > FLAWS_MAX:
            document["errors_left_out"] = len(problem.flaws) - FLAWS_MAX
    return document


def flaws_of(error: ValidationError, *, prefix: str = "#") -> list[Flaw]:
    """Each thing that pydantic found, as a flaw with its place. The input itself is never repeated: it may be a secret."""
    return [
        Flaw(pointer=pointer_of(each["loc"], prefix=prefix), detail=_sentence(each["msg"]))
        for each in error.errors(include_url=False, include_input=False, include_context=False)
    ]


def _sentence(message: str) -> str:
    return message.removeprefix("Value error, ").removeprefix("Assertion failed, ")
