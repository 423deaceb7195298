"""The catalogue and the actions that there are: what trying a workflow is handed."""

import pytest

from services.executor.actions import discover_actions
from services.matcher.triggers import discover_triggers
from services.previews import ActionPreviews
from shared.workflows.catalogue import Catalogue


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    return Catalogue(actions=discover_actions(), triggers=discover_triggers(), event_schemas={})


@pytest.fixture(scope="session")
def previewer() -> ActionPreviews:
    return ActionPreviews(discover_actions())
