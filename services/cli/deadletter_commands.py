"""`upshot deadletters`: its words and options. Next: `deadletters.py`."""

import sys
from datetime import datetime
from typing import Annotated

import typer

from services.cli.words import instant, run, span
from shared.domain.errors import Flaw, InvalidInput

letters_app = typer.Typer(
    help="What could not be understood: list, show, redrive. For operators.", no_args_is_help=True
)

Topic = Annotated[str | None, typer.Option(help="Records that lay in this topic.")]
Partitions = Annotated[str, typer.Option(help="Records that lay in these partitions: 7, or 0-15.")]
Reason = Annotated[str, typer.Option(help="Letters whose reason holds this text, in any case.")]
Since = Annotated[str, typer.Option(help="Told so long ago at most: 24h, 30d; or since an instant.")]
Limit = Annotated[int, typer.Option(min=1, help="At most so many, the oldest.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a letter.")]


@letters_app.command("list")
def deadletters_list(
    topic: Topic = None,
    partitions: Partitions = "",
    reason: Reason = "",
    since: Since = "",
    limit: Limit = 100,
    waiting: Annotated[bool, typer.Option("--waiting", help="Leave out what was redriven.")] = False,
    as_json: AsJson = False,
) -> None:
    """Dead letters, oldest first: when, where the record lay, why, and whether it was redriven."""
    from services.cli.deadletters import Wanted, list_letters
    from shared.runtime.settings import read_settings

    wanted = Wanted(topic=topic, partitions=span(partitions), reason=reason, since=_since(since))
    run(list_letters(read_settings(), wanted, limit=limit, waiting=waiting, in_json=as_json))


@letters_app.command("show")
def deadletters_show(
    letter: Annotated[
        str, typer.Argument(metavar="ID", help="topic/partition/offset, as listed; in a copied log, the log before it.")
    ],
    as_json: AsJson = False,
) -> None:
    """One letter: the record with all its headers, its key and its value, and what was wrong with it."""
    from services.cli.deadletters import show_letter
    from shared.runtime.settings import read_settings

    run(show_letter(read_settings(), letter, in_json=as_json))


@letters_app.command("redrive")
def deadletters_redrive(
    letters: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="These; else by the options.")] = None,
    topic: Topic = None,
    partitions: Partitions = "",
    reason: Reason = "",
    since: Since = "",
    limit: Limit = 100,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Append nothing; say what would become of each.")] = False,
    as_json: AsJson = False,
) -> None:
    """Read letters again with today's code and append them as events of the same id; 1 where some still are none."""
    from services.cli.deadletters import Wanted
    from services.cli.deadletters import redrive as run_redrive
    from shared.runtime.settings import read_settings

    if not (letters or topic or partitions or reason or since):
        raise InvalidInput(
            "say which", [Flaw(pointer="ID", detail="name letters, or narrow by an option: --since 30d")]
        )
    wanted = Wanted(ids=letters or (), topic=topic, partitions=span(partitions), reason=reason, since=_since(since))
    sys.exit(run(run_redrive(read_settings(), wanted, limit=limit, dry_run=dry_run, in_json=as_json)))


def _since(text: str) -> datetime | None:
    from shared.runtime.clock import SystemClock

    return instant(text, SystemClock().now(), "--since") if text else None
