"""POST /api/v1/workflows/test: a workflow tried on one event."""

from aiohttp import web

from services.backtests.api import models
from services.backtests.api.dependencies import BacktestsDependencies
from services.backtests.service.subjects import Asked
from shared.runtime.http import READ, Call, Returns, Route, reply


def routes(it: BacktestsDependencies) -> list[Route]:
    async def test(call: Call) -> web.StreamResponse:
        given = await call.input(models.TrialInput, exact_below="workflow")
        subject, event, trial = await it.trials.run(
            call.tenant_id,
            Asked(document=given.workflow, workflow_id=given.workflow_id, revision=given.revision),
            event=given.event,
            event_id=given.event_id,
            outputs=given.steps,
            author=call.caller.subject,
        )
        tried = subject.candidate.workflow
        return reply(
            200,
            models.TrialAnswer(
                workflow=models.TriedWorkflow(
                    id=subject.saved.id if subject.saved is not None else None,
                    name=tried.name,
                    revision=tried.newest.number,
                    is_draft=subject.is_draft,
                ),
                event=models.TriedEvent(
                    id=event.id, type=event.type, source=event.source, subject=event.subject, time=event.time
                ),
                matched=trial.matched,
                why=trial.why,
                approval=trial.approval,
                limits=trial.limits,
                cooldown_key=trial.cooldown_key,
                held=trial.held,
                steps=list(trial.steps),
            ),
        )

    return [
        Route(
            method="POST",
            path="/api/v1/workflows/test",
            handler=test,
            summary="Try a workflow on one event, without any effect",
            description="Answers whether it matches and why, whether it would wait for an approval, and each step as it "
            "would be sent. Nothing is appended and nothing is sent; signatures are not made, secrets not read.",
            tag="workflows",
            roles=(READ,),
            request=models.TrialInput,
            responses={200: Returns(description="What would happen.", model=models.TrialAnswer)},
            errors={404: "There is no such workflow, revision or event."},
        )
    ]
