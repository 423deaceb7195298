"""`event.emit`: appends a platform event of the tenant's own, which other workflows may match.

Its id is derived from the step, so that emitting it again is emitting it once; its causal chain names this run's workflow, so
that loops are seen. It is held to what `POST /events` holds others to: the platform's own types are refused, a subject is text
without control characters, and the data of a type of the catalogue is what its schema says.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime

from pydantic import Field, field_validator

from services.executor.actions import (
    Attempt,
    Config,
    Prepared,
    Refused,
    Scene,
    Tools,
    config_flaws,
    is_template,
    validated,
)
from services.executor.core.outcome import Outcome
from shared.bus.cloudevents_rules import character_flaws
from shared.bus.published import DATA_BYTES_MAX, OWN_TYPE, data_flaws
from shared.domain.envelope import Event
from shared.domain.errors import Flaw, InvalidInput
from shared.domain.ids import derive
from shared.domain.json_text import dump_json, read_json
from shared.domain.retry import NO_RETRY
from shared.domain.workflow import Effect
from shared.workflows.triggers import OWN_PREFIX

_TYPE = re.compile(r"[A-Za-z0-9_\-]+(\.[A-Za-z0-9_\-]+)+")
_DETAIL_CHARACTERS_MAX = 1000


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
        flaws, event_type, data = config_flaws(EmitConfig, config), config.get("type"), config.get("data", {})
        if flaws or not isinstance(event_type, str):
            return flaws
        if event_type.startswith(OWN_PREFIX):
            return [Flaw(pointer="#/type", detail=OWN_TYPE)]
        return [] if _holds_template(data) else [_below_data(flaw) for flaw in data_flaws(event_type, data)]

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
        _emittable(wanted.type, wanted.data)
        for flaw in character_flaws({"subject": wanted.subject or ""}):
            raise Refused("invalid_event", f"{wanted.type} cannot be emitted so: {flaw.pointer} {flaw.detail}")
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
        try:
            data = _emittable(str(request["type"]), request["data"])
        except Refused as refused:  # frozen by a version that looked at less
            return Outcome(status="failed", problem=refused.problem)
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


def _emittable(event_type: str, data: object) -> bytes:
    """The data's bytes. Raises `Refused` for what nobody may publish."""
    if event_type.startswith(OWN_PREFIX):
        raise Refused("invalid_event", f"{event_type}: {OWN_TYPE}")
    text = dump_json(data)
    if len(text) > DATA_BYTES_MAX:
        raise Refused("too_large", f"the event's data has {len(text)} bytes; {DATA_BYTES_MAX} are the most")
    try:
        flaws: Sequence[Flaw] = data_flaws(event_type, read_json(text))
    except InvalidInput as error:
        flaws = error.flaws
    if flaws:
        told = "; ".join(f"{each.pointer}: {each.detail}" for each in map(_below_data, flaws))
        raise Refused("invalid_event", f"{event_type} cannot be emitted so: {told}"[:_DETAIL_CHARACTERS_MAX])
    return text


def _below_data(flaw: Flaw) -> Flaw:
    return Flaw(pointer="#/data" + flaw.pointer.removeprefix("#"), detail=flaw.detail)


def _holds_template(value: object) -> bool:
    if isinstance(value, Mapping):
        return any(map(_holds_template, value.values()))
    return any(map(_holds_template, value)) if isinstance(value, list | tuple) else is_template(value)
