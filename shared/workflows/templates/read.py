"""The shape of a template's file, as pydantic reads it: a typing error in one is an error and not a silence.

Next: `template.py`, what comes out.
"""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from shared.domain.errors import Flaw, InvalidInput
from shared.workflows.document import pointer_to
from shared.workflows.templates.template import (
    Example,
    Expected,
    Parameter,
    ParameterType,
    WorkflowTemplate,
    fill,
    placeholders_of,
)

Text = Annotated[str, Field(min_length=1, max_length=2000)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Parameter(_Part):
    type: ParameterType
    description: Text
    default: str | int | dict[str, object]
    minimum: int = 0
    maximum: int = 2**53 - 1


class _Event(_Part):
    type: Text
    subject: Text | None = None
    data: dict[str, object] = Field(default_factory=dict)


class _Expected(_Part):
    run: str | None = Field(None, pattern="^(succeeded|failed|skipped|pending_approval)$")
    tells: tuple[str, ...] = ()
    emits: tuple[str, ...] = ()


class _Example(_Part):
    title: Text
    events: tuple[_Event, ...] = ()
    inputs: dict[str, object] | None = None
    fires: bool = False
    expect: _Expected

    @model_validator(mode="after")
    def _something_happens(self) -> Self:
        if [bool(self.events), self.inputs is not None, self.fires].count(True) != 1:
            raise ValueError("an example has either events or inputs, or says that a schedule fires")
        return self


class _File(_Part):
    name: Text
    description: Text
    tags: tuple[Text, ...] = Field(min_length=1)
    parameters: dict[str, _Parameter]
    document: dict[str, object]
    trial: dict[str, object] = Field(default_factory=dict)
    examples: tuple[_Example, ...] = ()


def read_template(key: str, value: object) -> WorkflowTemplate:
    """The template in a file's parsed value. Raises `InvalidInput`, pointers into the value."""
    try:
        file = _File.model_validate(value)
    except ValidationError as error:
        flaws = [Flaw(pointer=pointer_to(*each["loc"]), detail=each["msg"]) for each in error.errors(include_url=False)]
        raise InvalidInput(f"{key} is no workflow template", flaws) from None
    named = placeholders_of(file.document)
    flaws = [Flaw(pointer="#/document", detail=f"${{{name}}} is no parameter") for name in named - set(file.parameters)]
    flaws += [Flaw(pointer=f"#/parameters/{name}", detail="never used") for name in set(file.parameters) - named]
    if flaws:
        raise InvalidInput(f"{key} is no workflow template", flaws)
    template = WorkflowTemplate(
        key=key,
        name=file.name,
        description=" ".join(file.description.split()),
        tags=file.tags,
        parameters=tuple(Parameter(name=name, **each.model_dump()) for name, each in file.parameters.items()),
        document=file.document,
        trial=file.trial,
        examples=tuple(
            Example(
                title=each.title,
                events=tuple(event.model_dump(exclude_none=True) for event in each.events),
                inputs=each.inputs,
                fires=each.fires,
                expect=Expected(**each.expect.model_dump()),
            )
            for each in file.examples
        ),
    )
    fill(template, {each.name: each.default for each in template.parameters})
    fill(template, file.trial)
    return template
