"""`upshot rebuild`: folds the read models anew, beside a running platform or without one, and says what came of it."""

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from services.foundation import foundation
from services.projector.service.rebuild import RebuildProgress, RebuildReport, rebuild, verify
from shared.domain.errors import UpshotError
from shared.runtime.settings import UpshotSettings


async def run_rebuild(settings: UpshotSettings, *, switch: bool) -> int:
    """Rebuild (or, without `switch`, compare only); 0 where the new read models are equal, or replaced another version's."""
    console = Console(stderr=True)
    columns = (TextColumn("folding"), BarColumn(), MofNCompleteColumn(), TextColumn("records"), TimeElapsedColumn())
    async with foundation(settings) as ground:
        with Progress(*columns, console=console, transient=True) as shown:
            task = shown.add_task("folding", total=None)

            def on_progress(progress: RebuildProgress) -> None:
                shown.update(task, completed=progress.folded, total=progress.total)

            work = rebuild if switch else verify
            try:
                report = await work(ground.bus, ground.readmodel, ground.clock, on_progress)
            except UpshotError as error:
                console.print(f"[red]nothing was changed:[/red] {error}", highlight=False)
                return 1
    _print(Console(), report, switch=switch)
    return 0 if not report.differences else 1


def _print(console: Console, report: RebuildReport, *, switch: bool) -> None:
    table = Table("table", "rows", "checksum")
    for name, checksum in report.tables.items():
        table.add_row(name, str(checksum.rows), checksum.hash)
    console.print(table)
    console.print(
        f"{report.records} records folded in {report.seconds:.1f} s; writers waited {report.held_seconds:.1f} s.",
        highlight=False,
    )
    for each in report.differences:
        owner = f" of tenant {each.tenant_id}" if each.tenant_id else ""
        console.print(f"[red]{each.table}{owner} differs:[/red] {', '.join(each.keys)}", highlight=False)
    if report.differences:
        console.print("Nothing was switched. The log is the truth: report this, with the lines above.", highlight=False)
    elif report.switched and report.comparable:
        console.print(f"Equal in every row. Generation {report.generation} is current.", highlight=False)
    elif report.switched:
        console.print(f"Generation {report.generation}, of this version's fold, is current.", highlight=False)
    elif report.comparable and not switch:
        console.print("Equal in every row.", highlight=False)
    else:
        console.print(
            "Folded; the live read models are another version's, so there was nothing to compare.", highlight=False
        )
