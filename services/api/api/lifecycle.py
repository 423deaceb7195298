"""/api/v1/workflows/{id}/enable, disable, archive, unarchive and clone: what becomes of a workflow as a whole."""

from aiohttp import web

from services.api.api import models, shown
from services.api.api.answering import IDEMPOTENCY_KEY, PENDING, answer, intend
from services.api.api.hooks import standing_hooks
from services.api.api.preconditions import IF_MATCH_OPTIONAL, STALE, WITH_ETAG, bound_to, etag_of, if_match_of
from services.api.service.commands import Commands
from services.api.service.ports import ApiDependencies
from services.api.service.revisions import clone
from services.api.service.workflows import workflow_id_of
from shared.bus.topics import DEFINITIONS
from shared.domain.records import WorkflowArchived, WorkflowDisabled, WorkflowEnabled, WorkflowUnarchived
from shared.runtime.http import WRITE, Call, Returns, Route

_Switch = type[WorkflowEnabled] | type[WorkflowDisabled] | type[WorkflowUnarchived]


def routes(it: ApiDependencies, commands: Commands) -> list[Route]:
    async def enable(call: Call) -> web.StreamResponse:
        return await switch(call, WorkflowEnabled)

    async def disable(call: Call) -> web.StreamResponse:
        return await switch(call, WorkflowDisabled)

    async def unarchive(call: Call) -> web.StreamResponse:
        return await switch(call, WorkflowUnarchived)

    async def switch(call: Call, fact: _Switch) -> web.StreamResponse:
        intent = await intend(call, commands, None)
        verdict = await commands.earlier(intent, DEFINITIONS)
        replayed = verdict is not None
        if verdict is None:
            verdict = await commands.carry_out(intent, fact(workflow_id=call.path("id"), command=intent.command))
        return answer(intent, verdict, replayed=replayed)

    async def archive(call: Call) -> web.StreamResponse:
        if_match = if_match_of(call)
        intent = await intend(call, commands, None, base=if_match)
        verdict = await commands.earlier(intent, DEFINITIONS)
        replayed = verdict is not None
        if verdict is None:
            base = await bound_to(it, call, if_match)
            fact = WorkflowArchived(workflow_id=call.path("id"), base_revision=base, command=intent.command)
            verdict = await commands.carry_out(intent, fact)
        return answer(intent, verdict, replayed=replayed)

    async def make_clone(call: Call) -> web.StreamResponse:
        wanted = await call.input(models.CloneInput)
        intent = await intend(call, commands, wanted.model_dump(mode="json"))
        verdict = await commands.earlier(intent, DEFINITIONS)
        clone_id = workflow_id_of(intent)
        location = {"Location": f"/api/v1/workflows/{clone_id}"}
        if verdict is not None:
            more = {"id": clone_id, **await standing_hooks(it, call, clone_id)}
            return answer(intent, verdict, headers={**etag_of(verdict), **location}, more=more, replayed=True)
        saved = await clone(it, commands, intent, call.path("id"), wanted.name, wanted.revision, clone_id=clone_id)
        more = {"id": clone_id, **shown.saved_hooks(saved.hooks, replayed=saved.repeated)}
        headers = {**etag_of(saved.verdict), **location}
        return answer(intent, saved.verdict, headers=headers, more=more, replayed=saved.repeated)

    missing = {404: "There is no such workflow."}
    no_room = {409: "The workflow is archived, or the plan allows no more enabled workflows."}
    switched = {200: Returns(description="Done, also where it was so already.", model=models.WorkflowSwitched)}
    put_away = {200: Returns(description="Done, also where it was so already.", model=models.WorkflowPutAway)}
    return [
        *(
            Route(
                method="POST",
                path=f"/api/v1/workflows/{{id}}/{verb}",
                handler=handler,
                summary=summary,
                tag="workflows",
                roles=(WRITE,),
                headers=(IDEMPOTENCY_KEY,),
                responses={**switched, 202: PENDING},
                errors={**missing, **refused},
            )
            for verb, handler, summary, refused in (
                ("enable", enable, "Let a workflow start runs", no_room),
                ("disable", disable, "Keep a workflow from starting runs; those under way go on", {}),
            )
        ),
        Route(
            method="POST",
            path="/api/v1/workflows/{id}/archive",
            handler=archive,
            summary="Put a workflow away",
            description="It starts no run any more, is left out of lists, and its name is free. Its revisions and runs stay "
            "readable; runs under way go on.",
            tag="workflows",
            roles=(WRITE,),
            headers=(IF_MATCH_OPTIONAL, IDEMPOTENCY_KEY),
            responses={**put_away, 202: PENDING},
            errors={
                **missing,
                412: STALE,
                422: "If-Match cannot be used, or the Idempotency-Key named another request.",
            },
        ),
        Route(
            method="POST",
            path="/api/v1/workflows/{id}/unarchive",
            handler=unarchive,
            summary="Take a workflow out of the archive, disabled",
            tag="workflows",
            roles=(WRITE,),
            headers=(IDEMPOTENCY_KEY,),
            responses={**put_away, 202: PENDING},
            errors={**missing, 409: "Its name is another workflow's by now: `id` says whose."},
        ),
        Route(
            method="POST",
            path="/api/v1/workflows/{id}/clone",
            handler=make_clone,
            summary="Make a new workflow like this one, disabled",
            description="Of the newest revision, or of the one named; checked as any other that is saved.",
            tag="workflows",
            roles=(WRITE,),
            request=models.CloneInput,
            headers=(IDEMPOTENCY_KEY,),
            responses={
                201: Returns(description="Made.", model=models.WorkflowSavedAnswer, headers=WITH_ETAG),
                202: PENDING,
            },
            errors={
                404: "There is no such workflow, or no such revision of it.",
                409: "The name is taken.",
                422: "It could not be saved any more: `errors` names each place.",
            },
            body_bytes_max=it.settings.body_bytes_max,
        ),
    ]
