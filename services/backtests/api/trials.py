"""POST /api/v1/workflows/test: a workflow tried on one event."""

from typing import Any

from aiohttp import web

from services.backtests.api import models
from services.backtests.api.dependencies import BacktestsDependencies
from services.backtests.core.trial import Trial
from services.backtests.service.subjects import Asked
from services.backtests.service.trials import On
from shared.bus.cloudevents_json import member_text
from shared.domain.envelope import Event
from shared.runtime.http import READ, Call, Returns, Route, reply
from shared.workflows.decide import event_data


def routes(it: BacktestsDependencies) -> list[Route]:
    async def test(call: Call) -> web.StreamResponse:
        given = await call.input(models.TrialInput, exact_below="workflow")
        tried = await it.trials.run(
            call.tenant_id,
            Asked(document=given.workflow, workflow_id=given.workflow_id, revision=given.revision),
            On(
                event=given.event,
                data=member_text(await call.body(), "event", "data") if given.event is not None else None,
                event_id=given.event_id,
                firings=given.firings,
                at=given.at,
            ),
            outputs=given.steps,
            author=call.caller.subject,
        )
        workflow, first = tried.subject.candidate.workflow, tried.trials[0]
        return reply(
            200,
            models.TrialAnswer(
                workflow=models.TriedWorkflow(
                    id=tried.subject.saved.id if tried.subject.saved is not None else None,
                    name=workflow.name,
                    revision=workflow.newest.number,
                    is_draft=tried.subject.is_draft,
                ),
                firings=[_firing(event, trial) for event, trial in tried.trials] if given.firings is not None else [],
                **_tried(*first),
            ),
        )

    return [
        Route(
            method="POST",
            path="/api/v1/workflows/test",
            handler=test,
            summary="Try a workflow on one event or on its next firings, without any effect",
            description="Answers whether it matches and why, whether it would wait for an approval, and each step as it "
            "would be sent. Nothing is appended and nothing is sent; signatures are not made, secrets not read.",
            tag="workflows",
            roles=(READ,),
            request=models.TrialInput,
            responses={200: Returns(description="What would happen.", model=models.TrialAnswer)},
            errors={404: "There is no such workflow, revision or event."},
        )
    ]


def _tried(event: Event, trial: Trial) -> dict[str, Any]:  # Any: members of models that differ
    return {
        "event": models.TriedEvent(
            id=event.id, type=event.type, source=event.source, subject=event.subject, time=event.time
        ),
        "matched": trial.matched,
        "why": trial.why,
        "approval": trial.approval,
        "limits": trial.limits,
        "cooldown_key": trial.cooldown_key,
        "held": trial.held,
        "steps": list(trial.steps),
    }


def _firing(event: Event, trial: Trial) -> models.TriedFiring:
    data = event_data(event)
    if event.time is None or not isinstance(data, dict):
        raise AssertionError("a firing says when it was planned")
    return models.TriedFiring(planned_at=event.time, data=data, **_tried(event, trial))
