"""/api/v1/workflows: why runs start, and what they do; /runs below one: asking for a run by hand."""

from aiohttp import web

from services.api.api import models, run_models, shown
from services.api.api.answering import IDEMPOTENCY_KEY, NO_TENANT, PENDING, answer, intend
from services.api.core.commands import etag, parse_if_match
from services.api.service.commands import Commands
from services.api.service.ports import ApiDependencies
from services.api.service.workflows import (
    newest_revision,
    request_run,
    save_workflow,
    unknown_workflow,
    workflow_id_of,
)
from shared.bus.topics import DEFINITIONS, RUNS
from shared.domain.records import WorkflowDisabled, WorkflowEnabled
from shared.domain.verdicts import Verdict
from shared.runtime.http import EXECUTE, READ, WRITE, Call, Header, HttpProblem, Returns, Route, reply
from shared.workflows.document import WorkflowDocument

INPUTS_BYTES_MAX = 65_536
"""Of a manual run's inputs: they stand in the record, and a tenant's schema judges them on the API's own time."""

_IF_MATCH = Header(name="If-Match", description='The revision that you read, as its ETag says: `"3"`.', required=True)


def routes(it: ApiDependencies, commands: Commands) -> list[Route]:
    async def create(call: Call) -> web.StreamResponse:
        document = await call.document()
        intent = await intend(call, commands, document)
        verdict = await commands.earlier(intent, DEFINITIONS)
        replayed = verdict is not None
        workflow_id = workflow_id_of(intent)
        if verdict is None:
            verdict = await save_workflow(it, commands, intent, document, workflow_id=workflow_id, base=None)
        headers = {**_etag(verdict), "Location": f"/api/v1/workflows/{workflow_id}"}
        return answer(intent, verdict, headers=headers, more={"id": workflow_id}, replayed=replayed)

    async def save(call: Call) -> web.StreamResponse:
        workflow_id, if_match = call.path("id"), call.header("If-Match")
        if if_match is None:
            detail = (
                f'say which revision you read: If-Match: "<revision>", as GET /api/v1/workflows/{workflow_id} tells'
            )
            raise HttpProblem(428, "precondition-required", detail)
        base = parse_if_match(if_match)
        document = await call.document()
        intent = await intend(call, commands, document, base=if_match)
        verdict = await commands.earlier(intent, DEFINITIONS)
        replayed = verdict is not None
        if verdict is None:
            on_top_of = base if base is not None else await newest_revision(it, call.tenant_id, workflow_id)
            verdict = await save_workflow(it, commands, intent, document, workflow_id=workflow_id, base=on_top_of)
        return answer(intent, verdict, headers=_etag(verdict), replayed=replayed)

    async def list_all(call: Call) -> web.StreamResponse:
        query = call.query(models.WorkflowQuery)
        page = await it.queries.list_workflows(
            call.tenant_id, enabled=query.enabled, archived=query.archived, cursor=query.cursor, limit=query.limit
        )
        items = [shown.workflow(each) for each in page.items]
        return reply(200, models.WorkflowList(items=items, next_cursor=page.next_cursor))

    async def get(call: Call) -> web.StreamResponse:
        found = await it.queries.get_workflow(call.tenant_id, call.path("id"))
        if found is None:
            raise unknown_workflow(call.path("id"))
        return reply(200, shown.workflow(found), {"ETag": etag(found.newest.revision)})

    async def list_revisions(call: Call) -> web.StreamResponse:
        query = call.query(models.Paging)
        page = await it.queries.list_revisions(call.tenant_id, call.path("id"), cursor=query.cursor, limit=query.limit)
        if not page.items and query.cursor is None:
            raise unknown_workflow(call.path("id"))
        items = [shown.revision_summary(each) for each in page.items]
        return reply(200, models.RevisionList(items=items, next_cursor=page.next_cursor))

    async def get_revision(call: Call) -> web.StreamResponse:
        text = call.path("number")
        number = int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0
        found = await it.queries.get_revision(call.tenant_id, call.path("id"), number) if number else None
        if found is None:
            raise HttpProblem(404, "unknown-revision", f"workflow {call.path('id')!r} has no revision {text!r}")
        return reply(200, shown.revision(found), {"ETag": etag(found.revision)})

    async def enable(call: Call) -> web.StreamResponse:
        return await switch(call, WorkflowEnabled)

    async def disable(call: Call) -> web.StreamResponse:
        return await switch(call, WorkflowDisabled)

    async def switch(call: Call, fact: type[WorkflowEnabled] | type[WorkflowDisabled]) -> web.StreamResponse:
        intent = await intend(call, commands, None)
        verdict = await commands.earlier(intent, DEFINITIONS)
        replayed = verdict is not None
        if verdict is None:
            verdict = await commands.carry_out(intent, fact(workflow_id=call.path("id"), command=intent.command))
        return answer(intent, verdict, replayed=replayed)

    async def run(call: Call) -> web.StreamResponse:
        wanted = await call.input(run_models.RunInput)
        intent = await intend(call, commands, wanted.model_dump(mode="json"))
        earlier = await commands.earlier(intent, RUNS)
        if earlier is not None:
            return answer(intent, earlier, replayed=True)
        run_id, verdict = await request_run(it, commands, intent, call.path("id"), wanted.inputs)
        headers = {"Location": f"/api/v1/runs/{run_id}"}
        return answer(intent, verdict, more={"run_id": run_id}, headers=headers)

    missing = {404: "There is no such workflow."}
    with_etag = {"ETag": "the revision"}
    bytes_max = it.settings.body_bytes_max
    return [
        Route(
            method="POST",
            path="/api/v1/workflows",
            handler=create,
            summary="Save a new workflow",
            description="The document is checked whole: every flaw comes back with its place. JSON or YAML.",
            tag="workflows",
            roles=(WRITE,),
            request=WorkflowDocument,
            yaml=True,
            headers=(IDEMPOTENCY_KEY,),
            responses={
                201: Returns(description="Saved.", model=models.WorkflowSavedAnswer, headers=with_etag),
                202: PENDING,
            },
            errors={404: NO_TENANT, 409: "The name is taken."},
            body_bytes_max=bytes_max,
        ),
        Route(
            method="GET",
            path="/api/v1/workflows",
            handler=list_all,
            summary="List workflows, by name",
            tag="workflows",
            roles=(READ,),
            query=models.WorkflowQuery,
            responses={200: Returns(description="A page.", model=models.WorkflowList)},
            invalid_status=400,
        ),
        Route(
            method="GET",
            path="/api/v1/workflows/{id}",
            handler=get,
            summary="Show a workflow",
            tag="workflows",
            roles=(READ,),
            responses={200: Returns(description="The workflow.", model=models.WorkflowAnswer, headers=with_etag)},
            errors=missing,
        ),
        Route(
            method="PUT",
            path="/api/v1/workflows/{id}",
            handler=save,
            summary="Save a new revision",
            description="Runs keep the revision that they began with.",
            tag="workflows",
            roles=(WRITE,),
            request=WorkflowDocument,
            yaml=True,
            headers=(_IF_MATCH, IDEMPOTENCY_KEY),
            responses={
                200: Returns(description="Saved.", model=models.WorkflowSavedAnswer, headers=with_etag),
                202: PENDING,
            },
            errors={
                **missing,
                409: "The name is taken.",
                412: "Somebody has saved since: `revision` says what is newest now.",
                428: "If-Match is missing.",
            },
            body_bytes_max=bytes_max,
        ),
        *(
            Route(
                method="POST",
                path=f"/api/v1/workflows/{{id}}/{verb}",
                handler=handler,
                summary=summary,
                tag="workflows",
                roles=(WRITE,),
                headers=(IDEMPOTENCY_KEY,),
                responses={
                    200: Returns(description="Done, also where it was so already.", model=models.WorkflowSwitched),
                    202: PENDING,
                },
                errors=missing,
            )
            for verb, handler, summary in (
                ("enable", enable, "Let a workflow start runs"),
                ("disable", disable, "Keep a workflow from starting runs; those under way go on"),
            )
        ),
        Route(
            method="POST",
            path="/api/v1/workflows/{id}/runs",
            handler=run,
            summary="Ask for a run by hand",
            description="Of the newest revision, which must have a `manual` trigger.",
            tag="runs",
            roles=(EXECUTE,),
            request=run_models.RunInput,
            headers=(IDEMPOTENCY_KEY,),
            responses={202: Returns(description="Asked for.", model=run_models.RunRequestedAnswer)},
            errors={**missing, 409: "The workflow is disabled, or has no manual trigger."},
            body_bytes_max=min(INPUTS_BYTES_MAX, bytes_max),
        ),
        Route(
            method="GET",
            path="/api/v1/workflows/{id}/revisions",
            handler=list_revisions,
            summary="List a workflow's revisions, newest first",
            tag="workflows",
            roles=(READ,),
            query=models.Paging,
            responses={200: Returns(description="A page.", model=models.RevisionList)},
            errors=missing,
            invalid_status=400,
        ),
        Route(
            method="GET",
            path="/api/v1/workflows/{id}/revisions/{number}",
            handler=get_revision,
            summary="Show one revision",
            tag="workflows",
            roles=(READ,),
            responses={200: Returns(description="The revision.", model=models.RevisionAnswer, headers=with_etag)},
            errors={404: "There is no such revision."},
        ),
    ]


def _etag(verdict: Verdict | None) -> dict[str, str]:
    revision = verdict.body.get("revision") if verdict is not None else None
    return {"ETag": etag(revision)} if isinstance(revision, int) else {}
