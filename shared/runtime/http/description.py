"""The two routes that describe all routes, themselves included: /openapi.json for programs, /docs for people."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

import orjson
from aiohttp import web

from shared.runtime.http.body import JSON_TYPE
from shared.runtime.http.docs_page import render_page
from shared.runtime.http.routing import About, Call, Returns, Route

_HTML_TYPE = "text/html"
_PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}


class _Rendered(NamedTuple):
    document: bytes
    page: bytes


def description_routes(routes: Sequence[Route], about: About) -> tuple[Route, Route]:
    """Both, rendered once, when somebody asks: most processes are never asked, and a start need not wait for it."""
    described: asyncio.Task[_Rendered] | None = None

    async def rendered() -> _Rendered:
        nonlocal described
        if described is None:
            described = asyncio.create_task(asyncio.to_thread(_render, [*routes, *own], about))
        return await asyncio.shield(described)

    async def serve_document(call: Call) -> web.Response:
        del call
        body = (await rendered()).document
        return web.Response(body=body, content_type=JSON_TYPE, headers={"Cache-Control": "no-cache"})

    async def serve_page(call: Call) -> web.Response:
        del call
        body = (await rendered()).page
        return web.Response(body=body, content_type=_HTML_TYPE, charset="utf-8", headers=_PAGE_HEADERS)

    own = (
        Route(
            method="GET",
            path="/openapi.json",
            handler=serve_document,
            summary="This description, as OpenAPI 3.1",
            tag="about",
            responses={200: Returns(description="The document.")},
        ),
        Route(
            method="GET",
            path="/docs",
            handler=serve_page,
            summary="This description, for people",
            tag="about",
            responses={200: Returns(description="A page without scripts.", content_type=_HTML_TYPE)},
        ),
    )
    return own


def _render(table: Sequence[Route], about: About) -> _Rendered:
    from shared.runtime.http.openapi import openapi_document  # takes a while: only who renders it imports it

    document = openapi_document(table, about)
    return _Rendered(orjson.dumps(document), render_page(document).encode())
