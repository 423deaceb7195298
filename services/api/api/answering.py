"""What every command route has in common: name the command, replay an earlier verdict, answer the fold's."""

from collections.abc import Mapping
from urllib.parse import quote

from aiohttp import web

from services.api.api.models import Pending
from services.api.service.commands import Commands, Intent
from shared.domain.verdicts import Verdict
from shared.runtime.http import Call, Header, HttpProblem, Returns, reply

COMMANDS_PATH = "/api/v1/commands"

NO_TENANT = "The tenant of this token was never made."
IDEMPOTENCY_KEY = Header(
    name="Idempotency-Key",
    description="Names this request for 30 days: repeating it with the same key and the same content is doing it once, "
    "and is answered alike. At best a UUID.",
)
PENDING = Returns(
    description="Taken; the verdict is not known yet: ask at Location.",
    model=Pending,
    headers={"Location": "where the verdict will be"},
)
REPLAYED = "Idempotent-Replayed"


async def intend(call: Call, commands: Commands, document: object, *, base: str | None = None) -> Intent:
    """Name the command that a call is."""
    return commands.intend(
        call.caller,
        method=call.request.method,
        path=call.request.path,
        document=document,
        idempotency_key=call.header(IDEMPOTENCY_KEY.name),
        traceparent=call.traceparent,
        base=base,
    )


def answer(
    intent: Intent,
    verdict: Verdict | None,
    *,
    more: Mapping[str, object] | None = None,
    headers: Mapping[str, str] | None = None,
    replayed: bool = False,
) -> web.Response:
    """The verdict as an answer, `more` among its members; 202 and where to ask while there is none.

    Raises HttpProblem where the fold refused.
    """
    if verdict is None:
        body = {**(more or {}), "command_id": intent.command.id, "status": "pending"}
        return reply(
            202,
            body,
            {
                **(headers or {}),
                "Cache-Control": "no-store",
                "Location": f"{COMMANDS_PATH}/{quote(intent.command.id, safe='')}",
            },
        )
    # Some of these answers hold a secret, once; none is worth keeping.
    again = {"Cache-Control": "no-store", **({REPLAYED: "true"} if replayed else {})}
    if verdict.status >= 400:
        problem = HttpProblem.of_verdict(verdict.status, verdict.body)
        problem.headers.update(again)
        raise problem
    return reply(verdict.status, {**verdict.body, **(more or {})}, {**(headers or {}), **again})
