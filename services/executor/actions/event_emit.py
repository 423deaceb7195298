"""`event.emit`: appends a platform event of the tenant's own, which other workflows may match.

Its id is derived from the step, so that emitting it again is emitting it once; its causal chain names this run's workflow, so
that loops are seen.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime

from pydantic import Field, field_validator

from services.executor.actions import Attempt, Config, Prepared, Scene, Tools, config_flaws, is_template, validated
from services.executor.core.outcome import Outcome
from shared.domain.envelope import Event
from shared.domain.errors import Flaw, InvalidInput
from shared.domain.ids import derive
from shared.domain.json_text import dump_json, read_json
from shared.domain.records import Problem
from shared.domain.retry import NO_RETRY
from shared.domain.workflow import Effect

_TYPE = re.compile(r"[A-Za-z0-9_\-]+(\.[A-Za-z0-9_\-]+)+")
DATA_BYTES_MAX = 262_144


class EmitConfig(Config):
    """The event to emit."""

    type: str = Field(max_length=200, description="dotted words, such as finance.refund_seen")
    subject: str | None = Field(None, max_length=500)
    data: dict[str, object] = Field(default_factory=dict)

    @field_validator("type")
    @classmethod
    def _dotted(cls, value: str) -> str:
        if not is_template(value) and not _TYPE.fullmatch(value):
            raise ValueError("an event type is dotted words of letters, digits, _ and -, such as finance.refund_seen")
        return value


class EventEmit:
    """Keyed: the event's id is derived from run and step."""

    type = "event.emit"
    policy = NO_RETRY

    def effect(self, config: Mapping[str, object]) -> Effect:
        del config
        return "keyed"

    def flaws(self, config: Mapping[str, object]) -> Sequence[Flaw]:
        return config_flaws(EmitConfig, config)

    def high_risk(self, config: Mapping[str, object]) -> bool:
        del config
        return False

    def endpoint_references(self, config: Mapping[str, object]) -> Sequence[str]:
        del config
        return ()

    def schema(self) -> Mapping[str, object]:
        return EmitConfig.model_json_schema()

    def prepare(self, config: Mapping[str, object], scene: Scene, now: datetime) -> Prepared:
        wanted = validated(EmitConfig, config)
        return Prepared(
            request={
                "id": derive("emitted", scene.run.id, scene.step_id),
                "source": f"/upshot/workflows/{scene.run.match.workflow_id}",
                "type": wanted.type,
                "subject": wanted.subject,
                "time": now.isoformat(),
                "data": wanted.data,
            }
        )

    async def perform(self, attempt: Attempt, tools: Tools) -> Outcome:
        request, run = attempt.request, attempt.scene.run
        data = dump_json(request["data"])
        if len(data) > DATA_BYTES_MAX:
            detail = f"the event's data has {len(data)} bytes; {DATA_BYTES_MAX} are the most"
            return Outcome(status="failed", problem=Problem(kind="too_large", detail=detail))
        try:
            read_json(data)
        except InvalidInput as error:
            detail = "; ".join(flaw.detail for flaw in error.flaws)
            return Outcome(status="failed", problem=Problem(kind="invalid_event", detail=f"the event's data: {detail}"))
        subject = request["subject"]
        await tools.publish(
            Event(
                id=str(request["id"]),
                source=str(request["source"]),
                type=str(request["type"]),
                tenant_id=run.tenant_id,
                data=data,
                time=datetime.fromisoformat(str(request["time"])),
                subject=subject if isinstance(subject, str) else None,
                correlation_id=run.correlation_id,
                causation_id=attempt.attempt_id,
                causal_chain=run.causal_chain,
                traceparent=run.traceparent,
            )
        )
        return Outcome(status="succeeded", output={"event_id": request["id"]})


ACTION = EventEmit()
