"""/api/v1/sources: where deliveries come from."""

from aiohttp import web

from services.api.api import models, shown
from services.api.api.answering import IDEMPOTENCY_KEY, NO_TENANT, PENDING, answer, intend
from services.api.service.commands import Commands
from services.api.service.ports import ApiDependencies
from services.api.service.sources import NewSource, create_source, hook_url, source_id_of
from shared.bus.topics import DEFINITIONS
from shared.readmodel.tenant_values import SourceItem
from shared.runtime.http import READ, WRITE, Call, HttpProblem, Returns, Route, reply

_TOKEN_PLACEHOLDER = "{secret}"  # noqa: S105  stands where the secret would
_REPEATED = "this repeats an earlier request: the URL's last segment, a secret, was shown in the first answer only"


def routes(it: ApiDependencies, commands: Commands) -> list[Route]:
    def url_of(source: SourceItem) -> str:
        with_token = source.settings.get("path_token") is True
        return hook_url(it.public_url(), source.source_id, _TOKEN_PLACEHOLDER if with_token else None)

    async def create(call: Call) -> web.StreamResponse:
        wanted = await call.input(models.SourceInput)
        intent = await intend(call, commands, await call.document())
        earlier = await commands.earlier(intent, DEFINITIONS)
        with_token = wanted.settings.get("path_token") is True
        source_id = source_id_of(intent)
        location = {"Location": f"/api/v1/sources/{source_id}"}
        if earlier is not None:
            url = hook_url(it.public_url(), source_id, _TOKEN_PLACEHOLDER if with_token else None)
            more = _made(url, _REPEATED if with_token else None)
            return answer(intent, earlier, more=more, headers=location, replayed=True)
        new = NewSource(name=wanted.name, vendor=wanted.vendor, secret=wanted.secret, settings=wanted.settings)
        made = await create_source(it, commands, intent, new)
        token = made.path_token if made.path_token is not None or not with_token else _TOKEN_PLACEHOLDER
        note = _REPEATED if token == _TOKEN_PLACEHOLDER else None
        more = {"id": source_id, **_made(hook_url(it.public_url(), source_id, token), note)}
        return answer(intent, made.verdict, more=more, headers=location)

    async def list_all(call: Call) -> web.StreamResponse:
        query = call.query(models.Paging)
        page = await it.queries.list_sources(call.tenant_id, cursor=query.cursor, limit=query.limit)
        items = [shown.source(each, url_of(each)) for each in page.items]
        return reply(200, models.SourceList(items=items, next_cursor=page.next_cursor))

    async def get(call: Call) -> web.StreamResponse:
        found = await it.queries.get_source(call.tenant_id, call.path("id"))
        if found is None:
            raise HttpProblem(404, "unknown-source", f"there is no source {call.path('id')!r}")
        return reply(200, shown.source(found, url_of(found)))

    return [
        Route(
            method="POST",
            path="/api/v1/sources",
            handler=create,
            summary="Make a source",
            description="A vendor integration with a hook URL of its own. Its secret is sealed before it is kept.",
            tag="sources",
            roles=(WRITE,),
            request=models.SourceInput,
            headers=(IDEMPOTENCY_KEY,),
            responses={201: Returns(description="Made.", model=models.SourceMade), 202: PENDING},
            errors={
                400: "The body cannot be read, or there is no such vendor.",
                404: NO_TENANT,
                409: "The name is taken.",
            },
            body_bytes_max=it.settings.body_bytes_max,
        ),
        Route(
            method="GET",
            path="/api/v1/sources",
            handler=list_all,
            summary="List sources, by name",
            tag="sources",
            roles=(READ,),
            query=models.Paging,
            responses={200: Returns(description="A page.", model=models.SourceList)},
            invalid_status=400,
        ),
        Route(
            method="GET",
            path="/api/v1/sources/{id}",
            handler=get,
            summary="Show a source",
            tag="sources",
            roles=(READ,),
            responses={200: Returns(description="The source.", model=models.SourceAnswer)},
            errors={404: "There is no such source."},
        ),
    ]


def _made(url: str, note: str | None) -> dict[str, object]:
    return {"hook_url": url, **({"note": note} if note is not None else {})}
