"""Progress streams are bounded, and no tenant takes those of the others."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request

from services.backtests.api.backtests import routes
from services.backtests.settings import BacktestsSettings
from shared.runtime.http import HttpProblem


class Endless:
    """Backtests that never come to anything."""

    def get(self, tenant_id: str, backtest_id: str) -> tuple[str, str]:
        return tenant_id, backtest_id

    async def changes(self, backtest: object, *, timeout_seconds: float) -> AsyncIterator[bool]:
        del backtest, timeout_seconds
        await asyncio.Event().wait()
        yield True


@dataclass
class Call:
    tenant_id: str
    request: Any

    def path(self, name: str) -> str:
        return name


class Follower:
    """Opens streams by the route's own handler."""

    def __init__(self, settings: BacktestsSettings) -> None:
        it: Any = SimpleNamespace(backtests=Endless(), settings=settings, clock=None)
        self._handler = next(each.handler for each in routes(it) if each.path.endswith("/stream"))
        self._open: list[asyncio.Task[Any]] = []

    async def follow(self, tenant_id: str) -> asyncio.Task[Any]:
        """The stream, once it is open. Raises HttpProblem where it is refused."""
        call: Any = Call(tenant_id, make_mocked_request("GET", "/"))
        task = asyncio.ensure_future(self._handler(call))
        self._open.append(task)
        for _ in range(10):
            await asyncio.sleep(0)
        if task.done():
            task.result()
        return task

    async def refused(self, tenant_id: str) -> str:
        with pytest.raises(HttpProblem) as caught:
            await self.follow(tenant_id)
        assert caught.value.status == 429
        return str(caught.value.detail)

    async def leave(self, *tasks: asyncio.Task[Any]) -> None:
        for task in tasks or self._open:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, HttpProblem):
                await task


async def test_one_tenants_streams_leave_room_for_others() -> None:
    follower = Follower(BacktestsSettings(streams_max=3, streams_per_tenant_max=2))
    first, _ = await follower.follow("acme"), await follower.follow("acme")
    assert "UPSHOT_BACKTESTS_STREAMS_PER_TENANT_MAX" in await follower.refused("acme")
    await follower.follow("globex")
    assert "UPSHOT_BACKTESTS_STREAMS_MAX" in await follower.refused("globex")
    await follower.leave(first)
    await follower.follow("acme")
    await follower.leave()
