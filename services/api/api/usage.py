"""/api/v1/usage: the tenant's plan, what it allows, and what of that is used."""

from aiohttp import web

from services.api.api import models
from services.api.api.answering import NO_TENANT
from services.api.service.ports import ApiDependencies
from services.api.service.tenants import current_tenant
from shared.domain.runs.days import month_of, next_month
from shared.runtime.http import READ, Call, Returns, Route, reply

MONTHS_SHOWN = 12
"""A year is what people compare with; older months stay in the read model."""


def routes(it: ApiDependencies) -> list[Route]:
    async def get(call: Call) -> web.StreamResponse:
        tenant = await current_tenant(it, call.tenant_id)
        months = await it.queries.monthly_runs(call.tenant_id, MONTHS_SHOWN)
        now = it.clock.now()
        month = month_of(now)
        answer = models.UsageAnswer(
            plan=tenant.plan,
            workflows=models.WorkflowUsage(enabled=tenant.enabled_workflows, quota=tenant.quotas.workflows),
            runs=models.RunUsage(
                month=month,
                admitted=months.get(month, 0),
                quota=tenant.quotas.runs_per_month,
                resets_at=next_month(now),
            ),
            months=[models.MonthAnswer(month=each, admitted=runs) for each, runs in months.items()],
        )
        return reply(200, answer)

    return [
        Route(
            method="GET",
            path="/api/v1/usage",
            handler=get,
            summary="Show the plan and what of it is used",
            description="A workflow beyond the plan is refused on saving or enabling it; a run beyond it is skipped with the "
            "reason `plan_runs_per_month`. An operator changes plans with `upshot tenant plan`.",
            tag="usage",
            roles=(READ,),
            responses={200: Returns(description="The tenant's.", model=models.UsageAnswer)},
            errors={404: NO_TENANT},
        )
    ]
