"""`python -m services …` is the `upshot` command."""

from services.cli import main

main()
