"""/api/v1/commands: verdicts that were not known yet when their command was answered."""

from aiohttp import web

from services.api.api import models
from services.api.service.ports import ApiDependencies
from shared.runtime.http import READ, Call, HttpProblem, Returns, Route, reply


def routes(it: ApiDependencies) -> list[Route]:
    async def get(call: Call) -> web.StreamResponse:
        command_id = call.path("id")
        found = await it.queries.get_command(call.tenant_id, command_id)
        if found is None:
            # Nobody can tell a command that is still on its way from one that never was: both have no verdict yet.
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
            "its status and members, a problem where it was refused.",
            tag="commands",
            roles=(READ,),
            responses={
                200: Returns(description="Decided.", model=models.CommandAnswer),
                201: Returns(description="Decided: something was made.", model=models.CommandAnswer),
                202: Returns(
                    description="No verdict under this id yet.",
                    model=models.Pending,
                    headers={"Retry-After": "seconds until asking again is of use"},
                ),
            },
            errors={403: "Refused.", 404: "Refused.", 409: "Refused.", 412: "Refused."},
        )
    ]
