"""How the demo looks: lines as it goes on, tables, the trace, and what to try next. Shows; decides nothing."""

import sys
from collections.abc import Sequence

import orjson
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.tree import Tree

from services.demo.deliveries import SOURCES
from services.demo.recovered import Recovered
from services.demo.story import Expectation, Outcome
from shared.domain.clock import Clock

_WIDTH_WITHOUT_TERMINAL = 150
_STYLES = {"succeeded": "green", "denied": "yellow", "failed": "red", "pending_approval": "cyan"}


class Teller:
    """Writes to stdout, each line with the seconds since the start."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._begun = clock.monotonic()
        width = None if sys.stdout.isatty() else _WIDTH_WITHOUT_TERMINAL
        self.console = Console(width=width, highlight=False)

    def say(self, text: str) -> None:
        self.console.print(f"[dim]{self.seconds:5.1f} s[/]  {text}")
        sys.stdout.flush()

    @property
    def seconds(self) -> float:
        return self._clock.monotonic() - self._begun

    def heading(self, text: str) -> None:
        self.console.print(f"\n[bold]{text}[/]")

    def lines(self, lines: Sequence[str]) -> None:
        for line in lines:
            self.console.print(f"         {escape(line)}")

    def recovered(self, it: Recovered) -> None:
        """What an earlier start left."""
        runs = ", ".join(f"{count} {status}" for status, count in sorted(it.runs_by_status.items())) or "none"
        self.heading(f"Recovered from the log: {it.events} events, runs: {runs}")
        if it.rows:
            table = _table("delivery", "event", "workflow", "now", title=f"the batch of {it.at}")
            for seen, run in it.rows:
                name = run["workflow_name"] if run else "-"
                table.add_row(
                    f"{seen.vendor} {seen.title}", seen.event_type, name, _styled(run["status"] if run else "-")
                )
            self.console.print(table)

    def outcomes(self, outcomes: Sequence[Outcome]) -> None:
        """What became of each delivery."""
        self.heading("What became of each delivery")
        table = _table("delivery", "answer", "event", "workflow", "what became of it")
        for each in outcomes:
            run = each.run
            table.add_row(
                f"{SOURCES[each.planned.source]} {each.planned.title}",
                str(each.status),
                each.event["type"] if each.event else "-",
                run["workflow_name"] if run else "-",
                _fate(each),
            )
        self.console.print(table)

    def trace(self, tree: Tree, outcome: Outcome) -> None:
        """The causal chain, and what the receiver says at its end."""
        self.heading("One causal chain, read from the log")
        received = outcome.received
        if received is not None:
            judged = "[green]holds[/]" if outcome.signature_holds else "[red]does not hold[/]"
            end = tree
            while end.children:
                end = end.children[0]  # this run's causes are one line, down to the attempt's end
            told = end.add(
                f"[bold]receiver[/] got {received.method} {received.path_qs} as {escape(received.webhook_id)}"
            )
            told.add(escape(received.body.decode()))
            told.add(f"its signature {judged} under the endpoint's secret, by the receiver's own reckoning")
        self.console.print(tree)

    def verdict(self, expectations: Sequence[Expectation]) -> None:
        failed = [each for each in expectations if not each.held]
        self.console.print()
        for each in failed:
            self.console.print(
                f"[red]not as expected[/]: {escape(each.what)}; found: {escape(each.found or 'nothing')}"
            )
        held = len(expectations) - len(failed)
        self.say(f"{'[green]' if not failed else '[red]'}{held} of {len(expectations)} expectations held[/]")

    def invitation(
        self, url: str, ingest_url: str, token: str, *, trace_command: str, run_id: str, number: int, stays: bool
    ) -> None:
        """Printed as it is, unwrapped: lines that can be copied."""
        event = {
            "specversion": "1.0",
            "id": f"try-{number}",
            "source": "/shop",
            "type": "order.created",
            "subject": "1001",
            "data": {"order_id": "1001", "amount_minor": 99900, "currency": "EUR"},
        }
        bearer = f"-H 'Authorization: Bearer {token}'"
        after = "the data stays, and the next start picks it up" if stays else "nothing of it stays"
        self.heading(f"Still serving. Ctrl-C ends it; {after}.")
        print(f"url:    {url}   (its interface, described: {url}/docs)")
        print(f"token:  {token}")
        print("\nAn event of your own, the runs that there are, and everything about the one above:\n")
        print(
            f"curl -s -X POST {ingest_url}/events {bearer} -H 'Content-Type: application/cloudevents+json'"
            f" -d '{orjson.dumps(event).decode()}'\n"
        )
        print(f"curl -s {bearer} '{url}/api/v1/runs?limit=5'\n")
        print(f"curl -s {bearer} '{url}/api/v1/runs/{run_id}'\n")
        print(f"The same chain as above: {trace_command}", flush=True)


def _fate(outcome: Outcome) -> str:
    planned, run = outcome.planned, outcome.run
    if planned.fate == "refused":
        return "[yellow]refused[/]: the signature does not hold"
    if planned.fate == "duplicate":
        return "the same event: known already, no second run"
    if run is None:
        return "kept; no workflow asks for it"
    decisions = (run.get("approval") or {}).get("decisions") or []
    by = ", ".join(f"{each['decision']} by {each['actor']}" for each in decisions)
    status = "" if planned.fate == "denied" else f"{', ' if by else ''}{_styled(run['status'])}"
    judged = f", signature {'holds' if outcome.signature_holds else '[red]fails[/]'}" if outcome.received else ""
    return f"{escape(by)}{status}{judged}"


def _styled(status: str) -> str:
    style = _STYLES.get(status)
    return f"[{style}]{status}[/]" if style else status


def _table(*columns: str, title: str | None = None) -> Table:
    table = Table(title=title, title_justify="left", title_style="dim")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
