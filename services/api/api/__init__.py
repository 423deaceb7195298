"""The API's routes, one module for each kind of thing: parse, call the service, answer.

`models.py` is what goes in and out, `answering.py` what every command has in common.
"""

from services.api.api import (
    approvals,
    commands,
    endpoints,
    events,
    explain,
    hooks,
    lifecycle,
    revisions,
    runs,
    sources,
    templates,
    usage,
    workflows,
)
from services.api.service.commands import Commands
from services.api.service.explaining import Explainer
from services.api.service.log_reader import LogReader
from services.api.service.ports import ApiDependencies
from shared.runtime.http import About, Route
from shared.runtime.http.health import health_routes

ABOUT = About(
    title="Upshot API",
    version="1",
    description="Vendor webhooks and domain events in, matched against your workflows; signed deliveries out; everything "
    "explained.\n\nEvery change is a command: it is appended to the log, and answered with what the log's fold made of it. "
    "Give each one an Idempotency-Key, and repeating it is safe. Errors are RFC 9457 problems; lists are "
    "`{items, next_cursor}`; the tenant is the token's.",
    tags=(
        ("ingest", "Where vendors and upstream services deliver to."),
        ("sources", "Vendor integrations that receive deliveries."),
        ("endpoints", "Your URLs that deliveries go to."),
        ("workflows", "What should follow from what happens."),
        ("templates", "Workflows to begin with."),
        ("backtests", "What a workflow would have made of the past."),
        ("runs", "One execution of a workflow's revision each."),
        ("approvals", "Human decisions that runs wait for."),
        ("events", "What happened."),
        ("usage", "What your plan allows, and what of it is used."),
        ("commands", "What became of a change whose verdict was not known yet."),
        ("health", "For whoever runs the platform."),
        ("about", "This description."),
    ),
)


def routes(it: ApiDependencies) -> list[Route]:
    """All of the API's part of the route table."""
    carrying = Commands(it)
    log = LogReader(it.bus, it.settings.log_read_timeout_seconds)
    return [
        *sources.routes(it, carrying),
        *endpoints.routes(it, carrying),
        *workflows.routes(it, carrying),
        *revisions.routes(it, carrying),
        *lifecycle.routes(it, carrying),
        *hooks.routes(it, carrying),
        *templates.routes(),
        *runs.routes(it, carrying, log),
        *approvals.routes(it, carrying, log),
        *events.routes(it, log),
        *explain.routes(it, Explainer(it)),
        *usage.routes(it),
        *commands.routes(it),
        *health_routes(it.readiness, it.metrics_page),
    ]
