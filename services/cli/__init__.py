"""The `upshot` command. Service modules are imported inside commands, so that `upshot --help` stays quick.

Next: `commands.py` for what there is.
"""

import sys


def main() -> None:
    """Entry point: expected trouble is one line on stderr and exit 1, never a traceback."""
    from services.cli.commands import app
    from shared.domain.errors import UpshotError

    try:
        app()
    except UpshotError as error:
        sys.stderr.write(f"upshot: {error}\n")
        sys.exit(1)
