"""A member that stops while its group rebalances, as all do that are stopped together."""

import asyncio

import pytest

from tests.contract.matcher_stream.faust_alone import alone

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_connections_are_closed_only_by_the_thread_that_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """By another they must not: it crashes the process now and then."""
    async with alone(monkeypatch) as it:
        it.running.cancel()
        await asyncio.gather(it.running, return_exceptions=True)
        await it.begin_rebalance()
        await it.end_rebalance(2)
        assert not it.thread.closed_from_outside
