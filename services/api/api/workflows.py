"""/api/v1/workflows: why runs start, and what they do; /runs below one: asking for a run by hand.

Next: `revisions.py` for what a workflow was, `lifecycle.py` for what becomes of it.
"""

from aiohttp import web

from services.api.api import models, run_models, shown
from services.api.api.answering import IDEMPOTENCY_KEY, NO_TENANT, PENDING, answer, intend
from services.api.api.hooks import hooks_of, standing_hooks
from services.api.api.preconditions import IF_MATCH, STALE, WITH_ETAG, base_of, etag_of, required_if_match
from services.api.core.commands import etag
from services.api.service.commands import Commands
from services.api.service.ports import ApiDependencies
from services.api.service.tenants import current_tenant
from services.api.service.workflows import (
    check_draft,
    request_run,
    run_id_of,
    save_workflow,
    unknown_workflow,
    workflow_id_of,
)
from shared.bus.topics import DEFINITIONS, RUNS
from shared.runtime.http import EXECUTE, READ, WRITE, Call, Returns, Route, reply
from shared.workflows.document import WorkflowDocument

INPUTS_BYTES_MAX = 65_536
"""Of a manual run's inputs: they stand in the record, and a tenant's schema judges them on the API's own time."""


def routes(it: ApiDependencies, commands: Commands) -> list[Route]:
    async def create(call: Call) -> web.StreamResponse:
        document, enabled = await call.document(), call.query(models.NewWorkflowQuery).enabled
        intent = await intend(call, commands, document if enabled else {"enabled": False, "document": document})
        verdict = await commands.earlier(intent, DEFINITIONS)
        workflow_id = workflow_id_of(intent)
        location = {"Location": f"/api/v1/workflows/{workflow_id}"}
        if verdict is not None:
            more = {"id": workflow_id, **await standing_hooks(it, call, workflow_id)}
            return answer(intent, verdict, headers={**etag_of(verdict), **location}, more=more, replayed=True)
        saved = await save_workflow(it, commands, intent, document, workflow_id=workflow_id, base=None, enabled=enabled)
        more = {"id": workflow_id, **shown.saved_hooks(saved.hooks, replayed=saved.repeated)}
        headers = {**etag_of(saved.verdict), **location}
        return answer(intent, saved.verdict, headers=headers, more=more, replayed=saved.repeated)

    async def save(call: Call) -> web.StreamResponse:
        workflow_id, if_match = call.path("id"), required_if_match(call)
        document = await call.document()
        intent = await intend(call, commands, document, base=if_match)
        verdict = await commands.earlier(intent, DEFINITIONS)
        if verdict is not None:
            more = await standing_hooks(it, call, workflow_id)
            return answer(intent, verdict, headers=etag_of(verdict), more=more, replayed=True)
        base = await base_of(it, call, if_match)
        saved = await save_workflow(it, commands, intent, document, workflow_id=workflow_id, base=base)
        more = shown.saved_hooks(saved.hooks, replayed=saved.repeated)
        return answer(intent, saved.verdict, headers=etag_of(saved.verdict), more=more, replayed=saved.repeated)

    async def check(call: Call) -> web.StreamResponse:
        tenant = await current_tenant(it, call.tenant_id)
        _, checked = check_draft(await call.document(), tenant, it.catalogue, allow_unsigned=it.allow_unsigned_sources)
        return reply(200, {"document": checked.document, "high_risk": checked.high_risk})

    async def list_all(call: Call) -> web.StreamResponse:
        query = call.query(models.WorkflowQuery)
        page = await it.queries.list_workflows(
            call.tenant_id, enabled=query.enabled, archived=query.archived, cursor=query.cursor, limit=query.limit
        )
        items = [shown.workflow(each, hooks_of(it, each)) for each in page.items]
        return reply(200, models.WorkflowList(items=items, next_cursor=page.next_cursor))

    async def get(call: Call) -> web.StreamResponse:
        found = await it.queries.get_workflow(call.tenant_id, call.path("id"))
        if found is None:
            raise unknown_workflow(call.path("id"))
        return reply(200, shown.workflow(found, hooks_of(it, found)), {"ETag": etag(found.newest.revision)})

    async def run(call: Call) -> web.StreamResponse:
        wanted = await call.input(run_models.RunInput, exact_below="inputs")
        intent = await intend(call, commands, wanted.model_dump(mode="json"))
        verdict, run_id = await commands.earlier(intent, RUNS), run_id_of(intent, call.path("id"))
        replayed = verdict is not None
        if verdict is None:
            verdict = await request_run(it, commands, intent, call.path("id"), wanted.inputs)
        headers = {"Location": f"/api/v1/runs/{run_id}"}
        return answer(intent, verdict, more={"run_id": run_id}, headers=headers, replayed=replayed)

    missing = {404: "There is no such workflow."}
    bytes_max = it.settings.body_bytes_max
    return [
        Route(
            method="POST",
            path="/api/v1/workflows",
            handler=create,
            summary="Save a new workflow",
            description="The document is checked whole: every flaw comes back with its place. JSON or YAML. The answer names "
            "the inbound URLs that its triggers ask for, with the secrets made for them, once.",
            tag="workflows",
            roles=(WRITE,),
            request=WorkflowDocument,
            yaml=True,
            query=models.NewWorkflowQuery,
            headers=(IDEMPOTENCY_KEY,),
            responses={
                201: Returns(description="Saved.", model=models.WorkflowSavedAnswer, headers=WITH_ETAG),
                202: PENDING,
            },
            errors={404: NO_TENANT, 409: "The name is taken, or the plan allows no more workflows."},
            body_bytes_max=bytes_max,
        ),
        Route(
            method="POST",
            path="/api/v1/workflows/check",
            handler=check,
            summary="Check a workflow without saving it",
            description="Everything that saving checks but whether its name is free. Answered with the document as it would "
            "be kept, every default in it.",
            tag="workflows",
            roles=(READ,),
            request=WorkflowDocument,
            yaml=True,
            responses={200: Returns(description="It could be saved.", model=models.WorkflowChecked)},
            errors={404: NO_TENANT},
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
            responses={200: Returns(description="The workflow.", model=models.WorkflowAnswer, headers=WITH_ETAG)},
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
            headers=(IF_MATCH, IDEMPOTENCY_KEY),
            responses={
                200: Returns(description="Saved.", model=models.WorkflowSavedAnswer, headers=WITH_ETAG),
                202: PENDING,
            },
            errors={
                **missing,
                409: "The name is taken, or the workflow is archived.",
                412: STALE,
                428: "If-Match is missing.",
            },
            body_bytes_max=bytes_max,
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
            errors={**missing, 409: "The workflow is disabled or archived, or has no manual trigger."},
            body_bytes_max=min(INPUTS_BYTES_MAX, bytes_max),
        ),
    ]
