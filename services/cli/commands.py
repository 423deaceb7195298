"""Every command: its words, its options and what it calls."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from services.cli.conformance_report import ConformanceReport
from services.cli.deadletter_commands import letters_app
from services.cli.log_commands import log_app
from services.cli.words import duration as _duration
from services.cli.words import instant as _instant
from services.cli.words import run as _run
from shared.domain.plans import DEFAULT_PLAN

app = typer.Typer(
    name="upshot",
    help="Event-sourced automation: webhooks and events in, explained workflow runs out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
tenant_app = typer.Typer(help="Tenants.", no_args_is_help=True)
conformance_app = typer.Typer(help="Our kernels against recorded cases.", no_args_is_help=True)
app.add_typer(tenant_app, name="tenant")
app.add_typer(letters_app, name="deadletters")
app.add_typer(log_app, name="log")

Url = Annotated[str, typer.Option(envvar="UPSHOT_URL", help="The platform; else UPSHOT_URL.")]
Token = Annotated[str, typer.Option(envvar="UPSHOT_TOKEN", help="A bearer token; else UPSHOT_TOKEN.")]
app.add_typer(conformance_app, name="conformance")


@app.command()
def up() -> None:
    """Start the platform: all services in one process. Prints one JSON line when it is ready."""
    from services.embedded import platform
    from services.running import serve
    from shared.runtime.settings import read_settings

    _run(serve(read_settings(), platform))


@app.command()
def ingest() -> None:
    """One service by itself: takes vendors' deliveries and upstream services' events."""
    _serve_alone("ingest")


@app.command()
def matcher() -> None:
    """One service by itself: joins events with workflows."""
    _serve_alone("matcher")


@app.command()
def executor() -> None:
    """One service by itself: runs' steps, attempts, retries and timers."""
    _serve_alone("executor")


@app.command()
def approvals() -> None:
    """One service by itself: deadlines of runs that wait for a person."""
    _serve_alone("approvals")


@app.command()
def api() -> None:
    """One service by itself: the HTTP interface of tenants."""
    _serve_alone("api")


@app.command()
def projector() -> None:
    """One service by itself: the log into tables."""
    _serve_alone("projector")


@app.command()
def demo(
    exit_after: Annotated[
        bool, typer.Option("--exit", help="End after the trace, non-zero if anything was off.")
    ] = False,
) -> None:
    """Real vendor webhooks through the whole platform, told as a table and one causal trace."""
    from services.demo import run_demo
    from shared.runtime.settings import read_settings

    sys.exit(_run(run_demo(read_settings(), exit_after=exit_after)))


@app.command()
def token(
    tenant: Annotated[str, typer.Option(help="The tenant's id.")],
    role: Annotated[
        list[str],
        typer.Option(
            help="automation:read, write, execute, approve, admin; events:write; or one of your own, with its prefix. Repeatable."
        ),
    ],
    ttl: Annotated[str, typer.Option(help="How long it lives: 30s, 15m, 24h, 7d.")] = "24h",
    subject: Annotated[str, typer.Option(help="Whom it speaks for; approvals count distinct ones.")] = "cli",
) -> None:
    """Print a bearer token."""
    from services.cli.roles import own_roles
    from services.foundation import data_dir_of
    from shared.runtime.clock import SystemClock, SystemRandomness
    from shared.runtime.http import issue_token
    from shared.runtime.secret_file import jwt_secret
    from shared.runtime.settings import read_settings

    for own in own_roles(role):
        print(f"upshot: no route asks for {own}; only a workflow's approval may", file=sys.stderr)
    settings = read_settings()
    configured = settings.jwt_secret.get_secret_value() if settings.jwt_secret is not None else None
    secret = jwt_secret(configured, data_dir_of(settings), SystemRandomness())
    lifetime = _duration(ttl)
    print(
        issue_token(
            secret,
            tenant_id=tenant,
            roles=role,
            subject=subject,
            ttl_seconds=int(lifetime.total_seconds()),
            now=SystemClock().now(),
        )
    )


@tenant_app.command("create")
def tenant_create(
    name: Annotated[str, typer.Argument(help="Lower-case letters, digits and hyphens; it is the tenant's id.")],
    plan: Annotated[str, typer.Option(help="free, team, business, unlimited, or one of UPSHOT_PLANS.")] = DEFAULT_PLAN,
) -> None:
    """Create a tenant."""
    from services.cli.tenants import create_one
    from shared.runtime.settings import read_settings

    print(_run(create_one(read_settings(), name, plan)))


@tenant_app.command("plan")
def tenant_plan(
    name: Annotated[str, typer.Argument(help="The tenant's id.")],
    plan: Annotated[str, typer.Argument(help="free, team, business, unlimited, or one of UPSHOT_PLANS.")],
) -> None:
    """Give a tenant another plan, or the numbers that its plan has by now."""
    from services.cli.tenants import give_plan
    from shared.runtime.settings import read_settings

    print(_run(give_plan(read_settings(), name, plan)))


@app.command()
def export(
    url: Url,
    token: Token,
    folder: Annotated[Path, typer.Option("--dir", help="Where the files go.")] = Path("workflows"),
) -> None:
    """Write one YAML file for each workflow in use. A file that means the same already stays as it is."""
    from services.cli.as_code.api import tenant_api
    from services.cli.as_code.export import export_workflows

    async def run() -> None:
        async with tenant_api(url, token) as api:
            for line in await export_workflows(api, folder):
                print(line)

    _run(run())


@app.command("apply")
def apply_(
    url: Url,
    token: Token,
    file: Annotated[Path, typer.Option("-f", "--file", help="A file, or a folder with all below it.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Change nothing; end with 2 where there is something to do.")
    ] = False,
    prune: Annotated[bool, typer.Option("--prune", help="Archive workflows that no file names.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Archive without asking.")] = False,
) -> None:
    """Make the platform's workflows agree with files: create, update, enable, disable, and archive with --prune."""
    from services.cli.as_code.api import tenant_api
    from services.cli.as_code.apply import ApplyOptions, apply_files

    def may_archive(count: int) -> bool:
        return yes or (sys.stdin.isatty() and typer.confirm(f"Archive {count}?"))

    async def run() -> int:
        async with tenant_api(url, token) as api:
            return await apply_files(api, file, ApplyOptions(dry_run=dry_run, prune=prune, may_archive=may_archive))

    sys.exit(_run(run()))


@app.command()
def backtest(
    what: Annotated[str, typer.Argument(metavar="FILE|WORKFLOW", help="A draft's file, or a saved workflow.")],
    url: Url,
    token: Token,
    since: Annotated[str, typer.Option(help="How far back: 24h, 30d; or an instant, 2026-03-01T00:00:00Z.")] = "30d",
    until: Annotated[str, typer.Option(help="Up to when, as --since; default: now.")] = "",
    revision: Annotated[int, typer.Option(help="Of a saved workflow; default: the newest.")] = 0,
    samples: Annotated[int, typer.Option(help="Matches to show in full; default: a few.")] = -1,
    as_json: Annotated[bool, typer.Option("--json", help="What the platform answers, as it is.")] = False,
) -> None:
    """What would this workflow have done? It is run over the past, without any effect."""
    from services.cli.as_code.api import tenant_api
    from services.cli.backtesting import BacktestOptions
    from services.cli.backtesting import backtest as run_backtest
    from shared.runtime.clock import SystemClock

    now = SystemClock().now()
    options = BacktestOptions(
        what=what,
        revision=revision or None,
        since=_instant(since, now, "--since"),
        until=_instant(until, now, "--until") if until else None,
        samples=samples if samples >= 0 else None,
        in_json=as_json,
    )

    async def run() -> int:
        async with tenant_api(url, token) as api:
            return await run_backtest(api, options)

    sys.exit(_run(run()))


@app.command()
def trace(
    what: Annotated[
        str, typer.Argument(metavar="EVENT|RUN|DELIVERY", help="An event's id, a run's id or a webhook-id.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a record instead of a tree.")] = False,
) -> None:
    """The whole causal chain around something, read from the log."""
    from services.cli.tracing import trace as run_trace
    from shared.runtime.settings import read_settings

    sys.exit(_run(run_trace(read_settings(), what, in_json=as_json)))


@app.command()
def explain(
    event: Annotated[str, typer.Argument(metavar="EVENT", help="An event's id.")],
    workflow: Annotated[
        str | None, typer.Argument(metavar="WORKFLOW", help="A workflow's id or name, then or now; without it all.")
    ] = None,
    revision: Annotated[int | None, typer.Option(min=1, help="As if this revision had been live.")] = None,
    as_of: Annotated[
        Literal["then", "now"], typer.Option(help="then: the workflows as they were; now: as they are.")
    ] = "then",
    replay: Annotated[str | None, typer.Option(help="Of this replay of the event.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Whose event it is; looked for where not given.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="Workflows shown.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="What the API answers, instead of text.")] = False,
) -> None:
    """Why an event started a workflow, or did not: the first clause that failed, or the run that it led to."""
    from services.cli.explaining import Asked
    from services.cli.explaining import explain as run_explain
    from shared.runtime.settings import read_settings

    asked = Asked(
        event_id=event,
        workflow=workflow,
        revision=revision,
        replay=replay,
        as_of=as_of,
        tenant=tenant,
        limit=limit,
    )
    _run(run_explain(read_settings(), asked, in_json=as_json))


@app.command()
def rebuild(
    verify: Annotated[bool, typer.Option("--verify", help="Compare only; do not switch.")] = False,
) -> None:
    """Fold every read model anew from the log beside the live ones, compare, and switch."""
    from services.cli.rebuilding import run_rebuild
    from shared.runtime.settings import read_settings

    sys.exit(_run(run_rebuild(read_settings(), switch=not verify)))


@app.command()
def migrate() -> None:
    """Bring database roles and schemas up to date. Starting does the same."""
    from services.cli.tenants import migrate_only
    from shared.runtime.settings import read_settings

    print(_run(migrate_only(read_settings())))


@app.command()
def doctor() -> None:
    """Check that everything is where it should be, and say what is not and how to mend it."""
    from services.cli.doctor import examine
    from shared.runtime.settings import read_settings

    sys.exit(_run(examine(read_settings())))


@app.command()
def templates(
    key: Annotated[str | None, typer.Argument(help="Which one; without it all are listed.")] = None,
    values: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A parameter's value. Repeatable.")
    ] = None,
) -> None:
    """Workflows to begin with: list them, or print one as YAML, filled and ready to be saved."""
    from services.cli.templates import list_templates, print_template

    print(list_templates() if key is None else print_template(key, values or []), end="")


@conformance_app.command("patterns")
def conformance_patterns(file: Path) -> None:
    """Event patterns: rows {id, pattern, event, expected}, as JSON or JSON Lines. Exit 1 where a row failed."""
    from services.cli.conformance_patterns import run_pattern_cases

    _report(run_pattern_cases(file))


@conformance_app.command("signatures")
def conformance_signatures(file: Path) -> None:
    """Signatures: rows {id, scheme, secret, headers, body, valid, now}, or secrets of endpoints {key, valid}."""
    from services.cli.conformance_signatures import run_signature_cases

    _report(run_signature_cases(file))


@conformance_app.command("schedules")
def conformance_schedules(file: Path) -> None:
    """Cron expressions: rows {id, expr, tz, start, expected_next, agree}."""
    from services.cli.conformance_schedules import run_schedule_cases

    _report(run_schedule_cases(file))


def _serve_alone(name: str) -> None:
    from services.processes import PROCESSES
    from services.running import serve
    from shared.runtime.settings import read_settings

    _run(serve(read_settings(), PROCESSES[name]))


def _report(report: ConformanceReport) -> None:
    for line in (*report.lines, report.summary):
        print(line.encode("utf-8", "backslashreplace").decode())  # a row may hold half of a surrogate pair
    sys.exit(report.exit_code)
