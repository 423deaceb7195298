"""The one route table: what the server answers and what its OpenAPI document says come from the same values.

A `Route` names everything a caller must know; its handler gets a `Call`. Next: `boundary.py` builds the aiohttp
application from routes, `openapi.py` the document, `docs_page.py` the page for people.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar

import orjson
from aiohttp import web
from pydantic import BaseModel, ValidationError

from shared.domain.clock import Randomness
from shared.domain.errors import Flaw
from shared.runtime.http.auth import Caller
from shared.runtime.http.body import (
    BODY_BYTES_MAX_DEFAULT,
    BODY_TIMEOUT_SECONDS_DEFAULT,
    JSON_TYPE,
    YAML_TYPES,
    parse_document,
    read_body,
    refuse_lost_digits,
)
from shared.runtime.http.problems import HttpProblem, flaws_of
from shared.runtime.http.tracecontext import traceparent_of

Method = Literal["GET", "POST", "PUT", "DELETE"]
Handler = Callable[["Call"], Awaitable[web.StreamResponse]]
Model = TypeVar("Model", bound=BaseModel)

_DUMP = orjson.OPT_NON_STR_KEYS | orjson.OPT_UTC_Z


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """A request header that a route reads."""

    name: str
    description: str
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Returns:
    """One answer of a route: what it means, and the model of its JSON body (None: no JSON)."""

    description: str
    model: type[BaseModel] | None = None
    content_type: str = JSON_TYPE
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One method on one path.

    `roles`: None: open to all; empty: any valid token; else one of these. `errors`: the problems beside those that
    every route may answer, as status → when. `path`: `{name}` takes one segment of printable ASCII.
    `invalid_status`: what an `InvalidInput` from below becomes (a body that cannot be parsed is always a 400).
    """

    method: Method
    path: str
    handler: Handler
    summary: str
    tag: str
    responses: Mapping[int, Returns]
    description: str = ""
    roles: tuple[str, ...] | None = None
    request: type[BaseModel] | None = None
    request_is_raw: bool = False
    """The body is bytes of somebody else's format: the handler reads it itself."""
    yaml: bool = False
    """The body may be YAML as well as JSON."""
    query: type[BaseModel] | None = None
    headers: tuple[Header, ...] = ()
    errors: Mapping[int, str] = field(default_factory=dict)
    invalid_status: int = 422
    body_bytes_max: int = BODY_BYTES_MAX_DEFAULT

    @property
    def operation_id(self) -> str:
        """`POST /api/v1/workflows/{id}/runs` → `post_workflows_id_runs`."""
        words = self.path.removeprefix("/api/v1").replace("{", "").replace("}", "").replace(".", "_").split("/")
        return "_".join([self.method.lower(), *(word.replace("-", "_") for word in words if word)])


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What the document says about the whole. `tags`: name → sentence, in the order in which they are shown."""

    title: str
    version: str
    description: str
    tags: tuple[tuple[str, str], ...] = ()


class Call:
    """One request to one route, authorised. Cheap to make: everything is read when it is asked for."""

    __slots__ = ("_body", "_body_timeout_seconds", "_caller", "_randomness", "_traceparent", "request", "route")

    def __init__(
        self,
        request: web.Request,
        route: Route,
        caller: Caller | None,
        randomness: Randomness,
        body_timeout_seconds: float = BODY_TIMEOUT_SECONDS_DEFAULT,
    ) -> None:
        self.request = request
        self.route = route
        self._caller = caller
        self._randomness = randomness
        self._body_timeout_seconds = body_timeout_seconds
        self._body: bytes | None = None
        self._traceparent: str | None = None

    @property
    def caller(self) -> Caller:
        """Whose token this is. Only where the route demands one."""
        if self._caller is None:
            raise RuntimeError(f"{self.route.path} demands no token, so nobody is known")
        return self._caller

    @property
    def tenant_id(self) -> str:
        return self.caller.tenant_id

    @property
    def traceparent(self) -> str:
        """The request's W3C trace, or a new one; equal each time it is asked for."""
        if self._traceparent is None:
            self._traceparent = traceparent_of(self.request.headers.get("traceparent"), self._randomness)
        return self._traceparent

    @property
    def connected(self) -> bool:
        """Whether anybody may still read an answer."""
        transport = self.request.transport
        return transport is not None and not transport.is_closing()

    def path(self, name: str) -> str:
        """The path's segment `{name}`, decoded."""
        return self.request.match_info[name]

    def header(self, name: str) -> str | None:
        return self.request.headers.get(name)

    async def body(self) -> bytes:
        """The body's bytes, at most the route's `body_bytes_max`."""
        if self._body is None:
            self._body = await read_body(
                self.request, bytes_max=self.route.body_bytes_max, timeout_seconds=self._body_timeout_seconds
            )
        return self._body

    async def document(self) -> object:
        """The body's value, every number as it is written. Raises HttpProblem 400 where it cannot be parsed, 415 where it is
        something else, 422 where a number could not be kept."""
        body, content_type = await self.body(), self.request.content_type
        value = parse_document(body, content_type, yaml=self.route.yaml)
        if content_type not in YAML_TYPES:
            refuse_lost_digits(body)
        return value

    async def input(self, model: type[Model], *, exact_below: str | None = None) -> Model:
        """The body as the route's model; no body at all is an empty object. Raises HttpProblem 422 with each flaw.

        `exact_below`: the member whose numbers are refused where they could not be kept as they are written.
        """
        body = await self.body()
        value = parse_document(body, self.request.content_type, yaml=self.route.yaml) if body else {}
        if exact_below is not None:
            refuse_lost_digits(body, below=(exact_below,))
        try:
            return model.model_validate(value)
        except ValidationError as error:
            raise HttpProblem(422, "invalid-input", "the body does not fit", flaws=flaws_of(error)) from None

    def query(self, model: type[Model]) -> Model:
        """The query's parameters. Raises HttpProblem 400: unknown, repeated or unusable ones.

        Of a GET, one that is left empty (`?status=`) is as good as left out: forms and templates send them so. What changes
        something is not guessed.
        """
        given = self.request.query
        repeated = {name for name in given if len(given.getall(name)) > 1}
        known = tuple(field.alias or name for name, field in model.model_fields.items())
        flaws = unknown_parameters(given, known)
        flaws += [Flaw(pointer=f"?{name}", detail="it stands there twice; keep one") for name in sorted(repeated)]
        try:
            kept = {
                name: value for name, value in given.items() if name in known and (value or self.route.method != "GET")
            }
            parsed = model.model_validate(kept)
        except ValidationError as error:
            flaws += [Flaw(pointer=flaw.pointer.replace("#/", "?", 1), detail=flaw.detail) for flaw in flaws_of(error)]
        if flaws:
            raise invalid_query(flaws)
        return parsed


def unknown_parameters(given: Iterable[str], known: Sequence[str]) -> list[Flaw]:
    """A typing error in a query is never silence: it names what there is."""
    there = f"there are: {', '.join(known)}" if known else "this route takes none"
    detail = f"there is no such parameter; {there}"
    return [Flaw(pointer=f"?{name}", detail=detail) for name in dict.fromkeys(given) if name not in known]


def invalid_query(flaws: Sequence[Flaw]) -> HttpProblem:
    return HttpProblem(400, "invalid-query", "the query cannot be used", flaws=flaws)


def reply(
    status: int, body: BaseModel | Mapping[str, object], headers: Mapping[str, str] | None = None
) -> web.Response:
    """A JSON answer. A member without a value is null, never missing; integers keep their digits, however many."""
    content = body.model_dump(mode="json") if isinstance(body, BaseModel) else body
    try:
        written = orjson.dumps(content, option=_DUMP)
    except TypeError:
        written = orjson.dumps(_with_long_integers(content), option=_DUMP)
    return web.Response(status=status, body=written, content_type=JSON_TYPE, headers=headers)


def _with_long_integers(value: object) -> object:
    """Integers of more than 64 bits, which vendors do send and orjson refuses, as the text that they are."""
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() >= 64:
        return orjson.Fragment(str(value))
    if isinstance(value, Mapping):
        return {key: _with_long_integers(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_with_long_integers(each) for each in value]
    return value
