"""What memory has let go, asked again before a batch is folded: matches, runs and verdicts that the read model still knows.

A fold lets go of what the read model holds (`Shard.written`). Whether a match, a run or a command is new can then only be said
with the read model's answer. Asked for ahead where a match is known to be on its way (`foresight.py`), and hardly ever where it
is surely new (`former_matches.py`). Guarantee: no batch is folded without its answers.
"""

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from shared.bus.port import Record
from shared.domain.envelope import Event
from shared.domain.errors import TransientError
from shared.domain.records import RunsFact
from shared.domain.runs.fold import CommandKey, Known, Questions
from shared.domain.verdicts import Verdict
from shared.runtime.foresight import Foresight, Lookups
from shared.runtime.former_matches import FormerMatches
from shared.runtime.shard import Shard

log = logging.getLogger(__name__)

Entry = tuple[Record, Event, RunsFact]


class Recall:
    """One a follower."""

    def __init__(
        self, lookups: Lookups, former: FormerMatches | None, *, projected_elsewhere: bool, retry_seconds: float
    ) -> None:
        """`former`: knows of most matches that they are new; without it the read model is asked about each.
        `projected_elsewhere`: the read model may be ahead of the fold, so what it tells of later records is left out."""
        self._lookups = lookups
        self._former = former
        self._projected_elsewhere = projected_elsewhere
        self._retry_seconds = retry_seconds
        self._foresight = Foresight(lookups)

    def restored(self, shard: Shard) -> None:
        """It holds what came at or behind `shard.next`; all before it is the read model's."""
        if self._former is not None:
            self._former.restored(shard, shard.next)

    def foresee(self, matches: Mapping[Shard, Collection[str]]) -> None:
        """These match ids are being appended: ask now what will have to be known when they are folded."""
        doubtful = {shard: set(ids) - self._surely_new(shard, ids) for shard, ids in matches.items()}
        self._foresight.ask({shard: ids for shard, ids in doubtful.items() if ids})

    async def run(self) -> None:
        """What goes on beside the following; until cancelled."""
        if self._former is not None:
            await self._former.run()
        else:
            await asyncio.Event().wait()

    async def close(self) -> None:
        await self._foresight.close()

    async def look_up(self, entries: Mapping[Shard, Sequence[Entry]]) -> Known:
        """What has to be known before these are folded, in one question for all partitions, asked until it is answered.

        Raises `ReadModelWentBack`: it has lost what some fold has let go; `ReadModelWentAhead`: somebody else has folded what
        these are, and written it.
        """
        questions = Questions()
        tenant_ids: set[str] = set()
        foreseen: set[str] = set()
        folded_to: dict[int, int] = {}
        asked_at: dict[CommandKey, datetime] = {}
        for shard, batch in entries.items():
            if not shard.owned:
                continue  # revoked while another shard's answer was awaited
            folded_to[shard.partition] = shard.next
            self._forgotten(shard.forget_written())
            asked = Questions()
            shard.fold.ask(asked, ((event.tenant_id, fact) for _, event, fact in batch))
            asked.match_ids -= self._surely_new(shard, asked.match_ids)
            answered, known = await self._foresight.answer(shard, asked.match_ids)
            foreseen |= known
            questions.match_ids |= asked.match_ids - answered
            questions.run_ids |= asked.run_ids
            questions.commands |= asked.commands
            asked_at.update(dict.fromkeys(asked.commands, shard.fold.now))
            tenant_ids.update(event.tenant_id for _, event, _ in batch)
        while questions:
            try:
                found = await self._lookups.lookup(
                    questions, folded_to=folded_to, tenant_ids=tenant_ids, may_be_ahead=self._projected_elsewhere
                )
                verdicts = _decided_before(asked_at, found.verdicts) if self._projected_elsewhere else found.verdicts
                return replace(found, match_ids=found.match_ids | foreseen, verdicts=verdicts)
            except TransientError as error:
                log.warning("the read model does not answer; nothing is admitted until it does: %s", error)
                await asyncio.sleep(self._retry_seconds)
        return Known(match_ids=frozenset(foreseen))

    def _forgotten(self, match_ids: Collection[str]) -> None:
        self._foresight.forgotten(match_ids)
        if self._former is not None:
            self._former.forgotten(match_ids)

    def _surely_new(self, shard: Shard, match_ids: Collection[str]) -> set[str]:
        return self._former.surely_new(shard, match_ids) if self._former is not None else set()


def _decided_before(
    asked_at: Mapping[CommandKey, datetime], verdicts: Mapping[CommandKey, Verdict]
) -> dict[CommandKey, Verdict]:
    """Without the verdicts on what is only being folded here: a row of a verdict names no offset, but a time. One of the same
    instant is left out too: what the fold then does again, the state of its run already rules out."""
    return {command: each for command, each in verdicts.items() if each.decided_at < asked_at[command]}
