"""What a group has committed: no answer is taken for one that says that there is nothing."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from shared.bus.adapters.kafka.link import Link
from shared.bus.adapters.kafka.offsets import Offsets
from shared.domain.errors import PermanentError, TransientError

NOTHING = -1


class Coordinator:
    """Gives one answer to everything."""

    def __init__(self, code: int, rows: list[tuple[int, int, str, int]]) -> None:
        self._answer = SimpleNamespace(error_code=code, topics=[("t", rows)] if rows else [])

    async def coordinator(self, group_id: str) -> int:
        del group_id
        return 1

    async def ask(self, node_id: int, request: object) -> Any:  # as aiokafka's answers
        del node_id, request
        return self._answer


async def committed(code: int, *rows: tuple[int, int, str, int]) -> object:
    offsets = Offsets(cast(Link, Coordinator(code, list(rows))), timeout_seconds=1)
    return await offsets.committed("g", "t", [0, 1])


async def test_what_has_no_offset_is_left_out() -> None:
    assert await committed(0, (0, 7, "", 0), (1, NOTHING, "", 0)) == {0: 7}


@pytest.mark.parametrize("code", [14, 15, 16, -1], ids=["loading", "none", "another", "it does not know why"])
async def test_a_broker_that_does_not_keep_the_group_has_not_said_that_nothing_is_committed(code: int) -> None:
    with pytest.raises(TransientError):
        await committed(code)
    with pytest.raises(TransientError):
        await committed(0, (0, NOTHING, "", code), (1, NOTHING, "", 0))


async def test_what_asking_again_does_not_mend_is_told() -> None:
    with pytest.raises(PermanentError, match="grant Read on the group"):
        await committed(30)
