"""`upshot log`: its words and options. Next: `log_segments.py`, `log_copying.py`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from services.cli.words import run

log_app = typer.Typer(help="The log of record.", no_args_is_help=True)

Segments = Annotated[list[str], typer.Argument(metavar="SEGMENT…", help="As `upshot log segments` names them.")]


@log_app.command("segments")
def log_segments(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a segment instead of a table.")] = False,
) -> None:
    """The PostgreSQL log's segments: which offsets, how large, and where their records lie."""
    from services.cli.log_segments import show_segments
    from shared.runtime.settings import read_settings

    run(show_segments(read_settings(), in_json=as_json))


@log_app.command("export")
def log_export(
    segments: Segments,
    folder: Annotated[Path, typer.Option("--to", help="A folder that outlives this machine's disk.")],
) -> None:
    """Write what partitions have closed of segments to compressed files, and read them back."""
    from services.cli.log_segments import export
    from shared.runtime.settings import read_settings

    run(export(read_settings(), segments, folder))


@log_app.command("detach")
def log_detach(segments: Segments) -> None:
    """Free the tables of exported segments: what they held is read from the files."""
    from services.cli.log_segments import detach
    from shared.runtime.settings import read_settings

    run(detach(read_settings(), segments))


@log_app.command("attach")
def log_attach(segments: Segments) -> None:
    """Bring detached segments back from their files into tables."""
    from services.cli.log_segments import attach
    from shared.runtime.settings import read_settings

    run(attach(read_settings(), segments))


@log_app.command("copy")
def log_copy(
    to: Annotated[str, typer.Option("--to", help="kafka, kafka://HOST:PORT/PREFIX or postgresql://…")],
    partitions: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Of the target's topics; else what its settings say.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Although members of the log's groups are alive.")] = False,
) -> None:
    """Move the whole log to another one, and the read model with it. Killed, it goes on when it is called again."""
    from services.cli.log_copying import run_copy
    from shared.runtime.settings import read_settings

    sys.exit(run(run_copy(read_settings(), to, partitions, force=force)))
