"""Commands: append what is wanted, wait until the read model has passed it, answer with the fold's verdict.

Guarantee: the same key with the same payload is carried out once and answered alike for 30 days; with another payload it
is refused; whoever gets no verdict is told how to ask for it again, and never that nothing happened where something may have.
Next: `shared/domain/definitions.py` and `shared/domain/runs/fold.py`, which decide.
"""

import logging
import math
from dataclasses import dataclass

from services.api.core.commands import parse_idempotency_key, plain_hash, record_id, request_text
from services.api.service.ports import ApiDependencies
from shared.bus import codec, facts
from shared.bus.facts import Cause
from shared.bus.topics import DEFINITIONS, RUNS
from shared.domain.errors import TransientError
from shared.domain.records import Command, DefinitionsFact, RunsFact
from shared.domain.verdicts import Verdict, still_answers
from shared.runtime.http import Caller, HttpProblem

_LOG = logging.getLogger("upshot.api")


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What a caller asks for. `keyed`: the caller named it, so the same may have been asked for before; `former_hash`: the
    payload's, had 0.1 been asked."""

    caller: Caller
    command: Command
    traceparent: str
    keyed: bool
    former_hash: str

    @property
    def tenant_id(self) -> str:
        return self.caller.tenant_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The record that a command follows from, where it is about a run."""

    causation_id: str | None
    correlation_id: str | None


class Commands:
    """Carries out commands of all tenants."""

    def __init__(self, it: ApiDependencies) -> None:
        self._it = it

    def intend(
        self,
        caller: Caller,
        *,
        method: str,
        path: str,
        document: object,
        idempotency_key: str | None,
        traceparent: str,
        base: str | None = None,
    ) -> Intent:
        """Name what is asked for. Raises InvalidInput where the key cannot be one."""
        keyed = idempotency_key is not None
        command_id = (
            parse_idempotency_key(idempotency_key)
            if idempotency_key is not None
            else self._it.randomness.token_bytes(16).hex()
        )
        request = request_text(method, path, document, base=base)
        command = Command(
            id=command_id,
            payload_hash=self._it.sealer.fingerprint(caller.tenant_id, request),
            actor=caller.subject,
            roles=tuple(sorted(caller.roles)),
        )
        return Intent(
            caller=caller, command=command, traceparent=traceparent, keyed=keyed, former_hash=plain_hash(request)
        )

    async def earlier(self, intent: Intent, topic: str) -> Verdict | None:
        """The verdict that this command has already. Raises HttpProblem 422 where its key named something else."""
        if not intent.keyed:
            return None
        return await self._verdict(intent, topic)

    async def carry_out(
        self, intent: Intent, fact: DefinitionsFact | RunsFact, origin: Origin | None = None
    ) -> Verdict | None:
        """The fold's verdict, or None: the command is in the log, and its verdict is not known yet.

        Raises HttpProblem 503 where it may or may not be in the log.
        """
        topic = topic_of(fact)
        record = record_id(intent.tenant_id, intent.command.id, intent.command.payload_hash)
        cause = Cause(
            causation_id=origin.causation_id if origin is not None else None,
            correlation_id=(origin.correlation_id if origin is not None else None) or record,
            traceparent=intent.traceparent,
        )
        event = facts.envelop(
            fact,
            id=record,
            tenant_id=intent.tenant_id,
            source=facts.SOURCES["api"],
            at=self._it.clock.now(),
            cause=cause,
        )
        try:
            (position,) = await self._it.bus.append([codec.encode(topic, event)])
        except TransientError as trouble:
            raise _in_doubt(intent, trouble) from trouble
        try:
            passed = await self._it.progress.wait(
                topic, position.partition, position.offset, self._it.settings.command_wait_seconds
            )
            return await self._verdict(intent, topic) if passed else None
        except TransientError as trouble:
            # It is in the log: to say "unavailable" now would invite a second one.
            _LOG.warning("the verdict on command %s cannot be read just now: %s", intent.command.id, trouble)
            return None

    async def _verdict(self, intent: Intent, topic: str) -> Verdict | None:
        found = await self._it.queries.get_command(intent.tenant_id, intent.command.id)
        if found is None or not still_answers(found.verdict, self._it.clock.now()):
            return None
        if found.topic != topic or found.verdict.payload_hash not in (intent.command.payload_hash, intent.former_hash):
            detail = "this Idempotency-Key named another request; take a new one for a new request"
            raise HttpProblem(422, "idempotency-key-reused", detail)
        return found.verdict


def topic_of(fact: DefinitionsFact | RunsFact) -> str:
    """The topic whose fold decides on a fact."""
    return DEFINITIONS if isinstance(fact, DefinitionsFact) else RUNS


def succeeded(verdict: Verdict | None) -> bool:
    """Whether the fold accepted."""
    return verdict is not None and verdict.status < 400


def _in_doubt(intent: Intent, trouble: TransientError) -> HttpProblem:
    seconds = max(1, math.ceil(trouble.retry_after_seconds or 1))
    detail = (
        "the log did not answer, so this may or may not have been taken; "
        f"repeat it with Idempotency-Key: {intent.command.id}, which is safe"
    )
    return HttpProblem(
        503,
        "append-in-doubt",
        detail,
        headers={"Retry-After": str(seconds)},
        members={"idempotency_key": intent.command.id},
    )
