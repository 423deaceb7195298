"""/api/v1/endpoints: where deliveries go."""

from aiohttp import web

from services.api.api import models, shown
from services.api.api.answering import IDEMPOTENCY_KEY, NO_TENANT, PENDING, answer, intend
from services.api.service.commands import Commands
from services.api.service.endpoints import NewEndpoint, create_endpoint, endpoint_id_of, public_key_of
from services.api.service.ports import ApiDependencies
from shared.bus.topics import DEFINITIONS
from shared.domain.records import EndpointDisabled, EndpointEnabled
from shared.runtime.http import READ, WRITE, Call, HttpProblem, Returns, Route, reply

_DISABLED_BY_HAND = "disabled by hand"
_REPEATED = (
    "this repeats an earlier request: the secret was shown in the first answer only; "
    "if that was lost, make another endpoint, or give a secret of your own"
)


def routes(it: ApiDependencies, commands: Commands) -> list[Route]:
    async def create(call: Call) -> web.StreamResponse:
        wanted = await call.input(models.EndpointInput)
        intent = await intend(call, commands, await call.document())
        earlier = await commands.earlier(intent, DEFINITIONS)
        endpoint_id = endpoint_id_of(intent)
        location = {"Location": f"/api/v1/endpoints/{endpoint_id}"}
        if earlier is not None:
            more = _made(endpoint_id, public_key=public_key_of(wanted.secret), secret=None)
            return answer(intent, earlier, more=more, headers=location, replayed=True)
        new = NewEndpoint(name=wanted.name, url=wanted.url, secret=wanted.secret)
        made = await create_endpoint(it, commands, intent, new)
        more = _made(endpoint_id, public_key=made.public_key, secret=made.secret)
        return answer(intent, made.verdict, more=more, headers=location)

    async def list_all(call: Call) -> web.StreamResponse:
        query = call.query(models.Paging)
        page = await it.queries.list_endpoints(call.tenant_id, cursor=query.cursor, limit=query.limit)
        items = [shown.endpoint(each) for each in page.items]
        return reply(200, models.EndpointList(items=items, next_cursor=page.next_cursor))

    async def get(call: Call) -> web.StreamResponse:
        found = await it.queries.get_endpoint(call.tenant_id, call.path("id"))
        if found is None:
            raise HttpProblem(404, "unknown-endpoint", f"there is no endpoint {call.path('id')!r}")
        return reply(200, shown.endpoint(found))

    async def enable(call: Call) -> web.StreamResponse:
        intent = await intend(call, commands, None)
        earlier = await commands.earlier(intent, DEFINITIONS)
        if earlier is not None:
            return answer(intent, earlier, replayed=True)
        fact = EndpointEnabled(endpoint_id=call.path("id"), command=intent.command)
        return answer(intent, await commands.carry_out(intent, fact))

    async def disable(call: Call) -> web.StreamResponse:
        wanted = await call.input(models.DisableInput)
        intent = await intend(call, commands, wanted.model_dump(mode="json"))
        earlier = await commands.earlier(intent, DEFINITIONS)
        if earlier is not None:
            return answer(intent, earlier, replayed=True)
        fact = EndpointDisabled(
            endpoint_id=call.path("id"), reason=wanted.reason or _DISABLED_BY_HAND, command=intent.command
        )
        return answer(intent, await commands.carry_out(intent, fact))

    switched = {200: Returns(description="Done, also where it was so already.", model=models.EndpointSwitched)}
    return [
        Route(
            method="POST",
            path="/api/v1/endpoints",
            handler=create,
            summary="Make an endpoint",
            description="The answer holds the secret, once. Private addresses are refused unless the operator lists "
            "them in UPSHOT_EGRESS_ALLOW.",
            tag="endpoints",
            roles=(WRITE,),
            request=models.EndpointInput,
            headers=(IDEMPOTENCY_KEY,),
            responses={201: Returns(description="Made.", model=models.EndpointMade), 202: PENDING},
            errors={404: NO_TENANT, 409: "The name is taken."},
            body_bytes_max=it.settings.body_bytes_max,
        ),
        Route(
            method="GET",
            path="/api/v1/endpoints",
            handler=list_all,
            summary="List endpoints, by name",
            tag="endpoints",
            roles=(READ,),
            query=models.Paging,
            responses={200: Returns(description="A page.", model=models.EndpointList)},
            invalid_status=400,
        ),
        Route(
            method="GET",
            path="/api/v1/endpoints/{id}",
            handler=get,
            summary="Show an endpoint",
            tag="endpoints",
            roles=(READ,),
            responses={200: Returns(description="The endpoint.", model=models.EndpointAnswer)},
            errors={404: "There is no such endpoint."},
        ),
        Route(
            method="POST",
            path="/api/v1/endpoints/{id}/enable",
            handler=enable,
            summary="Deliver to an endpoint again",
            tag="endpoints",
            roles=(WRITE,),
            headers=(IDEMPOTENCY_KEY,),
            responses={**switched, 202: PENDING},
            errors={404: "There is no such endpoint."},
        ),
        Route(
            method="POST",
            path="/api/v1/endpoints/{id}/disable",
            handler=disable,
            summary="Stop delivering to an endpoint",
            tag="endpoints",
            roles=(WRITE,),
            request=models.DisableInput,
            headers=(IDEMPOTENCY_KEY,),
            responses={**switched, 202: PENDING},
            errors={404: "There is no such endpoint."},
            body_bytes_max=it.settings.body_bytes_max,
        ),
    ]


def _made(endpoint_id: str, *, public_key: str | None, secret: str | None) -> dict[str, object]:
    more: dict[str, object] = {"id": endpoint_id}
    if public_key is not None:
        more["public_key"] = public_key
    if secret is not None:
        more["secret"] = secret
    else:
        more["note"] = _REPEATED
    return more
