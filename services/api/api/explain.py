"""/api/v1/events/{id}/explain: why an event led to what it led to, and why to nothing else."""

from aiohttp import web

from services.api.api import explain_models
from services.api.api.explained import answer
from services.api.service.explaining import Explainer, Question
from services.api.service.level import find_event
from services.api.service.ports import ApiDependencies
from shared.runtime.http import READ, Call, Returns, Route, reply


def routes(it: ApiDependencies, explainer: Explainer) -> list[Route]:
    async def explain(call: Call) -> web.StreamResponse:
        query = call.query(explain_models.ExplainQuery)
        question = Question(
            event_id=call.path("id"),
            workflow=query.workflow,
            revision=query.revision,
            replay_id=query.replay,
            as_of=query.as_of,
        )
        await find_event(it, call.tenant_id, question.event_id)
        found = await explainer.explain(call.tenant_id, question)
        return reply(200, answer(found, cursor=query.cursor, limit=query.limit))

    return [
        Route(
            method="GET",
            path="/api/v1/events/{id}/explain",
            handler=explain,
            summary="Explain why an event started a workflow, or did not",
            description="For one workflow, or for all of the tenant, by the share of their clauses that hold. Computed from the "
            "log with the definitions of that time (or today's); nothing is stored. Values under keys that name secrets "
            "read `(hidden)`.",
            tag="events",
            roles=(READ,),
            query=explain_models.ExplainQuery,
            responses={200: Returns(description="The explanation.", model=explain_models.ExplanationAnswer)},
            errors={404: "There is no such event, replay, workflow or revision: `type` says which."},
            invalid_status=400,
        )
    ]
