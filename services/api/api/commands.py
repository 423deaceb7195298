"""/api/v1/commands: verdicts that were not known yet when their command was answered."""

from aiohttp import web

from services.api.api import models
from services.api.service.level import is_level
from services.api.service.ports import ApiDependencies
from shared.bus.topics import DEFINITIONS, RUNS
from shared.runtime.http import READ, Call, HttpProblem, Returns, Route, reply


def routes(it: ApiDependencies) -> list[Route]:
    async def get(call: Call) -> web.StreamResponse:
        command_id = call.path("id")
        found = await it.queries.get_command(call.tenant_id, command_id)
        if found is None:
            # It may be in the log all the same: only a read model that has passed the log's end, as of now, can deny it.
            level = await is_level(it, call.tenant_id, DEFINITIONS, RUNS)
            found = await it.queries.get_command(call.tenant_id, command_id)
            if found is None and level:
                raise HttpProblem(404, "unknown-command", f"nothing was ever asked for under {command_id!r}")
            if found is None:
                return reply(202, models.Pending(command_id=command_id, status="pending"), {"Retry-After": "1"})
        verdict = found.verdict
        if verdict.status >= 400:
            raise HttpProblem.of_verdict(verdict.status, verdict.body)
        # 202 says "ask again" here, so a command whose own answer is 202 is answered 200.
        return reply(200 if verdict.status == 202 else verdict.status, verdict.body)

    return [
        Route(
            method="GET",
            path="/api/v1/commands/{id}",
            handler=get,
            summary="Ask for the verdict on a command",
            description="The id is its Idempotency-Key, or the `command_id` that was answered. The answer is the command's own: "
            "its status and members, a problem where it was refused. Waits for the verdict as the command itself does.",
            tag="commands",
            roles=(READ,),
            responses={
                200: Returns(description="Decided.", model=models.CommandAnswer),
                201: Returns(description="Decided: something was made.", model=models.CommandAnswer),
                202: Returns(
                    description="There is no verdict under this id yet, and what was asked for lately is not all decided.",
                    model=models.Pending,
                    headers={"Retry-After": "seconds until asking again is of use"},
                ),
            },
            errors={
                403: "Refused.",
                404: "Refused, or nothing was ever asked for under this id (`unknown-command`).",
                409: "Refused.",
                412: "Refused.",
            },
        )
    ]
