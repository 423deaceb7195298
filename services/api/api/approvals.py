"""/api/v1/approvals: what waits for a person, and that person's word. Looking never decides; only POST does."""

from typing import Literal

from aiohttp import web

from services.api.api import run_models, shown
from services.api.api.answering import IDEMPOTENCY_KEY, PENDING, answer, intend
from services.api.service.approvals import decide, show_approval
from services.api.service.commands import Commands
from services.api.service.log_reader import LogReader
from services.api.service.ports import ApiDependencies
from shared.bus.topics import RUNS
from shared.runtime.http import READ, ROLES, Call, Returns, Route, reply, require_any


def routes(it: ApiDependencies, commands: Commands, log: LogReader) -> list[Route]:
    async def list_all(call: Call) -> web.StreamResponse:
        query = call.query(run_models.ApprovalQuery)
        # Whoever may look sees all; who holds roles of the tenant's own, what these may decide.
        own = None if call.caller.has_any([READ]) else call.caller.roles.difference(ROLES)
        if own is not None and not own:
            require_any(call.caller, [READ])
        page = await it.queries.list_approvals(
            call.tenant_id, status=query.status, roles=own, cursor=query.cursor, limit=query.limit
        )
        items = [shown.approval(each) for each in page.items]
        return reply(200, run_models.ApprovalList(items=items, next_cursor=page.next_cursor))

    async def get(call: Call) -> web.StreamResponse:
        found = await show_approval(it, log, call.tenant_id, call.path("id"))
        require_any(call.caller, [READ, *found.approval.roles])
        head = shown.approval(found.approval).model_dump(mode="json")
        return reply(200, {**head, "subject": found.subject, "current_hash": found.current_hash})

    async def grant(call: Call) -> web.StreamResponse:
        return await decided(call, "granted")

    async def deny(call: Call) -> web.StreamResponse:
        return await decided(call, "denied")

    async def decided(call: Call, decision: Literal["granted", "denied"]) -> web.StreamResponse:
        wanted = await call.input(run_models.DecisionInput)
        # Each person's word is a command of its own, whatever key they agreed on.
        intent = await intend(call, commands, {**wanted.model_dump(mode="json"), "actor": call.caller.subject})
        verdict = await commands.earlier(intent, RUNS)
        replayed = verdict is not None
        if verdict is None:
            verdict = await decide(
                it,
                commands,
                log,
                intent,
                call.path("id"),
                decision=decision,
                reason=wanted.reason,
                hash_shown=wanted.subject_hash,
            )
        return answer(intent, verdict, replayed=replayed)

    return [
        Route(
            method="GET",
            path="/api/v1/approvals",
            handler=list_all,
            summary="List approvals, newest first",
            description="With `automation:read` all; with roles of the tenant's own those that one of them may decide.",
            tag="approvals",
            roles=(),
            query=run_models.ApprovalQuery,
            responses={200: Returns(description="A page.", model=run_models.ApprovalList)},
            errors={403: "The token has no role that may see any."},
            invalid_status=400,
        ),
        Route(
            method="GET",
            path="/api/v1/approvals/{id}",
            handler=get,
            summary="Show an approval, and what exactly it is about",
            description="With `automation:read`, or a role that may decide it.",
            tag="approvals",
            roles=(),
            responses={200: Returns(description="The approval.", model=run_models.ApprovalDetail)},
            errors={403: "The token has no role that may see it.", 404: "There is no such approval."},
        ),
        *(
            Route(
                method="POST",
                path=f"/api/v1/approvals/{{id}}/{verb}",
                handler=handler,
                summary=summary,
                description="With one of the roles that the workflow names (`automation:approve` unless it names others). "
                "Without `subject_hash` the decision is on what the approval was asked for.",
                tag="approvals",
                roles=(),
                request=run_models.DecisionInput,
                headers=(IDEMPOTENCY_KEY,),
                responses={
                    200: Returns(description="Decided, or one grant of several.", model=run_models.DecisionAnswer),
                    202: PENDING,
                },
                errors={
                    403: "The token has none of the roles, or it is the author's own.",
                    404: "There is no such approval.",
                    409: "Already decided: `decided_by` and `decided_at` say by whom and when. Or what would run is no longer "
                    "what the approval was asked for.",
                },
                body_bytes_max=it.settings.body_bytes_max,
            )
            for verb, handler, summary in (
                ("grant", grant, "Grant an approval"),
                ("deny", deny, "Deny an approval"),
            )
        ),
    ]
