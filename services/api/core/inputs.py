"""The inputs of a manual run, judged by the JSON Schema that the workflow's `manual` trigger gives. Pure.

Guarantee: judging is quick, whatever a tenant writes: a schema fetches nothing, its regular expressions run in linear
time, it is small once its references are written out, and what makes validators take exponential time is refused:
recursion (doubling at each level of the inputs) and `unevaluated…` (doubling at each level of the schema: 20 took 22 s).
"""

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote

import jsonschema_rs

from shared.domain.errors import Flaw, InvalidInput
from shared.workflows.document import Place, WorkflowDocument, pointer_to

FLAWS_MAX = 50
SCHEMA_VALUES_MAX = 2000
"""Values in a schema, each reference counting as what it names."""

_PATTERN_BYTES_MAX = 262_144
_REFUSED_KEYWORDS = {
    "unevaluatedProperties": "use additionalProperties",
    "unevaluatedItems": "use items",
    "$dynamicRef": "use $ref",
    "$recursiveRef": "use $ref",
    "$id": "leave it out: references are read from the schema's root",
}

Schema = Mapping[str, object]


def manual_schemas(document: WorkflowDocument) -> list[tuple[Place, Schema]]:
    """Where each manual trigger's schema stands in the document, and the schema; one without `inputs` takes any."""
    found: list[tuple[Place, Schema]] = []
    for base, trigger in document.placed_triggers:
        if "manual" not in trigger:
            continue
        manual = trigger["manual"]
        inputs = manual.get("inputs") if isinstance(manual, Mapping) else None
        found.append(((*base, "manual", "inputs"), inputs if isinstance(inputs, Mapping) else {}))
    return found


def check_schemas(document: WorkflowDocument) -> None:
    """Asked when a workflow is saved. Raises InvalidInput for a schema that is none."""
    flaws = []
    for place, schema in manual_schemas(document):
        try:
            _validator(schema)
        except InvalidInput as trouble:
            flaws += [Flaw(pointer=pointer_to(*place), detail=flaw.detail) for flaw in trouble.flaws]
    if flaws:
        raise InvalidInput("this workflow cannot be saved", flaws)


def check_inputs(document: WorkflowDocument, inputs: Mapping[str, object]) -> None:
    """Raises InvalidInput with each flaw, unless one of the manual triggers takes these inputs."""
    first: list[Flaw] = []
    for _, schema in manual_schemas(document):
        flaws = list(_flaws(schema, inputs))
        if not flaws:
            return
        first = first or flaws
    raise InvalidInput("the inputs do not fit the workflow's schema", first)


def _flaws(schema: Schema, inputs: Mapping[str, object]) -> Iterable[Flaw]:
    for number, error in enumerate(_validator(schema).iter_errors(dict(inputs))):
        if number == FLAWS_MAX:
            return
        yield Flaw(pointer=pointer_to("inputs", *error.instance_path), detail=error.message)


def _validator(schema: Schema) -> jsonschema_rs.Draft202012Validator:
    _refuse_costly(schema)
    plain: dict[str, Any] = dict(schema)  # Any: JSON Schema is the tenant's own
    bounds = jsonschema_rs.RegexOptions(size_limit=_PATTERN_BYTES_MAX, dfa_size_limit=_PATTERN_BYTES_MAX)
    try:
        return jsonschema_rs.Draft202012Validator(plain, offline=True, pattern_options=bounds)
    except jsonschema_rs.ValidationError as error:
        raise _unusable(error.message.partition("\n")[0]) from None
    except (jsonschema_rs.ReferencingError, ValueError) as error:
        raise _unusable(str(error).partition("\n")[0]) from None


def _refuse_costly(schema: Schema) -> None:
    """Walks the schema as a validator would, into what its references name."""
    left = SCHEMA_VALUES_MAX
    # Each value with the references that led to it: meeting one of them again is recursion.
    waiting: list[tuple[object, frozenset[str]]] = [(schema, frozenset())]
    while waiting:
        value, through = waiting.pop()
        left -= 1
        if left < 0:
            raise _unusable(f"it holds more than {SCHEMA_VALUES_MAX} values, counting what its references name")
        if isinstance(value, list | tuple):
            waiting.extend((each, through) for each in value)
            continue
        if not isinstance(value, Mapping):
            continue
        for keyword, instead in _REFUSED_KEYWORDS.items():
            if keyword in value:
                raise _unusable(f"{keyword} is not supported; {instead}")
        waiting.extend((each, through) for each in value.values())
        reference = value.get("$ref")
        if isinstance(reference, str):
            if reference in through:
                raise _unusable(f"the reference {reference!r} leads back to itself; recursion is not supported")
            waiting.append((_referred(schema, reference), through | {reference}))


def _referred(schema: Schema, reference: str) -> object:
    if not (reference == "#" or reference.startswith("#/")):
        raise _unusable(f"{reference!r}: a reference may lead only to a part of the same schema, as #/$defs/… does")
    found: object = schema
    for part in unquote(reference[1:]).split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(found, Mapping) and key in found:
            found = found[key]
        elif isinstance(found, list | tuple) and key.isdecimal() and int(key) < len(found):
            found = found[int(key)]
        else:
            raise _unusable(f"{reference!r} leads nowhere")
    return found


def _unusable(detail: str) -> InvalidInput:
    return InvalidInput("no usable JSON Schema", [Flaw(pointer="#", detail=f"no usable JSON Schema: {detail[:500]}")])
