"""What the routes stand on: no bus and no outgoing client among it, so nothing tried here can have an effect."""

from dataclasses import dataclass

from services.backtests.service.asking import Asking
from services.backtests.service.jobs import Backtests
from services.backtests.service.trials import Trials
from services.backtests.settings import BacktestsSettings
from shared.domain.clock import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestsDependencies:
    """Built in the composition root."""

    trials: Trials
    asking: Asking
    backtests: Backtests
    clock: Clock
    settings: BacktestsSettings
