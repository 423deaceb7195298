"""The two routes that describe all routes, themselves included: /openapi.json for programs, /docs for people."""

from collections.abc import Sequence

import orjson
from aiohttp import web

from shared.runtime.http.body import JSON_TYPE
from shared.runtime.http.docs_page import render_page
from shared.runtime.http.openapi import About, openapi_document
from shared.runtime.http.routing import Call, Returns, Route

_HTML_TYPE = "text/html"
_PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}


def description_routes(routes: Sequence[Route], about: About) -> tuple[Route, Route]:
    """Both, rendered once: the table does not change while a process lives."""
    served: dict[str, bytes] = {}

    async def serve_document(call: Call) -> web.Response:
        del call
        return web.Response(body=served[JSON_TYPE], content_type=JSON_TYPE, headers={"Cache-Control": "no-cache"})

    async def serve_page(call: Call) -> web.Response:
        del call
        return web.Response(body=served[_HTML_TYPE], content_type=_HTML_TYPE, charset="utf-8", headers=_PAGE_HEADERS)

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
    document = openapi_document([*routes, *own], about)
    served[JSON_TYPE] = orjson.dumps(document)
    served[_HTML_TYPE] = render_page(document).encode()
    return own
