"""What `upshot backtest` says of a draft that could not be saved: the file's own line and place, as `upshot apply` does."""

from pathlib import Path

import pytest

from services.cli.as_code.files import parse_file
from services.cli.backtesting import flaw_line
from shared.domain.errors import Flaw

FILE = parse_file(Path("alert.yaml"), b"name: Alert\ntrigger: {event: a.b}\nif: 'event.x >'\n")


@pytest.mark.parametrize(
    ("pointer", "told"),
    [
        ("#/workflow/if", "alert.yaml:3: #/if: no"),
        ("#/workflow", "alert.yaml:1: #: no"),
        ("#/since", "alert.yaml: #/since: no"),
        ("#/workflow_id", "alert.yaml: #/workflow_id: no"),
    ],
)
def test_a_flaw_of_the_draft_is_told_with_its_line(pointer: str, told: str) -> None:
    assert flaw_line("alert.yaml", FILE, Flaw(pointer=pointer, detail="no")) == told
