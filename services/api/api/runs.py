"""/api/v1/runs: what became of what was started."""

from aiohttp import web

from services.api.api import run_models, shown
from services.api.api.answering import IDEMPOTENCY_KEY, PENDING, answer, intend
from services.api.core.timeline import show_timeline
from services.api.service.commands import Commands
from services.api.service.log_reader import LogReader
from services.api.service.ports import ApiDependencies
from services.api.service.runs import cancel_run, resolve_step, show_run
from shared.bus.topics import RUNS
from shared.runtime.http import EXECUTE, READ, Call, Returns, Route, reply


def routes(it: ApiDependencies, commands: Commands, log: LogReader) -> list[Route]:
    async def list_all(call: Call) -> web.StreamResponse:
        query = call.query(run_models.RunQuery)
        workflow_id = query.workflow
        if workflow_id is not None:
            named = await it.queries.get_workflow_named(call.tenant_id, workflow_id)
            workflow_id = named.workflow_id if named is not None else workflow_id
        page = await it.queries.list_runs(
            call.tenant_id, workflow_id=workflow_id, status=query.status, cursor=query.cursor, limit=query.limit
        )
        return reply(
            200, run_models.RunList(items=[shown.run(each) for each in page.items], next_cursor=page.next_cursor)
        )

    async def get(call: Call) -> web.StreamResponse:
        found = await show_run(it, log, call.tenant_id, call.path("id"))
        detail = found.run
        approval = shown.approval(found.approval).model_dump(mode="json") if found.approval is not None else None
        return reply(
            200,
            {
                **shown.run(detail.run).model_dump(mode="json"),
                "inputs": detail.inputs,
                "steps": detail.steps,
                "correlation_id": detail.correlation_id,
                "causation_id": detail.causation_id,
                "traceparent": detail.traceparent,
                "approval": approval,
                "timeline": show_timeline(detail.run.run_id, found.entries),
                "timeline_left_out": found.left_out,
            },
        )

    async def cancel(call: Call) -> web.StreamResponse:
        wanted = await call.input(run_models.CancelInput)
        intent = await intend(call, commands, wanted.model_dump(mode="json"))
        verdict = await commands.earlier(intent, RUNS)
        replayed = verdict is not None
        if verdict is None:
            verdict = await cancel_run(it, commands, intent, call.path("id"), wanted.reason)
        return answer(intent, verdict, replayed=replayed)

    async def resolve(call: Call) -> web.StreamResponse:
        wanted = await call.input(run_models.ResolveInput)
        intent = await intend(call, commands, wanted.model_dump(mode="json"))
        verdict = await commands.earlier(intent, RUNS)
        replayed = verdict is not None
        if verdict is None:
            verdict = await resolve_step(
                it,
                commands,
                intent,
                call.path("id"),
                call.path("step"),
                number=wanted.number,
                resolution=wanted.resolution,
                reason=wanted.reason,
            )
        return answer(intent, verdict, replayed=replayed)

    return [
        Route(
            method="GET",
            path="/api/v1/runs",
            handler=list_all,
            summary="List runs, newest first",
            tag="runs",
            roles=(READ,),
            query=run_models.RunQuery,
            responses={200: Returns(description="A page.", model=run_models.RunList)},
            invalid_status=400,
        ),
        Route(
            method="GET",
            path="/api/v1/runs/{id}",
            handler=get,
            summary="Show a run, with every record about it",
            description="The timeline is read from the log: first the event, then each record with its cause.",
            tag="runs",
            roles=(READ,),
            responses={200: Returns(description="The run.", model=run_models.RunDetailAnswer)},
            errors={404: "There is no such run."},
        ),
        Route(
            method="POST",
            path="/api/v1/runs/{id}/cancel",
            handler=cancel,
            summary="Cancel a run",
            description="Steps that are under way end; no other begins.",
            tag="runs",
            roles=(EXECUTE,),
            request=run_models.CancelInput,
            headers=(IDEMPOTENCY_KEY,),
            responses={200: Returns(description="Cancelled.", model=run_models.RunChanged), 202: PENDING},
            errors={404: "There is no such run.", 409: "The run has ended."},
            body_bytes_max=it.settings.body_bytes_max,
        ),
        Route(
            method="POST",
            path="/api/v1/runs/{id}/steps/{step}/resolve",
            handler=resolve,
            summary="Say how a step ended that nobody knows the end of",
            description="For a step of status `unknown`: an unsafe attempt was begun, and the process ended.",
            tag="runs",
            roles=(EXECUTE,),
            request=run_models.ResolveInput,
            headers=(IDEMPOTENCY_KEY,),
            responses={200: Returns(description="Resolved.", model=run_models.StepResolvedAnswer), 202: PENDING},
            errors={404: "There is no such run.", 409: "There is nothing to resolve."},
            body_bytes_max=it.settings.body_bytes_max,
        ),
    ]
