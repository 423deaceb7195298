"""Questions of a fold as a statement's arguments, and its rows as what the fold then knows. Pure."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import orjson

from shared.bus.topics import RUNS
from shared.domain.runs.fold import CommandKey, Known, Questions
from shared.domain.verdicts import Verdict
from shared.readmodel.deltas import key_text


class AnswerRow(NamedTuple):
    """A row of `service_sql.LOOKUP`. Of kind `next`, `status` is the partition."""

    kind: str
    key: str
    tenant_id: str | None
    payload_hash: str | None
    status: int | None
    body: str | None
    decided_at: datetime | None
    first: int | None
    """Of kinds `match` and `run`: the offset of the record that asked for the run; `status` is the partition."""


@dataclass(frozen=True, slots=True)
class Lookup:
    """One round of questions about `partitions`. Texts by the keys under which the read model holds them."""

    partitions: tuple[int, ...]
    tenant_ids: tuple[str, ...]
    match_ids: frozenset[str]
    run_ids: Mapping[str, str]
    commands: Mapping[CommandKey, CommandKey]

    def arguments(self) -> tuple[object, ...]:
        """Of `service_sql.LOOKUP`."""
        return (
            RUNS,
            self.partitions,
            list(self.match_ids),
            self.tenant_ids if self.run_ids else (),
            list(self.run_ids),
            [tenant_id for tenant_id, _ in self.commands],
            [command_id for _, command_id in self.commands],
        )

    def known(self, rows: Iterable[AnswerRow], below: Mapping[int, int]) -> Known:
        """What the rows say of what was recorded below these offsets, by partition; of other partitions all."""
        match_ids, run_ids, verdicts = set(), set(), {}
        for row in rows:
            if row.kind == "match":
                if _is_below(row, below):
                    match_ids.add(row.key)
            elif row.kind == "run":
                if _is_below(row, below):
                    run_ids.add(self.run_ids[row.key])
            elif row.kind == "command":
                command = self.commands[row.tenant_id or "", row.key]
                verdicts[command] = _verdict(command[1], row)
        return Known(run_ids=frozenset(run_ids), match_ids=frozenset(match_ids), verdicts=verdicts)


def prepare_lookup(questions: Questions, partitions: Collection[int], tenant_ids: Collection[str]) -> Lookup:
    """`tenant_ids`: whose runs `questions.run_ids` are; the primary key leads with the tenant."""
    return Lookup(
        partitions=tuple(partitions),
        tenant_ids=tuple({key_text(tenant_id) for tenant_id in tenant_ids}),
        match_ids=frozenset(questions.match_ids),
        run_ids={key_text(run_id): run_id for run_id in questions.run_ids},
        commands={(key_text(command[0]), key_text(command[1])): command for command in questions.commands},
    )


def _is_below(row: AnswerRow, below: Mapping[int, int]) -> bool:
    bound = below.get(row.status) if row.status is not None else None
    return bound is None or row.first is None or row.first < bound


def _verdict(command_id: str, row: AnswerRow) -> Verdict:
    if row.payload_hash is None or row.status is None or row.body is None or row.decided_at is None:
        raise AssertionError("a command's row is whole")
    return Verdict(
        command_id=command_id,
        payload_hash=row.payload_hash,
        status=row.status,
        body=orjson.loads(row.body),
        decided_at=row.decided_at,
    )
