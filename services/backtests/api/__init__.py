"""The routes: `trials.py` for one event, `backtests.py` for the past; `models.py` is what goes in and out."""

from collections.abc import Sequence

from services.backtests.api import backtests, trials
from services.backtests.api.dependencies import BacktestsDependencies
from shared.runtime.http import Route

__all__ = ["BacktestsDependencies", "routes"]


def routes(it: BacktestsDependencies) -> Sequence[Route]:
    """This service's part of the route table."""
    return [*trials.routes(it), *backtests.routes(it)]
