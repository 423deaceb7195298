"""`manual: {inputs: <JSON Schema>}`: a person or a service asks for the run (`POST …/runs`)."""

from collections.abc import Mapping, Sequence

from shared.domain.errors import Flaw
from shared.workflows.triggers import OnRequest


class ManualTrigger:
    """Never started by an event. Inputs are checked against the schema by whoever takes the request."""

    key = "manual"

    def flaws(self, value: object) -> Sequence[Flaw]:
        if value is None or value == {}:
            return []
        if not isinstance(value, Mapping) or set(value) - {"inputs"}:
            return [Flaw(pointer="#", detail="write {} or {inputs: <JSON Schema of an object>}")]
        inputs = value["inputs"]
        if not isinstance(inputs, Mapping) or inputs.get("type", "object") != "object":
            return [Flaw(pointer="#/inputs", detail="a JSON Schema whose type is object")]
        return [
            Flaw(pointer="#/inputs", detail=f"{reference!r}: a schema may refer only to parts of itself (#/…)")
            for reference in _references(inputs)
            if not reference.startswith("#")
        ]

    def start(self, value: object, *, zone: str) -> OnRequest:
        del value, zone
        return OnRequest()


TRIGGER = ManualTrigger()


def _references(value: object) -> list[str]:
    if isinstance(value, Mapping):
        own = [each for key, each in value.items() if key in ("$ref", "$dynamicRef") and isinstance(each, str)]
        return own + [found for each in value.values() for found in _references(each)]
    if isinstance(value, list | tuple):
        return [found for each in value for found in _references(each)]
    return []
