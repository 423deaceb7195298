"""A member that its group refuses ends its process, whatever the group is about just then."""

import asyncio

import pytest

from shared.domain.errors import PermanentError
from tests.contract.matcher_stream.faust_alone import alone

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_member_that_is_refused_in_the_middle_of_a_rebalance_does_not_wait_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with alone(monkeypatch) as it:
        await it.begin_rebalance()
        it.thread.refusal = PermanentError("another process joined under this name")
        with pytest.raises(PermanentError, match="joined under this name"):
            await asyncio.wait_for(asyncio.shield(it.running), 10)
