"""Answers about matches that are on their way into the log, asked for while they are being appended.

Before a match is folded, the read model is asked whether memory has let go an earlier one of its id. Whoever appends a match
in the same process can have that asked at the same moment, so that the answer waits for the record instead of the record
for the answer.

Guarantee: an answer that is handed out is as true when it is used as when it was given. "Not known" ages in one way only:
the match is folded, written, and then let go of. It cannot be let go of unnoticed (`forgotten`), and an answer belongs to
one shard object, which dies with the ownership of its partition: nobody else folds, and nothing is restored, behind it.
"""

import asyncio
from collections.abc import Collection, Iterable, Mapping
from typing import Protocol

from shared.domain.errors import UpshotError
from shared.domain.runs.fold import Known, Questions

ASKED_MAX = 10_000
"""Answers that wait for their record. Each is used within moments, or never: then the oldest gives way."""


class Owner(Protocol):
    """A shard; compared by identity."""

    @property
    def partition(self) -> int: ...

    @property
    def next(self) -> int:
        """The offset of the record that it folds next."""
        ...


class Lookups(Protocol):
    """The read model."""

    async def lookup(
        self,
        questions: Questions,
        *,
        folded_to: Mapping[int, int],
        tenant_ids: Collection[str],
        may_be_ahead: bool = False,
    ) -> Known:
        """What is known of ids that memory has let go; of matches and runs only those that were recorded below `folded_to`, the
        next offset by partition. Raises `ReadModelWentBack` where it lost what it once held, and `ReadModelWentAhead` where it
        stands behind `folded_to` and may not."""
        ...


class Foresight:
    """One a follower."""

    def __init__(self, lookups: Lookups) -> None:
        self._lookups = lookups
        self._asked: dict[str, tuple[Owner, asyncio.Task[Known | None]]] = {}

    def ask(self, matches: Mapping[Owner, Collection[str]]) -> None:
        """Ask about these match ids now; the shards are level and owned."""
        match_ids = {match_id for each in matches.values() for match_id in each}
        if not match_ids:
            return
        task = asyncio.create_task(self._look_up(match_ids, {shard.partition: shard.next for shard in matches}))
        for shard, each in matches.items():
            for match_id in each:
                self._asked.pop(match_id, None)  # the newest stand at the end
                self._asked[match_id] = (shard, task)
        while len(self._asked) > ASKED_MAX:
            del self._asked[next(iter(self._asked))]

    def forgotten(self, match_ids: Iterable[str]) -> None:
        """A fold has let these go: what was answered before that says nothing about them."""
        for match_id in match_ids:
            self._asked.pop(match_id, None)

    async def answer(self, shard: Owner, match_ids: Collection[str]) -> tuple[set[str], set[str]]:
        """Of these ids: which ones have an answer, and which of them the read model knows. Each is answered once."""
        answered: set[str] = set()
        known: set[str] = set()
        for match_id in match_ids:
            asked = self._asked.pop(match_id, None)
            if asked is None or asked[0] is not shard:
                continue
            found = await asyncio.shield(asked[1])
            if found is not None:
                answered.add(match_id)
                if match_id in found.match_ids:
                    known.add(match_id)
        return answered, known

    async def _look_up(self, match_ids: set[str], folded_to: Mapping[int, int]) -> Known | None:
        """None: there is no answer, and whoever needs one asks again and deals with the reason."""
        try:
            # What is folded until the answer comes may be written by then: memory knows of that, until it is `forgotten`.
            return await self._lookups.lookup(
                Questions(match_ids=match_ids), folded_to=folded_to, tenant_ids=(), may_be_ahead=True
            )
        except UpshotError:
            return None

    async def close(self) -> None:
        """Whoever asked has no use for the answers any more."""
        tasks = {task for _, task in self._asked.values()}
        self._asked.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
