"""Routes to a real server and back: what is answered, what trouble becomes, and that no answer tells too much."""

import asyncio
import gzip
import logging

import pytest
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from shared.bus.port import AppendInDoubt, RecordTooLarge
from shared.domain.errors import Flaw, InvalidInput, TransientError
from shared.runtime.http import Call, HttpProblem, Returns, Route, reply
from shared.runtime.http.boundary import ROUTES, HttpDependencies, build_app
from shared.runtime.http.openapi import About


class Order(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str = Field(min_length=1)
    amounts: list[int] = []


class Page(BaseModel):
    model_config = ConfigDict(extra="forbid")
    limit: int = Field(50, ge=1, le=200, description="How many.")


async def echo(call: Call) -> web.Response:
    return reply(200, await call.input(Order))


async def page(call: Call) -> web.Response:
    return reply(200, call.query(Page))


async def whoami(call: Call) -> web.Response:
    return reply(
        200,
        {
            "id": call.request.match_info.get("id") and call.path("id"),
            "big": 2**70,
            "tenant": call.tenant_id,
            "roles": sorted(call.caller.roles),
            "trace": call.traceparent,
        },
    )


async def raw(call: Call) -> web.Response:
    return reply(200, {"bytes": len(await call.body())})


def raising(error: Exception):
    async def fail(call: Call) -> web.Response:
        raise error

    return fail


OK = {200: Returns(description="Fine.")}
FAILURES = {
    "transient": TransientError("db at 10.0.0.3 is away", retry_after_seconds=2.2),
    "doubt": AppendInDoubt("connection lost"),
    "large": RecordTooLarge("2000000 bytes; at most 1000000"),
    "invalid": InvalidInput("This is wrong", [Flaw(pointer="#/a~1b/0", detail="mend it")]),
    "bug": KeyError("password=hunter2"),
    "problem": HttpProblem(409, "name-taken", "there is one", members={"id": "7", "status": 1}),
}
ROUTE_TABLE = [
    Route(method="POST", path="/api/v1/orders", handler=echo, summary="s", tag="t", responses=OK, request=Order),
    Route(method="PUT", path="/yaml", handler=echo, summary="s", tag="t", responses=OK, request=Order, yaml=True),
    Route(method="GET", path="/api/v1/pages", handler=page, summary="s", tag="t", responses=OK, query=Page),
    Route(method="GET", path="/who/{id}", handler=whoami, summary="s", tag="t", responses=OK, roles=()),
    Route(method="GET", path="/admins", handler=whoami, summary="s", tag="t", responses=OK, roles=("finance", "x:y")),
    Route(
        method="POST",
        path="/raw",
        handler=raw,
        summary="s",
        tag="t",
        responses=OK,
        request_is_raw=True,
        body_bytes_max=1000,
    ),
    *(
        Route(method="GET", path=f"/fail/{name}", handler=raising(error), summary="s", tag="t", responses=OK)
        for name, error in FAILURES.items()
    ),
    Route(
        method="GET",
        path="/fail/lenient",
        handler=raising(FAILURES["invalid"]),
        summary="s",
        tag="t",
        responses=OK,
        invalid_status=400,
    ),
]


@pytest.fixture
async def client(serve):
    return await serve(ROUTE_TABLE)


async def test_a_fitting_body_reaches_the_handler(client):
    answer = await client("POST", "/api/v1/orders", json={"name": "n", "amounts": [1]})
    assert (answer.status, await answer.json()) == (200, {"name": "n", "amounts": [1]})


async def test_each_flaw_of_a_body_is_named_with_its_place(client):
    answer = await client("POST", "/api/v1/orders", json={"name": "", "amounts": ["x"], "a/b~c": 1})
    problem = await answer.json(content_type="application/problem+json")
    assert answer.status == problem["status"] == 422
    assert problem["type"] == "urn:upshot:problem:invalid-input"
    assert problem["instance"] == "/api/v1/orders"
    assert {each["pointer"] for each in problem["errors"]} == {"#/name", "#/amounts/0", "#/a~1b~0c"}


@pytest.mark.parametrize(
    ("body", "hint"),
    [
        (b"{", "cannot be parsed"),
        (b"\xff", "not UTF-8"),
        (b'{"name": "a", "name": "b"}', "stands twice"),
        (b"[" * 10_000 + b"]" * 10_000, "nested deeper"),
        (b'{"name": "a\\u0000"}', "NUL"),
    ],
)
async def test_what_cannot_be_parsed_is_a_400_with_the_reason(client, body, hint):
    answer = await client("POST", "/api/v1/orders", body=body, headers={"Content-Type": "application/json"})
    problem = await answer.json(content_type=None)
    assert (answer.status, problem["type"]) == (400, "urn:upshot:problem:unreadable-body")
    assert hint in problem["errors"][0]["detail"]


async def test_a_body_of_another_type_is_a_415_that_says_what_to_send(client):
    answer = await client("POST", "/api/v1/orders", body=b"name=a", headers={"Content-Type": "text/plain"})
    assert answer.status == 415
    assert "application/json" in (await answer.json(content_type=None))["detail"]
    assert (
        await client("POST", "/api/v1/orders", body=b"name: a", headers={"Content-Type": "application/yaml"})
    ).status == 415


async def test_yaml_is_taken_where_a_route_says_so(client):
    answer = await client(
        "PUT", "/yaml", body=b"name: a\namounts: [1, 2]\n", headers={"Content-Type": "application/yaml"}
    )
    assert (answer.status, await answer.json()) == (200, {"name": "a", "amounts": [1, 2]})


async def test_no_body_at_all_is_an_empty_object(client):
    problem = await (await client("POST", "/api/v1/orders")).json(content_type=None)
    assert [each["pointer"] for each in problem["errors"]] == ["#/name"]


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "limt=3", "limit=1&limit=2"])
async def test_an_unusable_query_is_a_400(client, query):
    answer = await client("GET", f"/api/v1/pages?{query}")
    problem = await answer.json(content_type=None)
    assert answer.status == 400
    assert problem["errors"][0]["pointer"] in ("?limit", "?limt")


async def test_a_filter_that_is_left_empty_is_none(client):
    assert (await client("GET", "/api/v1/pages?limit=")).status == 200
    assert (await client("GET", "/api/v1/pages?limt=")).status == 400
    assert (await client("GET", "/api/v1/pages?limit=&limit=")).status == 400


async def test_a_parameter_that_a_route_does_not_know_is_told_with_those_that_it_does(client):
    problem = await (await client("GET", "/api/v1/pages?limt=3&limit=0&page=2")).json(content_type=None)
    told = "there is no such parameter; there are: limit"
    assert [(each["pointer"], each["detail"]) for each in problem["errors"][:2]] == [("?limt", told), ("?page", told)]
    assert problem["errors"][2]["pointer"] == "?limit"
    answer = await client("GET", "/who/7?limit=3")
    assert answer.status == 400
    assert (await answer.json(content_type=None))["errors"][0]["detail"].endswith("this route takes none")
    assert (await client("POST", "/raw?whatever=1")).status == 200


async def test_limits_on_bodies_hold_announced_chunked_and_compressed(client):
    async def chunks():
        for _ in range(100):
            yield b"x" * 100

    assert (await client("POST", "/raw", body=b"x" * 1000)).status == 200
    assert (await client("POST", "/raw", body=b"x" * 1001)).status == 413
    assert (await client("POST", "/raw", body=chunks())).status == 413
    packed = gzip.compress(b"x" * 100_000)
    assert len(packed) < 1000
    assert (await client("POST", "/raw", body=packed, headers={"Content-Encoding": "gzip"})).status == 413
    assert (await client("POST", "/raw", body=gzip.compress(b"x"), headers={"Content-Encoding": "gzip"})).status == 200
    assert (await client("POST", "/raw", body=b"no gzip", headers={"Content-Encoding": "gzip"})).status == 400


async def test_a_body_that_never_comes_is_a_408(client):
    host, port = client.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST /raw HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    assert head.startswith(b"HTTP/1.1 408")
    writer.close()


async def test_unknown_paths_and_methods_are_problems(client):
    missing = await client("GET", "/nothing/here?x=1")
    assert (missing.status, missing.content_type) == (404, "application/problem+json")
    wrong = await client("DELETE", "/api/v1/orders")
    assert (wrong.status, wrong.headers["Allow"]) == (405, "POST")
    assert (await client("GET", "/who/a%00b")).status == 404
    assert (await client("GET", f"/who/{'a' * 700}")).status == 404


@pytest.mark.parametrize(
    ("name", "status", "kind"),
    [
        ("transient", 503, "unavailable"),
        ("doubt", 503, "append-in-doubt"),
        ("large", 413, "record-too-large"),
        ("invalid", 422, "invalid-input"),
        ("lenient", 400, "invalid-input"),
        ("problem", 409, "name-taken"),
    ],
)
async def test_trouble_becomes_its_status(client, name, status, kind):
    answer = await client("GET", f"/fail/{name}")
    problem = await answer.json(content_type="application/problem+json")
    assert (answer.status, problem["status"], problem["type"]) == (status, status, f"urn:upshot:problem:{kind}")
    assert "10.0.0.3" not in str(problem)
    if status == 503:
        assert int(answer.headers["Retry-After"]) == (3 if name == "transient" else 1)


async def test_an_unexpected_error_is_logged_under_an_id_and_nothing_of_it_leaks(client, caplog):
    with caplog.at_level(logging.ERROR, logger="upshot.http"):
        answer = await client("GET", "/fail/bug")
    problem = await answer.json(content_type="application/problem+json")
    assert answer.status == 500
    assert "hunter2" not in str(problem)
    assert problem["error_id"] in caplog.text
    assert "hunter2" in caplog.text


async def test_a_path_segment_may_hold_any_printable_character(client):
    answer = await client("GET", "/who/a%2Fb%20%252Fc%22")
    assert (await answer.json())["id"] == 'a/b %2Fc"'


async def test_roles_decide_and_are_named(client, clock):
    from shared.runtime.http import issue_token

    def token(*roles: str) -> str:
        return issue_token(b"a secret for tests, long enough.", "acme", roles, "s", 60, clock.now())

    answer = await client(
        "GET", "/who/1", token=token("write"), headers={"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}
    )
    body = await answer.json()
    assert body["big"] == 2**70
    assert body["roles"] == ["automation:read", "automation:write"]
    assert body["trace"] == f"00-{'a' * 32}-{'b' * 16}-01"
    refused = await client("GET", "/admins", token=token("admin"))
    assert refused.status == 403
    assert "automation:finance, x:y" in (await refused.json(content_type=None))["detail"]
    assert (await client("GET", "/admins", token=token("finance"))).status == 200
    assert (await client("GET", "/admins", token=None)).status == 401


async def test_every_registered_route_stands_in_the_document(client, clock, randomness):
    from shared.runtime.http import TokenVerifier

    app = build_app(
        ROUTE_TABLE,
        HttpDependencies(
            verifier=TokenVerifier(b"0123456789abcdef", clock=clock),
            randomness=randomness,
            about=About(title="t", version="1", description="d"),
        ),
    )
    document = await (await client("GET", "/openapi.json")).json()
    described = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    assert described == {(route.method, route.path) for route in app[ROUTES]}
    registered = {route.method for route in app.router.routes()} - {"HEAD"}
    assert registered == {"GET", "POST", "PUT"}
    count = sum(1 for route in app.router.routes() if route.method != "HEAD")
    assert count == len(described)


async def test_the_page_for_people_is_self_contained(client):
    answer = await client("GET", "/docs", token=None)
    text = await answer.text()
    assert answer.status == 200
    assert "/api/v1/orders" in text
    assert "<script" not in text
    assert "src=" not in text
    assert "https://" not in text
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert (await client("HEAD", "/docs")).status == 200
