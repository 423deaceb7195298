"""What more than one kind of test needs: a place for real servers' data. Next: `e2e/conftest.py`."""

from collections.abc import Iterator

import pytest

from shared.testing.workspace import Workspace, workspace


@pytest.fixture(scope="session")
def space() -> Iterator[Workspace]:
    """One short folder for all servers of this session; at its end every process in it is ended."""
    with workspace() as it:
        yield it
