"""/api/v1/templates: workflows to begin with, the same for every tenant."""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from services.api.api import template_models as models
from shared.domain.errors import Flaw, InvalidInput
from shared.domain.json_text import read_json
from shared.runtime.http import READ, Call, HttpProblem, Returns, Route, reply
from shared.runtime.workflow_templates import workflow_templates
from shared.workflows.templates import Parameter, WorkflowTemplate, fill


def routes() -> list[Route]:
    async def list_all(call: Call) -> web.StreamResponse:
        del call
        items = [models.TemplateSummary(**_summary(each)) for each in workflow_templates().values()]
        return reply(200, models.TemplateList(items=items, next_cursor=None))

    async def get(call: Call) -> web.StreamResponse:
        found = workflow_templates().get(call.path("key"))
        if found is None:
            detail = f"there is no template {call.path('key')!r}; GET /api/v1/templates names them"
            raise HttpProblem(404, "unknown-template", detail)
        return reply(200, _answer(found, call.query(models.TemplateQuery).values))

    return [
        Route(
            method="GET",
            path="/api/v1/templates",
            handler=list_all,
            summary="List workflow templates, by key",
            description="Workflows to begin with. They come with this version and are the same for every tenant.",
            tag="templates",
            roles=(READ,),
            responses={200: Returns(description="All of them.", model=models.TemplateList)},
        ),
        Route(
            method="GET",
            path="/api/v1/templates/{key}",
            handler=get,
            summary="Show a workflow template, filled",
            description="`document` is ready for `POST /api/v1/workflows`, once the endpoints that it names exist.",
            tag="templates",
            roles=(READ,),
            query=models.TemplateQuery,
            responses={200: Returns(description="The template.", model=models.TemplateAnswer)},
            errors={404: "There is no such template."},
            invalid_status=400,
        ),
    ]


def _answer(template: WorkflowTemplate, values: str | None) -> models.TemplateAnswer:
    return models.TemplateAnswer(
        **_summary(template),
        parameters=[_parameter(each) for each in template.parameters],
        document=_filled(template, values),
        trial=dict(template.trial),
        examples=[models.TemplateExample.model_validate(each) for each in template.examples],
    )


def _summary(template: WorkflowTemplate) -> dict[str, Any]:  # Any: the members of one model
    return {
        "key": template.key,
        "name": template.name,
        "description": template.description,
        "tags": list(template.tags),
        "triggers": list(template.trigger_kinds),
    }


def _parameter(parameter: Parameter) -> models.TemplateParameter:
    is_integer = parameter.type == "integer"
    return models.TemplateParameter(
        name=parameter.name,
        type=parameter.type,
        description=parameter.description,
        default=dict(parameter.default) if isinstance(parameter.default, Mapping) else parameter.default,
        minimum=parameter.minimum if is_integer else None,
        maximum=parameter.maximum if is_integer else None,
    )


def _filled(template: WorkflowTemplate, values: str | None) -> dict[str, object]:
    try:
        named = read_json(values.encode()) if values is not None else {}
        if not isinstance(named, dict):
            raise InvalidInput("no values", [Flaw(pointer="#", detail='write a JSON object, {"<parameter>": <value>}')])
        return fill(template, named)
    except InvalidInput as error:
        flaws = [Flaw(pointer=f"?values{each.pointer.removeprefix('#')}", detail=each.detail) for each in error.flaws]
        raise HttpProblem(400, "invalid-query", "the template cannot be filled like this", flaws=flaws) from None
